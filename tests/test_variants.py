"""Runs with one thing changed: what is changed, what is compared, and what stays unsaid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.engines.models import Models
from safejudge.errors import InputError
from safejudge.evals import reliability, variants
from safejudge.evals.suite import EvalResult, Prediction, Run
from safejudge.policy import Policy
from safejudge.sketch.scenes import write_scenes
from safejudge.types import AnswerProbs, EngineCard, Message, Picture, Probe, Reasoning

SCENE = Picture.of(np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3), frame=2)


class Seen:
    """Keeps what it is asked."""

    card = EngineCard("seen:", "seen", "1")

    def __init__(self):
        self.asked = []

    def check_statements(self, statements):
        pass

    def answer_probs(self, probes):
        self.asked += probes
        return [AnswerProbs((0.7, 0.3)) for _ in probes]

    def reason(self, requests):
        self.asked += requests
        return [request.messages[0].text for request in requests]

    def close(self):
        raise AssertionError("the engine is the plain run's")


def plain_run(engine=None):
    return Run(Path("out"), Models(engine or Seen()), Policy(), window=64)


# --- what is changed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name, variant in variants.VARIANTS.items() if variant.change is not None]
)
def test_a_change_makes_another_picture_of_the_same_frame(name):
    change = variants.runs(plain_run(), [name], 0)[name].change
    changed = change(SCENE)
    assert changed.digest != SCENE.digest
    assert (changed.frame, changed.background) == (SCENE.frame, SCENE.background)
    assert change(SCENE) == changed
    factor = {"half": 0.5, "double": 2}.get(name, 1)
    assert changed.pixels.shape == (40 * factor, 60 * factor, 3)


def test_a_mirror_twice_is_no_change_and_grey_has_no_colour():
    changes = {n: r.change for n, r in variants.runs(plain_run(), ["flip", "grey"], 0).items()}
    assert changes["flip"](changes["flip"](SCENE)) == SCENE
    grey = changes["grey"](SCENE).pixels
    assert (grey == grey[..., :1]).all()


def test_worse_jpeg_is_further_from_the_picture():
    smooth = np.add.outer(np.arange(64) * 3, np.arange(64)).astype(np.uint8)
    picture = Picture.of(np.stack([smooth, smooth.T, smooth[::-1]], axis=2))
    off = [
        np.abs(run.change(picture).pixels.astype(int) - picture.pixels).mean()
        for run in variants.runs(plain_run(), ["jpeg-95", "jpeg-50", "jpeg-30"], 0).values()
    ]
    assert off == sorted(off)
    assert off[0] < off[-1]


def test_blind_takes_every_picture_away_and_asks_equal_questions_once():
    engine = Seen()
    run = variants.runs(plain_run(engine), ["blind"], 0)["blind"]
    assert run.models.encoder is None
    assert run.models.detector is None
    pictures = [SCENE, Picture.of(SCENE.pixels[::-1])]
    probes = [Probe("look", (picture,), "fire?") for picture in pictures]
    requests = [Reasoning("look", (p,), (Message("user", "why?"),)) for p in pictures]
    blind = run.models.engine
    assert blind.answer_probs(probes) == [AnswerProbs((0.7, 0.3))] * 2
    assert blind.reason(requests) == ["why?", "why?"]
    assert [one.images for one in engine.asked] == [(), ()]
    blind.close()


def test_runs_lie_below_the_plain_one_and_repeats_have_other_batches():
    made = variants.runs(plain_run(), ["grey"], 2)
    assert {name: run.out for name, run in made.items()} == {
        name: Path("out/variants") / name for name in ("grey", "repeat-1", "repeat-2")
    }
    assert {run.plain for run in made.values()} == {Path("out")}
    assert [made[name].window for name in ("repeat-1", "repeat-2")] == [32, 21]
    assert variants.runs(replace(plain_run(), window=1), [], 1)["repeat-1"].window == 1


def test_folders_come_in_one_order_and_strange_ones_are_left_alone(tmp_path):
    for name in ("repeat-10", "repeat-2", "grey", "blind", "notes", "repeat-x"):
        (tmp_path / "variants" / name).mkdir(parents=True)
    assert list(variants.folders(tmp_path)) == ["blind", "grey", "repeat-2", "repeat-10"]


# --- what is compared -----------------------------------------------------------------------------


def compared(plain, tmp_path, **changed):
    """The numbers of a plain run and changed ones, each a list of answers."""
    said = {tmp_path: plain}
    for name, some in changed.items():
        folder = tmp_path / "variants" / name.replace("_", "-")
        folder.mkdir(parents=True, exist_ok=True)
        said[folder] = some
    found = reliability.report(
        lambda folder: EvalResult((), (), {}, (), predictions=tuple(said[folder])), tmp_path
    )
    return found, found.numbers.get("reliability", {})


def test_agreement_is_over_what_both_answered_and_silence_is_counted(tmp_path):
    plain = [
        Prediction("way", "a", "yes", True, 0.9), Prediction("way", "b", "no", True, 0.1),
        Prediction("way", "c", None, False, 0.5), Prediction("way", "d", "no", False, 0.2),
    ]  # fmt: skip
    grey = [
        Prediction("way", "a", "no", False, 0.4), Prediction("way", "b", "no", True, 0.2),
        Prediction("way", "c", "yes", True, 0.8), Prediction("way", "d", None, False, 0.5),
        Prediction("way", "new", "yes", True, 1.0),
    ]  # fmt: skip
    _, numbers = compared(plain, tmp_path, grey=grey)
    got = {name: numbers[f"way/grey/{name}"] for name in ("same_answer", "score_moved")}
    assert (got["same_answer"]["value"], got["same_answer"]["n"]) == (0.5, 2)
    assert got["score_moved"]["value"] == pytest.approx(0.3)  # of a and b alone
    assert numbers["way/grey/right_gained"]["value"] == 0
    assert numbers["way/grey/right_gained"]["n"] == 4
    assert numbers["way/grey/no_answer"]["value"] == 0.25
    assert numbers["way/grey/no_answer_plain"]["value"] == 0.25


def test_a_rating_without_truth_moves_and_is_no_agreement(tmp_path):
    plain = [Prediction("way", "a", None, None, 3.0), Prediction("way", "b", None, None, None)]
    flip = [Prediction("way", "a", None, None, 4.5), Prediction("way", "b", None, None, 2.0)]
    found, numbers = compared(plain, tmp_path, flip=flip)
    assert numbers["way/flip/score_moved"]["value"] == 1.5
    assert numbers["way/flip/same_answer"]["value"] is None
    assert numbers["way/flip/no_answer_plain"]["value"] == 0.5
    (row,) = found.tables[-1].rows
    assert row[:3] == ("way, flip", "2", "-")


@given(st.lists(st.sampled_from(["yes", "no", None]), min_size=1, max_size=30))
def test_the_same_answers_agree_wholly_whatever_they_are(tmp_path_factory, answers):
    said = [Prediction("way", str(i), one, one == "yes", 0.5) for i, one in enumerate(answers)]
    _, numbers = compared(said, tmp_path_factory.mktemp("same"), jpeg_30=said)
    there = sum(one is not None for one in answers)
    assert numbers["way/jpeg-30/same_answer"]["n"] == there
    assert numbers["way/jpeg-30/same_answer"]["value"] == (1 if there else None)
    assert numbers["way/jpeg-30/right_gained"]["value"] == 0


def test_consistency_is_one_answer_more_than_half_of_the_times(tmp_path):
    def run(*answers):
        return [Prediction("way", str(i), one, None) for i, one in enumerate(answers)]

    found, _ = compared(
        run("yes", "yes", None, "yes"), tmp_path,
        repeat_1=run("yes", "no", None, "no"), repeat_2=run("no", "yes", "yes", None),
    )  # fmt: skip
    table = found.tables[-1]
    assert table.title == "One answer more than half of 3 times"
    assert table.rows[0][:2] == ("way", "4")
    assert table.rows[0][2].startswith("0.500")  # the third is mostly silent, the fourth never one


def test_confidence_is_compared_with_being_right(tmp_path):
    said = [Prediction("way", str(i), "yes", i < 6, confidence=0.9) for i in range(10)]
    said.append(Prediction("way", "tie", "yes", None, confidence=0.9))
    found, numbers = compared(said, tmp_path)
    assert numbers["way/calibration"]["n"] == 10
    assert numbers["way/calibration"]["ece"] == pytest.approx(0.3)
    assert [chart.kind for chart in found.charts] == ["line"]


def test_a_changed_run_that_never_began_is_told(tmp_path):
    (tmp_path / "variants" / "grey").mkdir(parents=True)

    def scored(folder):
        if folder != tmp_path:
            raise InputError(f"{folder}: has no records.jsonl")
        return EvalResult((), (), {}, (), predictions=(Prediction("way", "a", "yes", True),))

    assert "variant grey" in reliability.report(scored, tmp_path).unread[0]


# --- the command ----------------------------------------------------------------------------------


def test_the_command_judges_again_and_overwriting_forgets_old_changes(tmp_path, capsys):
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    write_scenes(scenes, 3, 5)
    command = ["eval", "labelled", "--data", str(scenes), "--constitution", "sketch"]
    command += ["--engine", "fake:", "--out", str(out)]
    assert cli.main([*command, "--variant", "grey", "--variant", "blind", "--repeats", "1"]) == 0
    shown = capsys.readouterr().out
    assert [name in shown for name in ("images, grey", "images, blind", "rules, repeat-1")] == [
        True
    ] * 3
    assert cli.main(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() in shown
    results = json.loads((out / "results.json").read_text())["results"]["labelled"]
    assert results["reliability"]["images/repeat-1/same_answer"]["value"] == 1
    records = (out / "variants" / "grey" / "records.jsonl").read_text().splitlines()
    assert len(records) == 4
    assert cli.main([*command, "--overwrite"]) == 0
    assert "grey" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--variant", "sepia"], "--variant sepia: there is no such change; choose from all, "),
        (["--paper"], "--paper"),
    ],
)
def test_what_fits_no_live_run_is_refused(tmp_path, capsys, more, says):
    command = ["eval", "labelled", "--data", str(tmp_path), "--constitution", "sketch"]
    assert cli.main([*command, "--engine", "fake:", "--out", str(tmp_path / "o"), *more]) == 2
    assert says in capsys.readouterr().err


def test_what_fits_no_recorded_outputs_is_refused(tmp_path, capsys):
    command = ["eval", "mj-bench", "--from-outputs", str(tmp_path), "--variant", "grey"]
    assert cli.main(command) == 2
    assert "--variant" in capsys.readouterr().err
