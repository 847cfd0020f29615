"""`safejudge replay` on the command line, and against real runs of the drawn judge."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import YAML, brightness, read
from test_saved_files import SAVED, needs_weights

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.files import parquet
from safejudge.files.records import to_line

CHOICES = ["--constitution", "rules.yaml", "--engine", "fake:"]
TWO = YAML + "".join(
    f"  - id: {name}\n    category: light\n    severity: high\n    text: No.\n"
    f"    objective: {name}.\n    condition: {{none: [{name}]}}\n"
    for name in ("The picture is grey",)
).replace("id: The picture is grey", "id: colour")


@pytest.fixture
def engine(monkeypatch):
    """What `fake:` opens: it says how bright a picture is, and reasons a yes."""
    fake = FakeEngine(
        brightness,
        replies=lambda request: "so" if request.schema is None
        else json.dumps({"rationale": "so", "rating": "Yes"}),
    )  # fmt: skip
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
    monkeypatch.setattr("safejudge.engines.models.prove_sight", lambda _: False)
    return fake


@pytest.fixture
def place(tmp_path, monkeypatch, engine):
    """A folder of shades, judged without reasoning."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(YAML)
    (tmp_path / "in").mkdir()
    for value in (0, 100, 150, 200, 255):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(f"in/{value:03d}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"junk")
    assert judge("r.jsonl", "--no-cascade") == 1
    engine.history.clear()
    return tmp_path


def judge(out, *words):
    return cli.main(["judge", "in", *CHOICES, "--out", out, *words])


def replay(*words):
    return cli.main(["replay", *map(str, words)])


def lines(path):
    return Path(path).read_bytes().splitlines(keepends=True)


def labels(path):
    return {r["image"]: r.get("label") for r in map(json.loads, lines(path)[1:])}


# --- without a model --------------------------------------------------------------------------


def test_its_own_policy_gives_the_same_file(place, capsys, monkeypatch):
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: pytest.fail("a model"))
    capsys.readouterr()
    assert replay("r.jsonl", "--out", "again.jsonl") == 0
    assert Path("again.jsonl").read_bytes() == Path("r.jsonl").read_bytes()
    assert capsys.readouterr().out == "0 of 6 images change\n"
    assert replay("r.jsonl", "--constitution", "rules.yaml", "--set", "open_means=undecided") == 0


