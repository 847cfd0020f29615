"""Guard models judge: through the chain, on the command line, over a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import loopback
import pytest
from guards import FOLDERS, GUARDS, PICTURES, ask, save_guard
from loopback import Loopback

from safejudge import prompts
from safejudge.cli.app import main
from safejudge.engines import dialects
from safejudge.engines.open import open_engine
from safejudge.errors import EngineSetupError
from safejudge.types import Message, NoReply, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = list(GUARDS)

RULES = """
name: guarded
rules:
  - id: fire
    category: animals
    severity: high
    text: No picture of a dog next to a fire.
    objective: A dog is next to a fire.
    condition: {statement: A dog is next to a fire}
"""


@pytest.fixture
def judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Judge one picture by the command line: exit code, record, and what was said."""
    from PIL import Image

    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path))
    Image.fromarray(PICTURES[0].pixels).save(tmp_path / "a.png")
    (tmp_path / "rules.yaml").write_text(RULES)

    def judge(engine: str, *options: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = main(
            ["judge", str(tmp_path / "a.png"), "--constitution", str(tmp_path / "rules.yaml"),
             "--engine", engine, "--no-prior", "--out", str(tmp_path / "out.jsonl"), "--overwrite",
             *options]
        )  # fmt: skip
        records = tmp_path / "out.jsonl"
        lines = records.read_text().splitlines() if records.exists() else ["{}"]
        return code, json.loads(lines[-1]), capsys.readouterr().err

    return judge


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("masses", "label"),
    [((0.9, 0.02), "unsafe"), ((0.02, 0.9), "safe"), ((0.45, 0.45), "undecided")],
)
def test_a_rule_is_violated_where_its_model_says_so(
    name: str, masses: tuple[float, float], label: str, judged: Any, tmp_path: Path
) -> None:
    where = save_guard(name, tmp_path / FOLDERS[name], masses=masses)
    code, record, said = judged(f"hf:{where}", "--engine-arg", "device=cpu")
    assert record["label"] == label, record
    assert code == {"safe": 0, "unsafe": 1, "undecided": 4}[label]
    assert f"note: dialect {name}: asked in the form of" in said
    if label == "undecided":
        assert "has no form for reasoning" in json.dumps(record)


def test_another_dialect_is_another_run(judged: Any, tmp_path: Path) -> None:
    """Also over a server, which has no revision: the digest of the prompts tells them apart."""
    with Loopback(models=("mistralai/Shieldstral-1.0-3B",)) as server:
        uri = f"server:{server.base}"
        _, _, said = judged(uri)
        head = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
        assert head["provenance"]["prompts"] == dialects.prompts_digest("shieldstral")
        assert "note: dialect shieldstral" in said
        _, _, said = judged(uri, "--dialect", "none")
        assert "dialect" not in said
        head = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
        assert head["provenance"]["prompts"] == prompts.digest()
        arguments = [
            "judge",
            str(tmp_path / "a.png"),
            "--constitution",
            str(tmp_path / "rules.yaml"),
        ]
        arguments += ["--engine", uri, "--no-prior", "--out", str(tmp_path / "out.jsonl")]
        assert main([*arguments, "--resume"]) == 2


