"""Guard models judge: through the chain, on the command line, over a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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


@pytest.mark.parametrize("model", ["AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf", "m/Llama-Guard-4-12B"])
def test_a_form_that_messages_cannot_have_is_told(model: str) -> None:
    with (
        Loopback(models=(model,)) as server,
        pytest.raises(EngineSetupError, match="a server does not take; run it by hf:MODEL"),
    ):
        open_engine(f"server:{server.base}")


def test_a_served_guard_that_does_not_answer_is_refused() -> None:
    with (
        Loopback(models=("Shieldstral",), likeliest="The") as server,
        pytest.raises(EngineSetupError, match="does not answer as the dialect shieldstral says"),
    ):
        open_engine(f"server:{server.base}")
