"""Stages on the command line: their models, their switches, calibration, and the bench."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeDetector, FakeEncoder, FakeEngine
from safejudge.types import Box

RULES = """\
name: test
rules:
  - id: bright
    category: light
    severity: low
    text: No bright pictures.
    objective: The picture is bright.
    relevance: brightness
    condition: {statement: the picture is bright, look_at: lamp}
  - id: noisy
    category: noise
    severity: low
    text: No noise.
    objective: The picture is noisy.
    condition: the picture is noisy
"""
LAMP = Box(word="lamp", confidence=0.9, left=1, top=1, right=3, bottom=3)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the stages were asked, by a judge of brightness with fake models beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "in").mkdir()
    for value in (0, 100, 170, 255):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(f"in/{value:03d}.png")
    engine = FakeEngine(lambda p: p.images[0].pixels.mean() / 255 if p.images else 0.5)
    encoder = FakeEncoder(lambda r: r.picture.pixels.mean() / 1000 + len(r.text) / 1000)
    detector = FakeDetector({"lamp": [LAMP]})
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: engine)
    for module in ("engines.models", "cli.relevance"):
        monkeypatch.setattr(f"safejudge.{module}.open_encoder", lambda _: encoder)
    monkeypatch.setattr("safejudge.engines.models.open_detector", lambda _: detector)
    return {"engine": engine, "encoder": encoder, "detector": detector}


MODELS = ["--engine", "e:", "--encoder", "e:", "--detector", "d:", "--relevance-threshold", "0.1"]


def judge(capsys, *arguments):
    cli.main(["judge", "in", "--constitution", "rules.yaml", *MODELS, *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def outcomes(records, rule):
    return [record["rules"][rule]["outcome"] for record in records]


def test_all_stages(asked, capsys):
    records = judge(capsys, "--no-cascade", "--set", "region=true")
    assert outcomes(records, "bright")[0] == "not_relevant"
    assert outcomes(records, "bright")[-1] == "violated"
    assert records[0]["rules"]["bright"]["similarity"] == pytest.approx(0.01)
    middle = records[2]["rules"]["bright"]["preconditions"][0]
    assert middle["boxes"][0]["word"] == "lamp"
    assert [read["view"] for read in middle["reads"]][-1] == "region_removed"
    assert outcomes(records, "noisy")[0] == "not_violated"  # the likest, so asked all the same
    assert len(asked["detector"].history) == 1


@pytest.mark.usefixtures("asked")
def test_stages_that_are_wanted_and_have_no_model_are_named_at_the_start(capsys):
    command = ["judge", "in", "--constitution", "rules.yaml", "--engine", "e:"]
    cli.main([*command, "--no-relevance"])
    assert capsys.readouterr().err.startswith("safejudge: note: no detector, so no regions")
    cli.main([*command, "--no-regions"])
    assert capsys.readouterr().err.startswith("safejudge: note: no encoder, so every rule")
    cli.main([*command, "--no-regions", "--no-relevance"])
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("switch", "unused"),
    [("--no-relevance", "encoder"), ("--no-regions", "detector")],
)
def test_switches_leave_a_stage_out(asked, capsys, switch, unused):
    judge(capsys, "--no-cascade", switch)
    assert asked[unused].history == []


def test_without_a_prior_nothing_is_asked_without_an_image(asked, capsys):
    judge(capsys, "--no-cascade", "--no-prior")
    assert all(probe.images for wave in asked["engine"].history for probe in wave)


def test_exhaustive_asks_every_rule_and_changes_no_verdict(asked, capsys):
    plain = judge(capsys, "--no-cascade")
    records = judge(capsys, "--no-cascade", "--exhaustive")
    for name in ("bright", "noisy"):
        assert outcomes(records, name) == outcomes(plain, name)
        verdicts = [record["rules"][name] for record in records]
        assert all(verdict["score"] is not None for verdict in verdicts)
        assert all(verdict["unfiltered"] for verdict in verdicts)
    assert [r["label"] for r in records] == [r["label"] for r in plain]
    assert {r["bound"] for record in records for r in record["rules"].values()} == {"exact"}


@pytest.mark.parametrize("value", ["7", "nan"])
def test_a_threshold_must_be_a_cosine(asked, capsys, value):
    argv = ["judge", "in", "--constitution", "rules.yaml", *MODELS]
    assert cli.main([*argv, "--relevance-threshold", value]) == 2
    assert "no cosine" in capsys.readouterr().err


def test_an_encoder_without_a_threshold_is_refused(asked, capsys):
    argv = ["judge", "in", "--constitution", "rules.yaml", "--engine", "e:", "--encoder", "e:"]
    assert cli.main(argv) == 2
    assert "--relevance-threshold" in capsys.readouterr().err
    assert cli.main([*argv, "--no-relevance", "--no-cascade"]) in {0, 1, 4}


def test_calibration(asked, capsys):
    argv = ["relevance", "in", "--constitution", "rules.yaml", "--encoder", "e:"]
    assert cli.main([*argv, "--keep", "0.25"]) == 0
    out = capsys.readouterr().out
    threshold = float(out.split("threshold ")[1].split(":")[0])
    pairs = [value / 1000 + n / 1000 for value in (0, 100, 170, 255) for n in (10, 21)]
    assert sum(pair > threshold + 1e-4 for pair in pairs) == 2
    assert "25% of 8 pairs of 4 images and 2 rules" in out
    assert "bright" in out


@pytest.mark.parametrize("keep", ["0", "1", "-3", "nan"])
def test_calibration_wants_a_share(asked, capsys, keep):
    argv = ["relevance", "in", "--constitution", "rules.yaml", "--encoder", "e:"]
    assert cli.main([*argv, "--keep", keep]) == 2
    assert "share" in capsys.readouterr().err


def test_calibration_of_nothing_readable(asked, capsys, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"junk")
    argv = ["relevance", "bad.png", "--constitution", "rules.yaml", "--encoder", "e:"]
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert "1 of 1 images could not be read (the first: bad.png: not_an_image" in err
    assert "no image gave a number" in err


def test_the_bench_runs_and_goes_on_from_its_answers(tmp_path, capsys):
    argv = ["sketch", "bench", "--engine", "fake:", "--per-rule", "1", "--plain", "1"]
    argv += ["--answers", str(tmp_path / "answers")]
    assert cli.main(argv) == 0
    first = capsys.readouterr().out
    assert first.startswith("25 scenes, fake:")
    assert "| default without cascade |" in first
    assert math.isfinite(float(first.split("| clue-tree | ")[1].split(" |")[0]))
    assert cli.main(argv) == 0
    assert capsys.readouterr().out == first
