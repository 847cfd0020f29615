"""The preference scorer: it learns what can be learned, opens again as it was, and goes on."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from safejudge import Judge
from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.engines.open import open_backbone, open_encoder
from safejudge.engines.vision.scorer import HEAD, SETTINGS
from safejudge.errors import EngineSetupError, InputError, OutputError, StatementError
from safejudge.preference.pair_file import read_pairs
from safejudge.preference.recipe import Recipe
from safejudge.preference.scorer import PreferenceScorer
from safejudge.preference.train import CHECKPOINT, split, train
from safejudge.rewards.arithmetic import Blend
from safejudge.rewards.core import SafetyReward
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import MODELS
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Similarity

BACKBONE = f"hf:{MODELS / 'encoder'}"
DRAWN = Recipe("hf:sketch", epochs=12)
PROMPTS = 24


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Scenes by day are preferred to the same scenes by night, whatever the prompt."""
    folder = tmp_path_factory.mktemp("pairs")
    rng, rows = random.Random(4), []
    for number in range(PROMPTS):
        scene = replace(even_scene(rng), flaw=None)
        for name, night in (("day", False), ("night", True)):
            pixels = draw(replace(scene, night=night)).pixels
            Image.fromarray(pixels).save(folder / f"{name}{number}.png")
        prompt = f"exactly {number} {('dogs', 'cats')[number % 2]} are visible"
        rows.append({"prompt": prompt, "chosen": f"day{number}.png",
                     "rejected": f"night{number}.png"})  # fmt: skip
    write(folder / "pairs.jsonl", rows)
    return folder / "pairs.jsonl"


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    """The folder of a scorer, and what its training said."""
    out = tmp_path_factory.mktemp("scorer") / "out"
    return out, train(pairs, out, DRAWN)


def paths(pairs, side):
    return [pair.paths[side] for pair in read_pairs(pairs)]


def captions(pairs):
    return [pair.prompt for pair in read_pairs(pairs)]


# --- learning -------------------------------------------------------------------------------------


def test_it_learns_what_can_be_learned(trained):
    _, done = trained
    assert (done.pairs, done.prompts, len(done.held_out)) == (19, 19, 5)
    assert done.losses[0] > done.losses[-1]
    assert done.losses[-1] < 0.3
    assert [one.margin > 0 for one in done.held_out] == [True] * 5


def test_it_learns_the_opposite_from_the_opposite(pairs, trained, tmp_path):
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    turned = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    folder = tmp_path / "turned"
    shutil.copytree(pairs.parent, folder)
    write(folder / "pairs.jsonl", turned)
    done = train(folder / "pairs.jsonl", tmp_path / "out", DRAWN)
    assert all(one.margin > 0 for one in done.held_out)
    with PreferenceScorer.load(tmp_path / "out") as scorer:
        day, night = (scorer(paths(pairs, side)[:4], captions(pairs)[:4]) for side in (0, 1))
    assert all(dark > light for light, dark in zip(day, night, strict=True))


def test_reloaded_it_gives_the_same_scores(pairs, trained):
    out, done = trained
    with PreferenceScorer.load(out) as scorer:
        better, worse = (scorer(paths(pairs, side), captions(pairs)) for side in (0, 1))
        assert scorer(paths(pairs, 0), captions(pairs)) == better
        assert scorer(paths(pairs, 0)[::-1], captions(pairs)[::-1]) == better[::-1]
    margins = dict(zip(captions(pairs), np.subtract(better, worse), strict=True))
    for one in done.held_out:
        assert margins[one.prompt] == pytest.approx(one.margin, abs=1e-4)


def test_the_split_is_by_prompt_and_by_nothing_else(pairs):
    some = read_pairs(pairs) * 3
    seen, kept = split(some, DRAWN)
    assert len(seen) + len(kept) == len(some)
    assert not {pair.prompt for pair in seen} & {pair.prompt for pair in kept}
    again = split(random.Random(1).sample(some, len(some)), DRAWN)
    assert {pair.prompt for pair in again[1]} == {pair.prompt for pair in kept}
    other = split(some, replace(DRAWN, seed=1))
    assert {pair.prompt for pair in other[1]} != {pair.prompt for pair in kept}
    with pytest.raises(InputError, match="pairs of 1 prompt;"):
        split(some[:1], DRAWN)