def test_who_has_no_journal_needs_nothing_for_one(place):
    Path("journal.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from safejudge.cli.app import main\n"
        "for words in ('replay r.jsonl', 'report r.jsonl --out p.html', 'replay journal.db'):\n"
        "    print('code', main(words.split()))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert re.findall(r"code (\d)", done.stdout) == ["0", "0", "2"]
    assert "pip install 'safejudge[journal]'" in done.stderr


def test_what_was_decided_stays_with_what_it_was_decided_about(place):
    head, *rest = map(json.loads, Path("r.jsonl").read_text("utf-8").splitlines())
    head["thresholds"] = "0" * 64
    told = [record | {"decision": {"action": "person", "rules": {}}} for record in rest]
    Path("d.jsonl").write_text("".join(map(to_line, [head, *told])), encoding="utf-8")
    assert replay("d.jsonl", "--out", "own.jsonl") == 0
    assert Path("own.jsonl").read_bytes() == Path("d.jsonl").read_bytes()
    replay("d.jsonl", "--set", "accept_factor=0.9", "--out", "other.jsonl")
    other = [json.loads(line) for line in Path("other.jsonl").read_text("utf-8").splitlines()]
    assert "thresholds" not in other[0]
    assert not any("decision" in record for record in other)


def test_another_policy_is_shown_by_rule(place, capsys, engine):
    capsys.readouterr()
    assert replay("r.jsonl", "--set", "accept_factor=0", "--out", "new.jsonl",
                  "--report", "flips.html") == 1  # fmt: skip
    assert not engine.history
    shown = capsys.readouterr().out
    assert re.search(r"bright +1 +3 +2 +0 +0 +0\n", shown)
    assert "2 of 6 images change: 2 undecided -> unsafe" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert judge("real.jsonl", "--no-cascade", "--set", "accept_factor=0") == 1
    assert lines("new.jsonl")[1:] == lines("real.jsonl")[1:]
    head, real = (json.loads(lines(path)[0]) for path in ("new.jsonl", "real.jsonl"))
    assert head["provenance"] == real["provenance"]
    assert head["policy"] == real["policy"]
    assert set(head["replayed"]) == {"policy"}
    cards = read("flips.html").all("article")
    assert {card["data-name"] for card in cards} == {"in/150.png", "in/200.png"}
    assert all("before: undecided" in card.text for card in cards)


def test_what_was_not_asked_is_open_and_counted(place, capsys):
    capsys.readouterr()
    assert replay("r.jsonl", "--policy", "default", "--out", "new.jsonl") == 4
    shown = capsys.readouterr().out
    assert "3 images open: what they hang on was not asked" in shown
    assert "a run would have to ask 3 reasonings, and what follows" in shown
    records = {r["image"]: r for r in map(json.loads, lines("new.jsonl")[1:])}
    open_one = records["in/150.png"]
    assert (open_one["label"], open_one["undecided_by"]) == ("undecided", ["not_asked"])
    (answer,) = open_one["rules"]["bright"]["preconditions"]
    assert (answer["test"], answer["note"]) == (
        "not_asked", "the records do not hold a reasoning"
    )  # fmt: skip
    assert cli.main(["report", "new.jsonl"]) == 0
    assert "Judged again from the answers of an earlier run" in read("new.html").text
    # A run that goes on judges what is open, and nothing else.
    assert judge("new.jsonl", "--resume") == 1
    assert labels("new.jsonl")["in/150.png"] == "unsafe"


def test_another_constitution(place, capsys):
    Path("two.yaml").write_text(TWO)
    capsys.readouterr()
    assert replay("r.jsonl", "--constitution", "two.yaml", "--set", "open_means=no") == 1
    shown = capsys.readouterr().out
    assert re.search(r"colour +0 +0 +0 +0 +0 +5\n", shown)
    # Five questions, and the same one without a picture.
    assert "a run would have to ask 6 questions" in shown


def test_a_folder_of_parquet_is_replayed_alike(place):
    head, *records = map(json.loads, lines("r.jsonl"))
    with parquet.Parts(place / "parts", resume=False, overwrite=False) as parts:
        parts.begin(head)
        parts.add(parquet.to_table(records))
        parts.flush()
    assert replay("parts", "--out", "again.jsonl") == 0
    assert lines("again.jsonl") == lines("r.jsonl")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in"], "holds neither a run of eval nor parts"),
        (["none.jsonl"], "cannot be read"),
        (["r.jsonl", "--policy", "clu"], "there is no policy 'clu'"),
        (["r.jsonl", "--set", "max_bytes=9"], "max_bytes is 9 and was 67108864"),
        (["r.jsonl", "--out", "r.jsonl", "--overwrite"], "these are the records that are read"),
        (["r.jsonl", "--out", "in/000.png"], "exists already"),
        (["r.jsonl", "--engine", "fake:"], "--engine: means nothing without --ask"),
        (["r.jsonl", "--ask"], "name it with --engine URI"),
        (["other.jsonl"], "made with another wording of the questions"),
        (["begun.jsonl"], "holds no record yet"),
    ],
)
def test_mistakes_end_with_2(place, capsys, words, said):
    first, *rest = lines("r.jsonl")
    head = json.loads(first)
    Path("begun.jsonl").write_bytes(first)
    head["provenance"]["prompts"] = "0" * 64
    Path("other.jsonl").write_bytes(to_line(head).encode() + b"".join(rest))
    capsys.readouterr()
    assert replay(*words) == 2
    assert said in capsys.readouterr().err


# --- to ask ---------------------------------------------------------------------------------------


def test_exactly_the_missing_questions_are_asked(place, capsys, engine):
    Path("in/100.png").write_bytes(Path("in/000.png").read_bytes())
    Path("in/200.png").unlink()
    capsys.readouterr()
    assert replay("r.jsonl", "--policy", "default", "--ask", "--engine", "fake:",
                  "--out", "new.jsonl") == 1  # fmt: skip
    said = capsys.readouterr()
    assert "1 image not asked about: changed" in said.err
    assert "1 image not asked about: missing" in said.err
    assert "2 images open" in said.out
    (free,), (forced,) = [wave for wave in engine.history if not hasattr(wave[0], "question")]
    assert int(free.images[0].pixels.mean()) == 150
    assert forced.messages[1].text == "so"
    # The priors are read when a judge is opened; no picture was asked about again.
    assert not any(r.images for wave in engine.history for r in wave if hasattr(r, "question"))
    assert labels("new.jsonl") == {
        "in/000.png": "safe", "in/100.png": "undecided", "in/150.png": "unsafe",
        "in/200.png": "undecided", "in/255.png": "unsafe", "in/broken.png": None,
    }  # fmt: skip


