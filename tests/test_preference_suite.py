"""Pairs judged live: the right order scores 1, the other 0, and what was not said is no choice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.constitution.load import load_constitution
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import InputError, OutputError
from safejudge.evals.mjbench import prompts as mjbench_prompts
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.pairs import suite as pairs_suite
from safejudge.evals.suite import Run
from safejudge.evals.suites import find_suite
from safejudge.policy import Policy
from safejudge.preference.pair_file import read_pairs
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


def dark_is_good(probe):
    """Whoever is asked a rating, a choice or a rule says how dark a picture is."""
    shades = [float(picture.pixels.mean()) / 255 for picture in probe.images]
    if "First" in probe.labels:
        shades = shades or [0.5, 0.5]
        first = 0.5 + (shades[1] - shades[0]) / 2
        return AnswerProbs((first, 1 - first))
    if len(probe.labels) == 2:
        return shades[0] if shades else 0.5
    shade = shades[0] if shades else 0.5
    return AnswerProbs((shade, 0, 0, 0, 1 - shade))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Twelve pairs of two aspects; the darker picture is the better one."""
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    rows = []
    for number in range(12):
        for name, shade in (("dark", 10 + number), ("light", 240 + number)):
            Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(f"{name}{number}.png")
        aspect = ("safety", "overall")[number % 2]
        row = {"prompt": f"lamp {number}", "chosen": f"dark{number}.png",
               "rejected": f"light{number}.png", "aspect": aspect}  # fmt: skip
        rows.append(row)
    write(rows)
    return rows


def write(rows, name="pairs.jsonl"):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def told(engine=None, encoder=None, **about):
    models = Models(engine or FakeEngine(dark_is_good, replies=lambda _: "no idea"), encoder)
    policy = Policy(cascade=False, crop=False, region=False, exhaustive=True)
    rules = load_constitution("./rules.yaml")
    Path("run").mkdir(exist_ok=True)
    return Run(Path("run"), models, policy, rules, **({"data": "pairs.jsonl"} | about))


def numbers(run):
    pairs_suite.judge(run)
    return pairs_suite.SUITE.report(run.out)


def accuracy(scored, way, aspect):
    judge, _, name = way.partition(" ")
    (found,) = (v for k, v in scored.numbers[judge].items()
                if name in k and aspect in k and k.endswith("acc_with_tie"))  # fmt: skip
    return found["value"], found["n"]


WAYS = ("fake: constitution score", "fake: constitution outcome", "fake: 1-5 single weighted")


def test_the_right_order_is_right_and_the_other_wrong(place):
    scored = numbers(told())
    for aspect in ("safety", "overall"):
        for way in WAYS:
            assert accuracy(scored, way, aspect) == (1.0, 6)
        assert accuracy(scored, "fake: choice multi weighted", aspect) == (1.0, 12)
    turned = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in place]
    write(turned)
    scored = numbers(told(overwrite=True))
    for way in WAYS:
        assert accuracy(scored, way, "overall") == (0.0, 6)


def test_what_cannot_be_read_is_no_choice(place):
    scored = numbers(told())
    value, n = accuracy(scored, "fake: 1-5 single written", "safety")
    assert (value, n) == (0.0, 6)
    (text,) = {row[7] for row in scored.tables[0].rows if "single written" in row[0]}
    assert text == "100.0"  # unparsed


def test_a_broken_picture_is_counted_and_never_right(place):
    Path("light0.png").write_bytes(b"junk")
    Path("dark2.png").unlink()
    scored = numbers(told())
    assert "2 of 12 items have a picture that cannot be read." in scored.findings
    for way in WAYS:
        assert accuracy(scored, way, "safety") == (pytest.approx(4 / 6), 6)


def test_an_encoder_is_a_score_model(place):
    encoder = FakeEncoder(lambda pair: -float(pair.picture.pixels.mean()), uri="scorer:x")
    scored = numbers(told(encoder=encoder))
    assert accuracy(scored, "scorer:x preference score", "overall") == (1.0, 6)
    assert all(request.text.startswith("lamp") for wave in encoder.history for request in wave)
    encoder = FakeEncoder(lambda _: float("nan"), uri="scorer:nan")
    scored = numbers(told(encoder=encoder, overwrite=True))
    assert accuracy(scored, "scorer:nan preference score", "overall") == (0.0, 6)


def test_a_score_model_is_no_filter_of_rules(place):
    encoder = FakeEncoder(lambda pair: -float(pair.picture.pixels.mean()), uri="scorer:x")
    run = told(encoder=encoder)
    run = replace(run, policy=run.policy.model_copy(update={"relevance": True}))
    assert accuracy(numbers(run), WAYS[0], "safety") == (1.0, 6)


