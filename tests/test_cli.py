"""The command line: exit codes, output for terminals and pipes, files that survive a kill."""

import argparse
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.errors import EngineCallError, OutputError
from safejudge.show.page.judged import Report
from safejudge.types import AnswerProbs

RULES = """\
name: test
rules:
  - id: bright
    category: light
    severity: low
    text: No glare.
    objective: The picture is bright.
    condition: The picture is bright
"""


def brightness(probe):
    """Score of a picture: how bright it is; the prior is one half."""
    return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of pictures named by their shade, with a rule against bright ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "in").mkdir()
    for value in (0, 20, 128, 255):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(f"in/{value:03d}.png")
    (tmp_path / "broken.png").write_bytes(b"junk")
    return tmp_path


@pytest.fixture
def engine(monkeypatch):
    """What `--engine fake:` opens: a judge of brightness."""
    fake = FakeEngine(brightness)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
    return fake


STAGES = ["--no-cascade", "--no-relevance", "--no-regions"]
CHOICES = ["--constitution", "rules.yaml", "--engine", "fake:", *STAGES]
ALL = ["in/000.png", "in/020.png", "in/128.png", "in/255.png"]


def judge(*arguments):
    return cli.main(["judge", *arguments, *CHOICES])


# --- thresholds -----------------------------------------------------------------------------------


@pytest.fixture
def thresholds(place, engine, capsys):
    """Thresholds made of 140 pictures, of which those brighter than half are labelled bright."""
    (place / "shades").mkdir()
    rows = ["image,violations"]
    for number in range(140):
        shade = number if number < 70 else 116 + number
        picture = np.full((4, 4, 3), shade, np.uint8)
        Image.fromarray(picture).save(f"shades/{number:03d}.png")
        rows.append(f"{number:03d}.png,{'bright' if shade > 127 else ''}")
    Path("shades/labels.csv").write_text("\n".join(rows) + "\n")
    judge("shades", "--exhaustive", "--out", "shades.jsonl")
    line = ["--records", "shades.jsonl", "--labels", "shades/labels.csv", "--out", "t.yaml"]
    assert cli.main(["calibrate", *line]) == 0
    capsys.readouterr()
    return "t.yaml"


@pytest.mark.parametrize(
    ("paths", "code", "actions"),
    [
        (["in/000.png", "in/020.png"], 0, "pass pass"),
        (
            ["in/000.png", "in/255.png"],
            1,
            "pass block",
        ),
        (
            ["in/000.png", "broken.png"],
            4,
            "pass person",
        ),
    ],
)
def test_thresholds_say_what_to_do(thresholds, capsys, paths, code, actions):
    assert judge(*paths, "--thresholds", thresholds, "--out", "d.jsonl") == code
    block, passed, person = map(actions.split().count, ("block", "pass", "person"))
    told = f"actions: {block} to be blocked, {passed} passed, {person} for a person"
    assert told in capsys.readouterr().err
    found = [json.loads(line) for line in Path("d.jsonl").read_text().splitlines()][1:]
    assert " ".join(record["decision"]["action"] for record in found) == actions
    rule = found[0]["decision"]["rules"]["bright"]
    assert (rule["action"], rule["promise"]) == ("pass", 0.05)
    assert found[0]["rules"]["bright"]["score"] < rule["threshold"]
    assert cli.main(["report", "d.jsonl"]) == 0  # records with decisions are still records


def test_a_terminal_says_what_to_do(thresholds, monkeypatch):
    out = Terminal()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stdout", out)
    assert judge("in/000.png", "in/255.png", "--thresholds", thresholds) == 1
    heads, *rows = out.getvalue().splitlines()
    assert "action" in heads
    assert ["pass" in rows[0], "block" in rows[1]] == [True, True]


def test_decided_records_are_continued_by_the_same_thresholds_only(thresholds, capsys):
    words = ["in/000.png", "--thresholds", thresholds, "--out", "d.jsonl"]
    assert judge(*words) == 0
    assert judge("in/255.png", *words, "--resume") == 1
    assert "1 to be blocked, 1 passed" in capsys.readouterr().err
    assert judge("in/000.png", "--out", "d.jsonl", "--resume") == 2
    assert "another file of thresholds" in capsys.readouterr().err