def stopping(after):
    left = iter(range(after))

    def tick(_):
        if next(left, None) is None:
            raise KeyboardInterrupt

    return tick


@pytest.mark.parametrize("layers", [0, 1])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(pairs, tmp_path, layers):
    recipe = Recipe(BACKBONE, epochs=3, layers=layers)
    # Few pairs: with layers, towers run on every step.
    small = tmp_path / "small.jsonl"
    rows = [json.loads(line) for line in pairs.read_text().splitlines()][:6]
    for row in rows:
        for side in ("chosen", "rejected"):
            shutil.copy(pairs.parent / row[side], tmp_path)
    write(small, rows)
    whole = train(small, tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        train(small, tmp_path / "torn", recipe, tick=stopping(1))
    assert not (tmp_path / "torn" / SETTINGS).exists()
    again = train(small, tmp_path / "torn", recipe, resume=True)
    assert len(again.losses) == 1
    assert again.held_out == whole.held_out
    for name in (HEAD, "model.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("whole", "torn"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    base = load_file(MODELS / "encoder" / "model.safetensors")
    changed = {key for key in base if not torch.equal(base[key].float(), one[key].float())}
    assert bool(changed) == bool(layers)
    assert all(".layers.3." in key or ".layers.1." in key for key in changed)


def test_more_layers_than_there_are(pairs, tmp_path):
    with pytest.raises(InputError, match="--layers 9: the vision_model has 4"):
        train(pairs, tmp_path / "out", Recipe(BACKBONE, layers=9))


def test_pairs_that_cannot_be_used_are_left_out_and_counted(pairs, tmp_path):
    shutil.copytree(pairs.parent, tmp_path / "in")
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    (tmp_path / "in" / rows[0]["chosen"]).write_bytes(b"junk")
    rows[1]["prompt"] = "word " * 100
    rows[2]["prompt"] = " "
    write(tmp_path / "in" / "pairs.jsonl", rows)
    done = train(tmp_path / "in" / "pairs.jsonl", tmp_path / "out", replace(DRAWN, epochs=1))
    assert done.pairs + len(done.held_out) == PROMPTS - 3
    assert dict(done.left_out) == {
        "a picture cannot be read": 1,
        "the prompt is too long for the text side": 1,
        "there is no prompt": 1,
    }
    write(tmp_path / "in" / "pairs.jsonl", rows[:2])
    with pytest.raises(InputError, match="none of 2 pairs can be learned from: a picture"):
        train(tmp_path / "in" / "pairs.jsonl", tmp_path / "new", DRAWN)
    assert not (tmp_path / "new").exists()


def test_overall_is_learned_where_there_is_such(pairs, tmp_path):
    shutil.copytree(pairs.parent, tmp_path / "in")
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    file = tmp_path / "in" / "pairs.jsonl"
    write(file, [row | {"aspect": ("overall", "safety")[n % 2]} for n, row in enumerate(rows)])
    done = train(file, tmp_path / "out", replace(DRAWN, epochs=1))
    assert {one.aspect for one in done.held_out} == {"overall"}
    done = train(file, tmp_path / "two", replace(DRAWN, epochs=1, aspects=("safety", "overall")))
    assert done.pairs + len(done.held_out) == PROMPTS
    with pytest.raises(InputError, match="no pair is of the aspect beauty"):
        train(file, tmp_path / "new", replace(DRAWN, aspects=("beauty",)))


# --- folders --------------------------------------------------------------------------------------


def test_folders_that_may_not_be_written(pairs, trained, tmp_path):
    out, _ = trained
    with pytest.raises(OutputError, match="holds a scorer"):
        train(pairs, out, DRAWN)
    with pytest.raises(OutputError, match="other pairs or options"):
        train(pairs, out, replace(DRAWN, seed=3), resume=True)
    (tmp_path / "precious.txt").write_text("x")
    for flags in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(OutputError, match=r"holds 'precious.txt', which is no scorer"):
            train(pairs, tmp_path, DRAWN, **flags)
    assert (out / SETTINGS).is_file()
    assert (out / CHECKPOINT).is_file()


def test_folders_that_are_no_scorer(trained, tmp_path):
    out, _ = trained
    with pytest.raises(EngineSetupError, match="no preference scorer"):
        open_encoder(f"scorer:{tmp_path}")
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / HEAD).write_bytes(b"junk")
    with pytest.raises(EngineSetupError, match=r"head.safetensors is missing, damaged"):
        open_encoder(f"scorer:{copy}")
    (copy / SETTINGS).write_text("[]")
    with pytest.raises(EngineSetupError, match="no preference scorer"):
        open_encoder(f"scorer:{copy}")
    with pytest.raises(EngineSetupError, match="names no encoder"):
        open_encoder("scorer:")
    with pytest.raises(EngineSetupError, match="names no backbone"):
        open_backbone("sketch")


def test_the_revision_is_over_head_and_backbone(trained, tmp_path):
    out, _ = trained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    first = open_encoder(f"scorer:{copy}").card
    assert first.uri == f"scorer:{copy}"
    head = load_file(copy / HEAD)
    save_file({key: value + 1 for key, value in head.items()}, copy / HEAD)
    assert open_encoder(f"scorer:{copy}").card.revision != first.revision


# --- scoring --------------------------------------------------------------------------------------


def test_there_is_no_number_for_what_cannot_be_scored(pairs, trained):
    out, _ = trained
    good = paths(pairs, 0)[0]
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    with PreferenceScorer.load(out) as scorer:
        found = scorer(
            [good, "missing.png", b"junk", good, good, good, noise],
            ["a dog is visible", "x", "x", None, "  ", "word " * 99, "a dog is visible"],
        )
        assert isinstance(found[0], float)
        # The last one is no drawn scene, and this backbone knows nothing else.
        assert found[1:] == [None] * 6
        assert scorer(np.stack([noise, noise]), ["x", "y"]) == [None, None]
        assert scorer([good]) == [None]
        assert scorer([], []) == []
        with pytest.raises(InputError, match="2 images but 1 prompt"):
            scorer([good, good], ["x"])


def test_it_is_an_encoder(trained):
    out, _ = trained
    encoder = open_encoder(f"scorer:{out}")
    with pytest.raises(StatementError):
        encoder.check_texts(["word " * 100])
    picture = Picture.of(draw(even_scene(random.Random(1))).pixels)
    one, other = (Similarity(picture, text) for text in ("a dog is visible", "a cat is visible"))
    scores = encoder.similarities([one, other, one])
    assert scores[0] == scores[2] != scores[1]
    assert encoder.similarities([]) == []
    encoder.close()
    encoder.close()


def test_it_is_the_other_half_of_a_reward(pairs, trained):
    out, _ = trained
    images = [*paths(pairs, 0)[:2], "missing.png"]
    texts = [*captions(pairs)[:2], "x"]
    judge = Judge.load("sketch", FakeEngine(lambda _: 0.1), cache=None, encoder=None, detector=None)
    with PreferenceScorer.load(out) as scorer:
        blend = Blend(scorer, floor=-100)
        ratings = SafetyReward(judge, blend=blend, with_prompts=False).rate(images, texts)
        assert [rating.other for rating in ratings] == scorer(images, texts)
    assert ratings[2].reward is None


# --- the command line -----------------------------------------------------------------------------


def test_the_command_and_the_suite(pairs, tmp_path, capsys):
    out = tmp_path / "scorer"
    command = [
        "train-scorer", str(pairs), "--backbone", "hf:sketch", "--out", str(out), "--epochs", "8",
    ]  # fmt: skip
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "Learned from 19 pairs of 19 prompts." in said
    assert f"scorer:{out}" in said
    assert cli.main(command) == 2
    assert "--resume goes on" in capsys.readouterr().err.replace("\n", " ")
    measure = [
        "eval", "preference", "--data", str(pairs), "--engine", "fake:",
        "--encoder", f"scorer:{out}", "--out", str(tmp_path / "run"),
        "--suite-arg", "readings=weighted", "--suite-arg", "modes=single",
    ]  # fmt: skip
    assert cli.main(measure) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())["results"]["preference"]
    (found,) = (v for k, v in results[f"scorer:{out}"].items() if k.endswith("acc_with_tie"))
    assert found["n"] == PROMPTS
    assert found["value"] > 0.9


@pytest.mark.parametrize(
    "words", [["--held-out", "1"], ["--epochs", "0"], ["--layers", "-1"], ["--held-out", "x"]]
)
def test_numbers_that_are_refused(words, capsys):
    base = ["train-scorer", "x", "--backbone", "hf:sketch", "--out", "y"]
    assert cli.main([*base, *words]) == 2
    assert "is no" in capsys.readouterr().err