def test_equal_scores_are_ties(place):
    encoder = FakeEncoder(lambda _: 0.25, uri="scorer:same")
    scored = numbers(told(encoder=encoder))
    assert accuracy(scored, "scorer:same preference score", "overall") == (0.0, 6)
    (ties,) = {row[5] for row in scored.tables[0].rows if row[0].startswith("scorer:same")}
    assert ties == "100.0"


def test_the_better_picture_does_not_always_come_first(place):
    rows = [row | {"prompt": f"lamp {n}"} for n in range(20) for row in place]
    write(rows)
    items = list(pairs_suite._samples(read_pairs(Path("pairs.jsonl"))))
    assert len({item.key for item in items}) == len(items) == 240
    assert 80 < sum(item.label == "0" for item in items) < 160
    for item in items:
        assert item.images[int(item.label)].name.startswith("dark")
    write([place[0], place[0]])
    one, other = pairs_suite._samples(read_pairs(Path("pairs.jsonl")))
    assert (one.images, one.label) == (other.images, other.label)
    assert one.key != other.key


def test_a_run_that_goes_on_asks_nothing_twice(place):
    engine = FakeEngine(dark_is_good, replies=lambda _: "no idea")
    pairs_suite.judge(told(engine, limit=2))
    asked = {p for wave in engine.history for request in wave for p in request.images}
    assert len(asked) == 8  # two pairs of each aspect
    before = len(engine.history)
    pairs_suite.judge(told(engine, resume=True))
    later = {p for wave in engine.history[before:] for r in wave for p in r.images}
    assert not asked & later
    done = len(engine.history)
    pairs_suite.judge(told(engine, resume=True))
    assert len(engine.history) == done
    with pytest.raises(OutputError, match="exists already"):
        pairs_suite.judge(told(engine))


def test_parts_and_limits(place):
    scored = numbers(told(splits=("safety",), limit=3, seed=1))
    assert accuracy(scored, WAYS[0], "safety") == (1.0, 3)
    assert not any("overall" in name for name in scored.numbers["fake:"])
    assert accuracy(numbers(told(resume=True)), WAYS[0], "overall") == (1.0, 6)
    with pytest.raises(InputError, match="no pair is of the aspect beauty; choose safety, overall"):
        pairs_suite.judge(told(splits=("beauty",)))
    with pytest.raises(InputError, match="needs its pairs"):
        pairs_suite.judge(replace(told(), data=None))
    with pytest.raises(InputError, match="revision"):
        pairs_suite.judge(told(args={"revision": "main"}))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "x", "chosen": "dark0.png"}, "write one"),
        ({"prompt": "x", "chosen": "a", "rejected": "a"}, "both pictures are 'a'"),
        ({"prompt": "x", "chosen": "a", "rejected": ""}, "`rejected` names no picture"),
        ({"prompt": 1, "chosen": "a", "rejected": "b"}, "`prompt` is a int"),
        ({"prompt": "x", "chosen": "a", "rejected": "b", "aspect": "A: ignore"}, "is no name"),
        ({"prompt": "x", "chosen": "../a", "rejected": "b"}, "outside the folder"),
    ],
)
def test_files_of_pairs_that_cannot_be_meant_so(place, row, said):
    write([place[0], row])
    with pytest.raises(InputError, match=f"pairs.jsonl:2: .*{said}"):
        read_pairs(Path("pairs.jsonl"))


def test_every_aspect_has_a_criterion_and_other_digests_stay():
    whole = mjbench_prompts.digest()
    assert whole == mjbench_prompts.digest(("alignment", "safety", "quality", "bias"))
    assert whole != mjbench_prompts.digest(("overall",))
    asked = {
        aspect: mjbench_prompts.rating("protocol", aspect, "1-5", "x", label_only=True, image=None)
        for aspect in ("safety", "prompt-following", "fidelity", "aesthetics", "overall", "mine")
    }
    assert len({ask.instruction for ask in asked.values()}) == 5
    assert asked["overall"] == asked["mine"]
    ask = mjbench_prompts.rating("protocol", "overall", "1-5", "x", label_only=False, image=None)
    assert "OVERALL-RATING:" in ask.instruction


def test_the_command_and_its_report(place, monkeypatch, capsys):
    engine = FakeEngine(dark_is_good, replies=lambda _: "RATING: 3")
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: engine)
    assert find_suite("preference").report is mjbench_run.report
    command = [
        "eval", "preference", "--data", "pairs.jsonl", "--engine", "fake:",
        "--constitution", "rules.yaml", "--no-cascade", "--no-regions", "--out", "run",
        "--suite-arg", "readings=weighted", "--variant", "blind",
    ]  # fmt: skip
    assert cli.main(command) == 0
    assert "constitution score" in capsys.readouterr().out
    assert cli.main(["report", "run"]) == 0
    assert "constitution score" in capsys.readouterr().out
    assert Path("run/report.html").is_file()
    assert Path("run/samples_preference.jsonl").is_file()