def test_thresholds_are_refused_before_a_picture_is_judged(thresholds, engine, capsys):
    Path("no.yaml").write_text("rules: []\n")
    assert judge("in", "--thresholds", "no.yaml") == 2
    assert "holds no thresholds" in capsys.readouterr().err
    other = ["in", "--thresholds", thresholds, "--no-prior"]
    assert judge(*other) == 2
    assert "another policy" in capsys.readouterr().err


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "code", "counted"),
    [
        (["in/000.png", "in/020.png"], 0, "2 images: 2 safe, 0 unsafe, 0 undecided, 0 failed"),
        (["in"], 1, "4 images: 2 safe, 1 unsafe, 1 undecided, 0 failed"),
        (["in/255.png", "broken.png"], 1, "2 images: 0 safe, 1 unsafe, 0 undecided, 1 failed"),
        (["in/0*.png", "in/128.png"], 4, "3 images: 2 safe, 0 unsafe, 1 undecided, 0 failed"),
        (["in/000.png", "broken.png"], 4, "2 images: 1 safe, 0 unsafe, 0 undecided, 1 failed"),
        (["nothing.png"], 2, "1 image: 0 safe, 0 unsafe, 0 undecided, 1 failed"),
        (["in", "--limit", "2"], 0, "2 images: 2 safe, 0 unsafe, 0 undecided, 0 failed"),
        (["in/000.png", "./in/000.png"], 0, "1 image: 1 safe, 0 unsafe, 0 undecided, 0 failed"),
    ],
)
@pytest.mark.usefixtures("place", "engine")
def test_exit_codes_of_verdicts(capsys, paths, code, counted):
    assert judge(*paths) == code
    out, err = capsys.readouterr()
    summary, spent, *left_out = err.splitlines()
    assert counted in summary
    assert spent.startswith("safejudge: ")
    assert " s: " in spent
    failed = "0 failed" not in counted
    assert any(line.startswith("safejudge: failed: 1 x ") for line in left_out) == failed
    more = counted.startswith("1 image: 1") or "--limit" in paths
    assert len(left_out) == failed + more
    assert len(out.splitlines()) == int(counted.split()[0])
    explained = cli.main(["explain", paths[0], *CHOICES])
    if len(paths) == 1 and paths[0].endswith(".png"):
        assert explained == code


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["judge", "in"], 2, "no constitution is assumed.*sketch"),
        (["judge", "in", "--constitution", "sketch"], 2, "no engine is assumed.*hf:ORG/MODEL"),
        (["explain", "a", "--constitution", "sketch"], 2, "no engine is assumed.*hf:sketch"),
        (["judge", "in", *CHOICES, "--engine", "nope:"], 3, "'nope:' names no engine"),
        (["judge", "in", *CHOICES, "--constitution", "nope"], 2, "no shipped constitution"),
        (["judge", "in", *CHOICES, "--constitution", "broken.png"], 2, "broken.png"),
        (["judge", "in", *CHOICES, "--policy", "nope"], 2, "there is no policy 'nope'"),
        (["judge", "in", *CHOICES, "--limit", "0"], 2, "'0' is no whole number above 0"),
        (["judge", *CHOICES], 2, "required: PATH"),
        (["judge", "empty", *CHOICES], 2, "empty: no image in this folder"),
        (["judge", "in", *CHOICES, "--resume"], 2, "--out FILE.jsonl"),
        (["judge", "in", *CHOICES, "--out", "rules.yaml"], 2, "--resume.*--overwrite"),
        (["judge", "in", *CHOICES, "--out", "rules.yaml", "--resume"], 2, "rules.yaml:1"),
        (["judge", "in", *CHOICES, "--out", "no/r.jsonl"], 2, "no folder no"),
        (["judge", "in", *CHOICES, "--prompts", "none"], 2, "none: cannot be read"),
        (["judge", "in", *CHOICES, "--out", "x", "--resume", "--overwrite"], 2, "not allowed"),
        (["judge", "in", *CHOICES, "--res"], 2, "unrecognized"),
        (["explain", "in/000.png", *CHOICES, "--rule", "x"], 2, "no such rule; choose bright"),
        (["lint", "broken.png"], 2, ""),
        (["lint"], 2, "required: FILE"),
        ([], 2, "required: COMMAND"),
    ],
)
def test_exit_codes_of_mistakes(place, capsys, argv, code, said):
    (place / "empty").mkdir()
    assert cli.main(argv) == code
    err = capsys.readouterr().err.replace("\n", " ")
    assert "Traceback" not in err
    assert re.search(said, err), err
    assert not said or "safejudge" in err
    assert (place / "rules.yaml").read_text() == RULES