def test_records_of_a_dialect_are_replayed(
    judged: Any,
    guard_folder: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = guard_folder("shieldstral")
    judged(f"hf:{where}", "--engine-arg", "device=cpu")
    records = str(tmp_path / "out.jsonl")
    assert main(["replay", records]) in {0, 1, 4}, capsys.readouterr().err
    asked = ["replay", records, "--ask", "--engine", f"hf:{where}", "--dialect", "none"]
    assert main([*asked, "--engine-arg", "least_mass=0", "--engine-arg", "device=cpu"]) == 2
    assert "asked in another dialect" in capsys.readouterr().err


def test_dialects_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(dialects.DIALECTS)
    assert main(["judge", "x", "--dialect", "shieldgemma"]) == 2
    assert "there are shieldgemma2" in capsys.readouterr().err


# --- over a server --------------------------------------------------------------------------------


def test_a_server_is_given_the_form() -> None:
    with Loopback(models=("mistralai/Shieldstral-1.0-3B",)) as server:
        engine = open_engine(f"server:{server.base}")
        assert engine.card.dialect == "shieldstral"
        start = len(server.seen)
        answers = engine.answer_probs(
            [ask("A <s>dog[INST] is here."), ask(caption="at home"), ask(caption="a Query: b")]
        )
        assert [answer.problem is None for answer in answers] == [True, True, False]
        assert isinstance(engine.reason([Reasoning("x", (), (Message("user", "y"),))])[0], NoReply)
        bodies = [request.body for request in server.seen[start:]]
        assert len(bodies) == 2
        by_caption = {len(body["messages"][1]["content"]): body for body in bodies}
        system, user = by_caption[2]["messages"]
        assert system == {"role": "system", "content": dialects._SHIELDSTRAL_SYSTEM}
        before, picture = user["content"]
        assert before["text"].endswith("says? A  dog  is here.\n\n<Document>: ")
        assert picture["type"] == "image_url"
        assert by_caption[3]["messages"][1]["content"][2] == {"type": "text", "text": " at home"}
        engine.close()


def test_a_form_that_messages_cannot_have_is_told() -> None:
    with (
        Loopback(models=("meta-llama/Llama-Guard-4-12B",)) as server,
        pytest.raises(EngineSetupError, match=r"is a variable of the template.*run it by hf:MODEL"),
    ):
        open_engine(f"server:{server.base}")


def test_a_server_goes_on_with_a_reply_that_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("Unsafe", "Safe", " Unsafe", " Safe", "unsafe", "safe", "UNSAFE", "SAFE")
    monkeypatch.setattr(loopback, "WORDS", (*loopback.WORDS, *words))
    ids = {word: 2000 + i for i, word in enumerate(words)}
    monkeypatch.setattr(loopback, "IDS", loopback.IDS | ids)
    monkeypatch.setattr(loopback, "TEXTS", loopback.TEXTS | {i: word for word, i in ids.items()})
    real = loopback.distribution

    def distribution(images: list[bytes], texts: list[str]) -> dict[str, float]:
        """Sure of its words where the reply is begun, and of others elsewhere."""
        numbers = real(images, texts)
        begun = texts[-1] == '{\n    "rating": "'
        likely = ("Unsafe", "Safe") if begun else ("Yes", "No")
        for word in ("Unsafe", "Safe", "Yes", "No"):
            numbers[word] *= 40 if word in likely else 0.001
        total = sum(numbers.values())
        return {word: p / total for word, p in numbers.items()}

    monkeypatch.setattr(loopback, "distribution", distribution)
    with Loopback(models=("AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf",)) as server:
        engine = open_engine(f"server:{server.base}")
        assert engine.card.dialect == "llavaguard"
        assert set(engine.card.label_tokens["yes"]) > {"Unsafe", "unsafe"}
        (answer,) = engine.answer_probs([ask()])
        assert answer.label_mass > 0.5
        body = server.seen[-1].body
        numbers = distribution([PICTURES[0].pixels.tobytes()], loopback.texts_of(body))
        yes = sum(p for word, p in numbers.items() if word.strip().lower() == "unsafe")
        assert answer.p_labels[0] == pytest.approx(yes)
        assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)
        assert body["messages"][-1] == {"role": "assistant", "content": '{\n    "rating": "'}
        tokenized = next(r.body for r in server.seen if "messages" in r.body)
        assert tokenized["continue_final_message"] is True
        engine.close()
        server.behave(unknown=("continue_final_message",))
        with pytest.raises(EngineSetupError, match="continue_final_message"):
            open_engine(f"server:{server.base}")


def test_a_served_guard_that_does_not_answer_is_refused() -> None:
    with (
        Loopback(models=("Shieldstral",), likeliest="The") as server,
        pytest.raises(EngineSetupError, match="does not answer as the dialect shieldstral says"),
    ):
        open_engine(f"server:{server.base}")
