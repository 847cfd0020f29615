"""Second opinions on the command line: records, resume, summaries, replay, thresholds, Ray."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.constitution.load import load_constitution
from safejudge.decide.thresholds import load
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.files.records import read_records
from safejudge.judge import Judge
from safejudge.opening import JudgeSpec
from safejudge.policy import Policy
from safejudge.sketch.scenes import write_scenes
from safejudge.types import AnswerProbs

RULES = """\
name: light
rules:
  - {id: bright, category: c, severity: low, text: Nothing bright.,
     objective: The picture is bright., condition: The picture is bright.}
"""
WEIGHTS = Path(cli.__file__).parents[1] / "sketch" / "models" / "vlm" / "model.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="no weights of sketch are here")
SHADES = (5, 60, 128, 200, 250)
MUTE = "fake:mute"


def shade(probe):
    return float(probe.images[0].pixels[0, 0, 0]) / 255 if probe.images else 0.5


def mute(probe):
    """Answers nothing about what is white."""
    if probe.images and probe.images[0].pixels[0, 0, 0] == 250:
        return AnswerProbs((0.0, 0.0), problem="refused")
    return shade(probe)


def reply(request):
    return "so" if request.schema is None else json.dumps({"rationale": "so", "rating": "Unsure"})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    Path("in").mkdir()
    for value in SHADES:
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(f"in/{value:03d}.png")
    engines = {
        uri: FakeEngine(mute if uri == MUTE else shade, replies=reply, uri=uri)
        for uri in ("fake:a", "fake:b", "fake:large", MUTE)
    }
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda uri, **_: engines[uri])
    return engines


BASE = ["--constitution", "rules.yaml", "--engine", "fake:a", "--no-relevance", "--no-regions"]
BOTH = ["--also", "fake:b", "--escalate-to", "fake:large"]


def judge(*arguments):
    return cli.main(["judge", "in", *BASE, *arguments])


def test_costs_and_what_went_on_are_told_by_engine(place, capsys):
    assert judge(*BOTH, "--out", "r.jsonl") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "engines: fake:a 5 questions, 0 reasoning calls; fake:b 5 questions, 0 reasoning calls; "
        "fake:large 2 questions, 4 reasoning calls"
    ) in said
    assert "escalated: 2 of 5 answers to statements" in said
    assert "questions of fake:b" in said
    head = json.loads(Path("r.jsonl").read_text().splitlines()[0])
    assert [ref["uri"] for ref in head["provenance"]["also"]] == ["fake:b"]
    assert head["provenance"]["escalate_to"]["uri"] == "fake:large"
    for record in read_records(Path("r.jsonl")).values():
        (leaf,) = record["rules"]["bright"]["preconditions"]
        assert [opinion["engine"] for opinion in leaf["opinions"]] == ["fake:a", "fake:b"]


def test_one_engine_writes_nothing_of_this(place):
    judge("--out", "r.jsonl")
    text = Path("r.jsonl").read_text()
    for word in ("opinions", "by_engine", '"also"', "escalate"):
        assert word not in text


@pytest.mark.parametrize(
    ("later", "differing"),
    [
        ([], "second opinion (--also) and engine to escalate to"),
        (["--also", "fake:b"], "engine to escalate to"),
        (["--also", "fake:b", "--escalate-to", "fake:b"], "engine to escalate to"),
        (["--also", MUTE, *BOTH], "second opinion (--also)"),
        ([*BOTH, "--escalate-below", "2"], "policy"),
    ],
)
def test_a_run_goes_on_with_the_same_engines_only(place, capsys, later, differing):
    judge(*BOTH, "--out", "r.jsonl", "--limit", "2")
    before = Path("r.jsonl").read_bytes()
    assert judge(*later, "--out", "r.jsonl", "--resume") == 2
    assert f"was made with another {differing} (" in capsys.readouterr().err
    assert Path("r.jsonl").read_bytes() == before
    assert judge(*BOTH, "--out", "r.jsonl", "--resume") == 1
    assert len(read_records(Path("r.jsonl"))) == len(SHADES)


def test_what_one_engine_did_not_answer_is_told_and_asked_again(place, capsys):
    assert judge("--also", MUTE, "--out", "r.jsonl") == 4
    said = capsys.readouterr().err
    assert "no answer: fake:mute gave none to 1 statement" in said
    assert read_records(Path("r.jsonl"))["in/250.png"]["label"] == "undecided"
    asked = len(place[MUTE].history)
    assert judge("--also", MUTE, "--out", "r.jsonl", "--resume") == 4
    again = [r for wave in place[MUTE].history[asked:] for r in wave if r.images]
    assert {int(r.images[0].pixels[0, 0, 0]) for r in again} == {250}
    # Another that was asked after it and answered is as good.
    assert judge("--also", MUTE, "--escalate-to", "fake:large", "--out", "s.jsonl") == 1
    asked = len(place["fake:large"].history)
    judge("--also", MUTE, "--escalate-to", "fake:large", "--out", "s.jsonl", "--resume")
    assert not [r for wave in place["fake:large"].history[asked:] for r in wave if r.images]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--escalate-below", "2"], "name it with --escalate-to URI"),
        (["--also", "auto"], "--also auto: auto is one model"),
        (["--escalate-to", "auto"], "--escalate-to auto: auto is one model"),
        (["--escalate-to", "fake:b", "--escalate-below", "0"], "no number above 1.1"),
        (["--escalate-to", "fake:b", "--escalate-below", "nan"], "no number above 1.1"),
        (["--escalate-to", "fake:b", "--escalate-below", "1"], "no number above 1.1"),
        (["--escalate-to", "fake:b", "--escalate-below", "21"], "no number above 1.1"),
    ],
)
def test_what_cannot_be_asked_is_refused_before(place, capsys, arguments, says):
    assert judge(*arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not any(engine.history for engine in place.values())


def test_a_suite_that_asks_one_engine_refuses_a_second(place, capsys):
    line = ["eval", "mj-bench", "--data", "in", "--engine", "fake:a", "--out", "run"]
    assert cli.main([*line, "--also", "fake:b"]) == 2
    assert "--also: mj-bench puts questions of its own to one engine" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_labelled_suite_asks_all_and_goes_blind_with_all(place):
    labels = "".join(f"{value:03d}.png,{'unsafe' if value > 127 else 'safe'}\n" for value in SHADES)
    Path("in/labels.csv").write_text("image,label\n" + labels)
    place["fake:b"]._answers = lambda probe, _: 0.5 if not probe.images else shade(probe)
    line = ["eval", "labelled", "--data", "in", *BASE, *BOTH, "--out", "run", "--variant", "blind"]
    assert cli.main(line) == 0
    records = read_records(Path("run/records.jsonl"))
    assert records["005.png"]["usage"]["by_engine"]["fake:b"]["probes"] == 1
    blind = read_records(next(Path("run").rglob("blind/records.jsonl")))
    for record in blind.values():
        (leaf,) = record["rules"]["bright"]["preconditions"]
        assert {read["score"] for o in leaf["opinions"] for read in o["reads"]} == {0.5}


def test_a_person_reads_who_said_what(place, capsys):
    cli.main(["explain", "in/250.png", *BASE, *BOTH])
    said = " ".join(capsys.readouterr().out.split())
    assert "engines fake:a and fake:b, then fake:large" in said
    assert "fake:b: M 0.98 (label mass 1.00)" in said
    assert "mean of the log-odds" in said
    cli.main(["explain", "in/128.png", *BASE, *BOTH])
    said = " ".join(capsys.readouterr().out.split())
    assert "undecided, score 0.39 then fake:large: M 0.50" in said
    assert "not reasoned through" not in said
    judge(*BOTH, "--out", "r.jsonl", "--report", "page.html")
    page = Path("page.html").read_text()
    assert "fake:large was asked after the others: unsure, after reasoning too" in page
    assert '<th scope="row">escalated to</th><td>fake:large' in page


def test_records_of_several_engines_are_replayed(place, capsys):
    judge(*BOTH, "--escalate-below", "2", "--out", "r.jsonl")
    assert cli.main(["replay", "r.jsonl", "--out", "again.jsonl"]) == 0
    assert Path("again.jsonl").read_bytes() == Path("r.jsonl").read_bytes()
    # Nothing more goes on: what a run would give is known.
    assert cli.main(["replay", "r.jsonl", "--set", "escalate_below=1.2", "--out", "less.jsonl"]) < 2
    judge(*BOTH, "--escalate-below", "1.2", "--out", "real.jsonl")
    assert read_records(Path("less.jsonl")) == read_records(Path("real.jsonl"))
    # More goes on: that was not asked, and --ask asks the last engine alone.
    more = ["replay", "r.jsonl", "--set", "escalate_below=20"]
    assert cli.main([*more, "--out", "more.jsonl"]) == 4
    for engine in place.values():
        engine.history.clear()
    asking = ["--ask", "--engine", "fake:a", "--out", "asked.jsonl"]
    assert cli.main([*more, *asking]) < 2
    shown = {
        uri: [r for wave in engine.history for r in wave if r.images]
        for uri, engine in place.items()
    }
    assert [uri for uri, requests in shown.items() if requests] == ["fake:large"]
    judge(*BOTH, "--escalate-below", "20", "--out", "all.jsonl")
    assert read_records(Path("asked.jsonl")) == read_records(Path("all.jsonl"))


def test_thresholds_belong_to_all_engines(place, capsys):
    Path("in/labels.csv").write_text(
        "image,violations\n" + "".join(f"{n:03d}.png,{'bright' * (n > 127)}\n" for n in SHADES)
    )
    judge(*BOTH, "--exhaustive", "--out", "r.jsonl")
    line = ["calibrate", "--records", "r.jsonl", "--labels", "in/labels.csv", "--out", "t.yaml"]
    assert cli.main(line) == 4  # five labels promise nothing
    assert [ref.uri for ref in load(Path("t.yaml")).made_by.also] == ["fake:b"]
    capsys.readouterr()
    assert judge(*BOTH, "--thresholds", "t.yaml", "--out", "with.jsonl") != 2
    assert judge("--also", "fake:b", "--thresholds", "t.yaml") == 2
    assert "made with another panel of engines (--also, --escalate-to)" in capsys.readouterr().err


def test_a_spec_of_before_opens_one_engine():
    spec = JudgeSpec.__new__(JudgeSpec)
    spec.__setstate__(["rules", "fake:", "default", None, None, None, {}])
    assert (spec.engine, spec.also, spec.escalate_to) == ("fake:", (), None)


def test_ray_asks_the_same(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="pip install 'safejudge[ray]'")
    from safejudge.files.stored import open_stored

    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "in", 6, seed=5)
    line = ["judge", "in", "--ignore", "*.jsonl", "--constitution", "sketch", "--engine", "fake:",
            "--also", "fake:", "--escalate-to", "fake:", "--escalate-below", "2"]  # fmt: skip
    cli.main([*line, "--out", "r.jsonl"])
    here = " ".join(capsys.readouterr().err.split())
    cli.main([*line, "--out", "parts", "--ray"])
    there = " ".join(capsys.readouterr().err.split())
    by_name = {r.content["image"]: r.content for r in open_stored(Path("parts"))}
    assert by_name == {
        name: {key: value for key, value in record.items() if value is not None}
        for name, record in read_records(Path("r.jsonl")).items()
    }
    told = [text[text.index("engines: ") :].partition("rules:")[0] for text in (here, there)]
    assert told[0] == told[1]
    cli.main([*line, "--out", "parts", "--ray", "--resume"])
    assert told[0] in " ".join(capsys.readouterr().err.split())


# --- the judge of drawn scenes --------------------------------------------------------------------


@needs_weights
def test_the_drawn_judge_agrees_with_itself(tmp_path):
    write_scenes(tmp_path / "in", 4, seed=11)
    paths = sorted((tmp_path / "in").glob("*.png"))
    with closing(Models.opened("hf:sketch", "default", "default", None)) as models:
        engine = models.engine
        panels = ({}, {"also": (engine,)}, {"escalation": engine})
        rules = load_constitution("sketch")
        alone, also, escalated = (
            Judge(rules, replace(models, **panel), Policy())(paths) for panel in panels
        )
    assert {judgment.label for judgment in alone} >= {"safe", "unsafe"}
    for one, *others in zip(alone, also, escalated, strict=True):
        for other in others:
            assert [one.label, one.violations] == [other.label, other.violations]
            for rule, verdict in one.rules.items():
                assert other.rules[rule].score == pytest.approx(verdict.score, abs=1e-4)
        assert one.usage.probes < others[0].usage.probes <= 2 * one.usage.probes