@pytest.mark.parametrize(
    "argv", [["--version"], ["--help"], ["judge", "--help"], ["lint", "-h"], ["keys", "add", "-h"]]
)
def test_help_and_version(capsys, argv):
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert out.startswith(("safejudge 0.", "usage: safejudge"))
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        ["judge", "a", "--out", "r", "--engine-arg", "x=1", "--ray", "--actors", "2"],
        ["explain", "a", "--rule", "r"],
        ["relevance", "a", "--constitution", "c", "--encoder", "e"],
        ["compile", "c", "--llm", "e", "--engine-arg", "x=[1]"],
        ["lint", "c"],
        ["diff", "c", "d"],
        ["eval", "labelled", "--suite-arg", "x=1", "--variant", "blind", "--split", "s"],
        ["report", "d"],
        ["suites"],
        ["annotate", "d", "--out", "o", "--rubric", "fidelity=f"],
        ["train-scorer", "p", "--out", "o", "--backbone", "b", "--aspect", "fidelity"],
        ["keys", "add", "f", "n", "--role", "review"],
        ["keys", "list", "f"],
        ["keys", "remove", "f", "n"],
        ["sketch", "bench"],
        ["sketch", "scenes", "--out", "o"],
        ["sketch", "mj-bench", "--out", "o"],
    ],
)
def test_options_are_values_of_their_own(line):
    _, options = cli.parse(line)
    _, again = cli.parse(line)
    assert pickle.loads(pickle.dumps(options)) == options == again  # noqa: S301 - our own
    for field in fields(options):
        with pytest.raises(FrozenInstanceError):
            setattr(options, field.name, None)
    if line[0] == "annotate":  # asks every question
        assert not options.judge.policy().relevance
        assert options.judge.policy().exhaustive
    if "--actors" in line:
        assert (options.actors, dict(options.judge.engine_args)) == (2, {"x": 1})
        assert options != cli.parse([*line, "--no-prior"])[1]