def test_captions_are_asked_with_by_the_file_that_they_came_from(place, capsys, engine):
    Path("p.jsonl").write_text(
        "".join(to_line({"image": f"in/{n}.png", "prompt": f"shade {n}"}) for n in ("000", "100"))
    )
    Path("other.jsonl").write_text(to_line({"image": "in/000.png", "prompt": "another"}))
    plain = ["--prompts", "p.jsonl", "--no-cascade"]
    assert judge("r.jsonl", *plain, "--no-second-look", "--overwrite") == 1
    assert judge("real.jsonl", *plain) == 1
    asking = ["r.jsonl", "--set", "second_look=true", "--ask", "--engine", "fake:"]
    capsys.readouterr()
    assert replay(*asking) == 4
    said = capsys.readouterr()
    assert "2 images not asked about: without its caption (--prompts FILE)" in said.err
    assert "2 images open" in said.out
    assert replay(*asking, "--prompts", "other.jsonl") == 2
    assert "is not the prompt file that the records were made with" in capsys.readouterr().err
    engine.history.clear()
    assert replay(*asking, "--prompts", "p.jsonl", "--out", "new.jsonl") == 0
    asked = [r.question for wave in engine.history for r in wave if r.images]
    assert asked == ["Statement: The picture is bright"] * 2
    assert lines("new.jsonl")[1:] == lines("real.jsonl")[1:]


def test_answers_of_another_model_are_not_mixed_in(place, capsys, monkeypatch):
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: FakeEngine())
    capsys.readouterr()
    assert replay("r.jsonl", "--policy", "default", "--ask", "--engine", "fake:") == 2
    assert "answers of two models make no judgment" in capsys.readouterr().err


# --- the drawn judge ------------------------------------------------------------------------------

RUNS = {
    "clue": ["--policy", "clue"],
    "clue-tree": ["--policy", "clue-tree"],
    "no regions": ["--set", "crop=false", "--set", "region=false"],
    "no prior": ["--set", "prior=false"],
    "other factors": ["--set", "reject_factor=0.5", "--set", "accept_factor=0.6"],
    "open means no": ["--set", "open_means=no"],
    "undecided": ["--set", "open_means=undecided"],
}


def near(left, right, off=1e-4):
    """Equal but for the last digits, which hang on what else stands in a model's batch."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) <= off
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            near(left[k], right[k], 20 * off if k == "margin" else off) for k in left
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(near, left, right))
    return left == right


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Scenes as the bench draws them, judged by `default`."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SAFEJUDGE_CACHE", str(folder / "cache"))
        assert cli.main(["sketch", "scenes", "--count", "20", "--seed", "31", "--out", "in"]) == 0
        drawn_run("default.jsonl")
    return folder


def drawn_run(out, *words):
    command = ["judge", "in", "--constitution", "sketch", "--engine", "hf:sketch", "--out", out]
    assert cli.main([*command, *words]) in (0, 1, 4)


@needs_weights
def test_its_own_policy_gives_the_drawn_run_back(drawn, monkeypatch):
    monkeypatch.chdir(drawn)
    assert replay("default.jsonl", "--out", "own.jsonl") == 0
    assert Path("own.jsonl").read_bytes() == Path("default.jsonl").read_bytes()


@needs_weights
@pytest.mark.parametrize("name", RUNS)
def test_another_policy_gives_what_a_drawn_run_gives(drawn, monkeypatch, name):
    monkeypatch.chdir(drawn)
    real, again = f"{name}.jsonl", f"{name}-again.jsonl"
    drawn_run(real, *RUNS[name])
    replay("default.jsonl", *RUNS[name], "--out", again)
    assert json.loads(lines(real)[0])["provenance"] == json.loads(lines(again)[0])["provenance"]
    known = 0
    for left, right in zip(lines(again)[1:], lines(real)[1:], strict=True):
        replayed, run = json.loads(left), json.loads(right)
        if "not_asked" not in left.decode():
            assert near(replayed, run)
            known += 1
        if "not_asked" not in replayed["undecided_by"]:
            assert replayed["label"] == run["label"]
    assert known


@needs_weights
def test_records_of_0_1_0_are_replayed(tmp_path, monkeypatch, capsys):
    shutil.copy(SAVED / "records.jsonl", tmp_path)
    shutil.copy(SAVED / "sketch.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert replay("records.jsonl", "--constitution", "./sketch.yaml", "--out", "again.jsonl") == 0
    assert "0 of 6 images change" in capsys.readouterr().out
    for old, new in zip(lines("records.jsonl")[1:], lines("again.jsonl")[1:], strict=True):
        before, after = json.loads(old), json.loads(new)
        assert [after[k] for k in before if k != "rules"] == [
            before[k] for k in before if k != "rules"
        ]
        for rule, verdict in before["rules"].items():
            assert verdict == {key: after["rules"][rule][key] for key in verdict}
    assert replay("records.jsonl", "--constitution", "./sketch.yaml", "--set", "open_means=no") in (
        0,
        1,
    )