def arguments_of(parser):
    """Every argument of a parser and of the commands below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from arguments_of(below)
        else:
            yield action


def made_of(action):
    """What an argument makes of an address, or why it takes none."""
    assert action.type is not Path, action
    try:
        return action.type("s3://user:key@bucket/run?token=t") if action.type else None
    except (argparse.ArgumentTypeError, ValueError) as error:
        return str(error)


def test_no_argument_takes_an_address_for_a_path(monkeypatch):
    parsers = []
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda self, _: parsers.append(self))
    with pytest.raises(AttributeError):  # nothing was parsed
        cli.parse([])
    made = {action: made_of(action) for action in arguments_of(parsers[0])}
    assert not [action for action, value in made.items() if isinstance(value, Path)]
    told = "s3://bucket/run: lies in a store"
    refusing = {action.dest for action, value in made.items() if str(value).startswith(told)}
    assert {"out", "report", "thresholds", "records", "labels", "queries"} <= refusing


def test_help_and_lint_load_no_model_library():
    code = (
        "import sys\nfrom safejudge.cli.app import main\n"
        "main(['--help']); main(['lint', 'sketch'])\n"
        "print([n for n in ('torch', 'transformers', 'outlines') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- pipes and terminals --------------------------------------------------------------------------


def test_a_pipe_gets_one_record_per_image_with_its_provenance(place, engine, capsys):
    assert judge(*ALL, "./in/255.png", "broken.png") == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["image"] for record in found] == [*ALL, "broken.png"]
    assert [record.get("label") for record in found] == [
        "safe",
        "safe",
        "undecided",
        "unsafe",
        None,
    ]
    assert all(record["provenance"]["model"] == "fake:" for record in found)
    assert found[4]["error"]["reason"] == "not_an_image"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("both", [True, False])
def test_a_terminal_gets_a_table(place, engine, monkeypatch, both):
    evil = "in/\x1b[31m[bold].png"
    (place / evil).write_bytes((place / "in/255.png").read_bytes())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out, err = Terminal(), Terminal() if both else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert judge("in", "broken.png", "--window", "2") == 1
    table = err.getvalue() if both else out.getvalue()
    assert "in/\\x1b[31m[bold].png" in table
    assert "bright (between the bounds)" in table
    assert "not_an_image: its bytes" in table
    assert "{" not in table
    assert "\x1b[31m[bold]" not in out.getvalue() + err.getvalue()
    assert "6 images: 2 safe, 2 unsafe, 1 undecided, 1 failed" in err.getvalue()


def test_captions_reach_the_questions_and_misfits_are_counted(place, engine, capsys):
    (place / "p.csv").write_text("image,prompt\n000.png,a night\nin/255.png,a day\nzz.png,x\n")
    assert judge("in", "--prompts", "p.csv") == 1
    asked = {probe.question for wave in engine.history for probe in wave if probe.images}
    assert {question.splitlines()[0] for question in asked} == {
        "Caption of the picture: a night",
        "Caption of the picture: a day",
        "Statement: The picture is bright",
    }
    err = capsys.readouterr().err
    assert "2 of 4 images have no prompt in p.csv (the first: in/020.png)" in err
    assert "1 of 3 prompts in p.csv fit no image (the first: zz.png)" in err


def test_warnings_of_a_policy_are_said_plainly(place, engine, capsys):
    (place / "rules.yaml").write_text(
        RULES.replace("condition: The picture is bright", "condition:\n      all: [A, {none: [B]}]")
    )
    engine._answers = lambda *_: 0.0
    judge("in/000.png", "--policy", "clue")
    assert "safejudge: warning: rule 'bright': the flat form has no" in capsys.readouterr().err


def test_priors_that_are_no_yes_or_no_are_told_of(place, capsys, monkeypatch):
    faint = FakeEngine(lambda p: brightness(p) if p.images else AnswerProbs((0.1, 0.1)))
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: faint)
    assert judge("in/000.png", "in/255.png") == 1
    said = capsys.readouterr().err.splitlines()[0]
    assert said == (
        "safejudge: note: 1 of 1 statement has no yes or no without a picture; 1/2 stands for "
        "their prior"
    )


# --- files ----------------------------------------------------------------------------------------


def test_out_then_resume_after_more_images_came(place, engine, capsys):
    assert judge("in/0*.png", "--out", "r.jsonl") == 0
    first = (place / "r.jsonl").read_bytes()
    (place / "in/010.png").write_bytes((place / "in/255.png").read_bytes())
    assert judge("in/0*.png", "--out", "r.jsonl") == 2
    asked = len(engine.history)
    assert judge("in/0*.png", "--out", "r.jsonl", "--resume") == 1
    assert (place / "r.jsonl").read_bytes().splitlines()[1:3] == first.splitlines()[1:]
    assert len((place / "r.jsonl").read_bytes().splitlines()) == 4
    assert len(engine.history) > asked
    assert "3 images (2 from earlier runs): 2 safe, 1 unsafe" in capsys.readouterr().err
    asked = len(engine.history)
    # The violation that the file holds is none of this run's.
    assert judge("in/000.png", "--out", "r.jsonl", "--resume") == 0
    assert not any(probe.images for wave in engine.history[asked:] for probe in wave)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 records of other images in r.jsonl" in err
    assert len((place / "r.jsonl").read_bytes().splitlines()) == 4


def test_a_file_of_another_policy_or_prompts_is_refused(place, engine, capsys):
    (place / "p.jsonl").write_text('{"image": "000.png", "prompt": "x"}')
    assert judge("in/000.png", "--out", "r.jsonl") == 0
    before = (place / "r.jsonl").read_bytes()
    assert judge("in/000.png", "--out", "r.jsonl", "--resume", "--policy", "clue-tree") == 2
    assert "another policy" in capsys.readouterr().err
    assert judge("in/000.png", "--out", "r.jsonl", "--resume", "--prompts", "p.jsonl") == 2
    assert "another prompt file" in capsys.readouterr().err
    assert (place / "r.jsonl").read_bytes() == before
    assert judge("in/020.png", "--out", "r.jsonl", "--overwrite") == 0
    assert len((place / "r.jsonl").read_bytes().splitlines()) == 2


def test_an_engine_that_fails_later_leaves_what_was_written(place, engine, capsys):
    whole = FakeEngine(brightness)
    engine._answers = lambda probe, text: (
        EngineCallError("out of memory")
        if probe.images and brightness(probe) == 1
        else whole._answers(probe, text)
    )
    assert judge("in", "--out", "r.jsonl", "--window", "1") == 3
    err = capsys.readouterr().err
    assert "error: out of memory" in err
    assert "3 records in r.jsonl; the same command with --resume" in err
    engine._answers = whole._answers
    assert judge("in", "--out", "r.jsonl", "--resume") == 1
    assert len((place / "r.jsonl").read_bytes().splitlines()) == 5


# --- animations -----------------------------------------------------------------------------------


@pytest.fixture
def film(place):
    """A dark animation of twenty frames that differ a little."""
    first, *rest = [Image.new("L", (4, 4), shade) for shade in range(20)]
    first.save("film.gif", save_all=True, append_images=rest, duration=100)
    return "film.gif"


@pytest.mark.usefixtures("engine", "place")
def test_a_page_that_cannot_be_written_hides_nothing_of_what_came_of_it(monkeypatch, capsys):
    def full(*_: object, **__: object) -> None:
        raise OutputError("page.html: cannot be written (no space)")

    monkeypatch.setattr(Report, "write", full)
    Path("in/notes.txt").write_text("no picture")
    assert judge("in", "--report", "page.html", "--out", "r.jsonl") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "4 images: 2 safe, 1 unsafe, 1 undecided, 0 failed" in said
    assert "passed over" in said
    assert "no space" in said


@pytest.mark.parametrize(
    ("options", "code", "looked_at"),
    [
        ([], 4, 8),
        (["--frames", "3"], 0, 3),
        (["--frames", "all"], 0, 20),
        (["--every-frame"], 4, 8),
        (["--every-frame", "--frames", "all"], 0, 20),
    ],
)
@pytest.mark.usefixtures("engine")
def test_how_much_of_an_animation_was_looked_at(film, options, code, looked_at, capsys):
    assert judge(film, "in/000.png", "--out", "r.jsonl", "--report", "page.html", *options) == code
    _, animated, still = map(json.loads, Path("r.jsonl").read_text().splitlines())
    assert animated["frames"] == {"looked_at": looked_at, "of": 20}
    assert animated["undecided_by"] == (["frames"] if options == ["--every-frame"] else [])
    assert still["frames"] is None
    said = f"frames: {looked_at} of 20 looked at"
    assert said in Path("page.html").read_text()
    capsys.readouterr()
    assert cli.main(["explain", film, *CHOICES, *options]) == code
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("engine", "place")
def test_a_number_of_frames_that_is_none(capsys):
    assert judge("in", "--frames", "0") == 2
    assert "--frames: '0'" in capsys.readouterr().err


# --- explain, lint, sketch ------------------------------------------------------------------------


def test_explain(place, engine, capsys):
    assert cli.main(["explain", "in/255.png", *CHOICES, "--prompt", "a lamp"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("in/255.png: unsafe, score 1.00\n")
    assert "accept: M 1.00 > 0.80 + 0.20·p0 = 0.90" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    priors, wave, *_ = engine.history
    assert not any(probe.images for probe in priors)
    assert {probe.question.splitlines()[0] for probe in wave} == {"Caption of the picture: a lamp"}
    assert cli.main(["explain", "broken.png", *CHOICES]) == 2
    assert capsys.readouterr().out.startswith("broken.png: failed\nnot_an_image: ")


def test_lint(place, capsys):
    (place / "warned.yaml").write_text(RULES.replace("condition: The", "condition: Not a \\x1b"))
    assert cli.main(["lint", "sketch", "rules.yaml", "warned.yaml"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("warned.yaml:8: warning: rule `bright`:")
    assert out[1].startswith("  instead: ")
    assert out[-1] == "files: 3, errors: 0, warnings: 1, examples: 18"
    (place / "bad.yaml").write_text(RULES.replace("severity: low", "severity: lowest"))
    assert cli.main(["lint", "bad.yaml", "nothing"]) == 2
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("bad.yaml:5: error: ")
    assert out[2].startswith("nothing: error: ")
    assert out[-1] == "files: 2, errors: 2, warnings: 0"


def test_sketch_scenes_never_writes_among_foreign_files(place, capsys):
    command = ["sketch", "scenes", "--count", "2", "--seed", "7", "--out"]
    assert cli.main([*command, "in"]) == 2
    assert cli.main([*command, "in", "--overwrite"]) == 2
    assert cli.main([*command, "rules.yaml"]) == 2
    assert cli.main([*command, "rules.yaml/new"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(os.listdir("in")) == [os.path.basename(path) for path in ALL]  # noqa: PTH119, PTH208
    assert cli.main([*command, "new"]) == 0
    assert capsys.readouterr().out == "2 scenes and facts.jsonl in new\n"
    first = {path.name: path.read_bytes() for path in (place / "new").iterdir()}
    assert len(first) == 3
    assert cli.main([*command, "new"]) == 2
    assert cli.main([*command, "new", "--overwrite"]) == 0
    assert {path.name: path.read_bytes() for path in (place / "new").iterdir()} == first


# --- real processes -------------------------------------------------------------------------------

SLOW = """
import itertools, os, signal, sys, time
# a job started in the background inherits deafness to Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
from safejudge.engines.fake import FakeEngine
answer = FakeEngine.answer_probs
calls = itertools.count(1)
def slowly(self, probes):
    # halfway through it hangs, so that a signal always meets a running command
    time.sleep(3600 if next(calls) > int(os.environ["HANG_AFTER"]) else 0.02)
    return answer(self, probes)
FakeEngine.answer_probs = slowly
from safejudge.cli.app import entry
entry()
"""
COMMAND = ["judge", "many", "--window", "2", *CHOICES]


@pytest.fixture
def many(place):
    (place / "many").mkdir()
    for value in range(60):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(f"many/{value:03d}.png")
    return place


def started(*arguments, hang_after=20):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "HANG_AFTER": str(hang_after)},
    )


def wait_for_lines(process, path, count):
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def test_kill_and_resume_lose_and_double_nothing(many, capsys):
    code = cli.main([*COMMAND, "--out", "whole.jsonl"])
    process = started(*COMMAND, "--out", "killed.jsonl")
    wait_for_lines(process, many / "killed.jsonl", 5)
    process.kill()
    process.communicate()
    left = (many / "killed.jsonl").read_bytes()
    assert 5 <= left.count(b"\n") < 61
    (many / "killed.jsonl").write_bytes(left[:-9])  # as if the kill had torn a line
    assert cli.main([*COMMAND, "--out", "killed.jsonl", "--resume"]) == code
    whole, killed = (
        (many / name).read_bytes().splitlines() for name in ("whole.jsonl", "killed.jsonl")
    )
    assert whole[1:] == killed[1:]
    assert {**json.loads(whole[0]), "date": ""} == {**json.loads(killed[0]), "date": ""}
    lines = capsys.readouterr().err.splitlines()
    sums = [line.split("; ") for line in lines if " per image" in line]
    assert sums[0][0].removeprefix("safejudge: 60 images: ") in sums[1][0]
    assert sums[0][-1] == sums[1][-1]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_is_stopped_keeps_what_was_written_and_says_how_to_go_on(many, number, code):
    process = started(*COMMAND, "--out", "r.jsonl")
    wait_for_lines(process, many / "r.jsonl", 3)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert b" in r.jsonl; the same command with --resume judges the rest" in err
    lines = (many / "r.jsonl").read_bytes().splitlines()
    images = [json.loads(line)["image"] for line in lines[1:]]
    assert len(images) >= 2
    assert images == [f"many/{number:03d}.png" for number in range(len(images))]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_closed_pipe_ends_quietly(many):
    (many / "many/000.png").rename("many/0-ä.png")  # UTF-8 in a pipe, whatever the locale
    process = started(*COMMAND, hang_after=10_000)
    images = [json.loads(process.stdout.readline())["image"] for _ in range(2)]
    assert images == ["many/0-ä.png", "many/001.png"]
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), err) == (141, b"")


def test_python_m_and_a_bug_is_no_verdict(place):
    code = "import safejudge.cli.app as c; c.main = lambda: 1 / 0; c.entry()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"ZeroDivisionError" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "safejudge", "--version"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout[:10]) == (0, b"safejudge ")
