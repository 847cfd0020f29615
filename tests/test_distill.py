"""A distilled filter: it learns what a judge says, states its threshold, skips what it knows."""

from __future__ import annotations

import json
import math
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from safejudge import Judge
from safejudge.cli import app as cli
from safejudge.decide.replay import Made, Replay, made_now
from safejudge.distill.cut import Pairs, enough
from safejudge.distill.labels import BOUND, CAPTIONED, FAILED, REPEATED, UNDECIDED, read_labels
from safejudge.distill.recipe import FilterRecipe
from safejudge.distill.run import BEGUN, CHECKPOINT, RECORDS, claim, distill
from safejudge.engines.fake import FakeEngine
from safejudge.engines.open import open_encoder
from safejudge.engines.vision.scorer import HEAD, SETTINGS
from safejudge.errors import EngineSetupError, InputError, OutputError, PolicyError, StatementError
from safejudge.files.records import header, record, to_line
from safejudge.files.stored import open_stored
from safejudge.policy import Policy
from safejudge.preference.scorer import PreferenceScorer
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import MODELS
from safejudge.sketch.world.sample import even_scene
from safejudge.types import (
    Constitution,
    Picture,
    Precondition,
    Rule,
    Severity,
    Similarity,
)

BACKBONE = f"hf:{MODELS / 'encoder'}"
RECIPE = FilterRecipe(BACKBONE, layers=0, epochs=25, keep=0.95, held_out=0.3)
IMAGES = 72
PLAIN = Policy(prior=False)
EXACT = PLAIN.exact()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small only lose time waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rule(name, statement, relevance=None):
    return Rule(
        id=name, category="c", severity=Severity.LOW, text=name, objective=f"It is {name}.",
        relevance=relevance, condition=Precondition(statement=statement),
    )  # fmt: skip


NIGHT, DAY, NEVER = (rule(n, f"The scene is {n}.") for n in ("night", "day", "never"))
RULES = Constitution(name="light", rules=(NIGHT, DAY, NEVER))


def is_dark(picture):
    return float(picture.pixels.mean()) < 90


def answer(probe):
    """Nights are dark, and nothing is ever the third."""
    if not probe.images or "never" in probe.question:
        return 0.02
    return 0.97 if is_dark(probe.images[0]) == ("night" in probe.question) else 0.03


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Scenes by night, one in four, and by day."""
    folder = tmp_path_factory.mktemp("images")
    rng = random.Random(8)
    for number in range(IMAGES):
        scene = replace(even_scene(rng), flaw=None, night=number % 4 == 0)
        Image.fromarray(draw(scene).pixels).save(folder / f"{number:03}.png")
    return folder


def judged(paths, out, rules=RULES, *, script=answer, policy=EXACT, prompts=None):
    """Records as `judge --out` writes them."""
    judge = Judge.load(rules, FakeEngine(script), policy, None, encoder=None, detector=None)
    results = judge([str(path) for path in paths], prompts)
    head = header("1", judge.provenance, None, judged_by=judge.described(), folder=str(Path.cwd()))
    lines = [record(str(path), result) for path, result in zip(paths, results, strict=True)]
    out.write_text("".join(map(to_line, [head, *lines])), encoding="utf-8")
    return out


def labels_of(path):
    return read_labels(open_stored(path))


@pytest.fixture(scope="module")
def records(images, tmp_path_factory):
    return judged(sorted(images.iterdir()), tmp_path_factory.mktemp("records") / "records.jsonl")


@pytest.fixture(scope="module")
def distilled(records, tmp_path_factory):
    """The folder of a filter, and what was found."""
    out = tmp_path_factory.mktemp("filter") / "out"
    return out, made(records, out)


def made(records, out, recipe=RECIPE, *, resume=False, overwrite=False, **flags):
    lock = claim(out, resume=resume, overwrite=overwrite)
    try:
        return distill(labels_of(records), out, recipe, **flags)
    finally:
        lock.close()


# --- labels ---------------------------------------------------------------------------------------


def test_labels_are_what_was_read_and_decided(images, tmp_path):
    def script(probe):
        return 0.5 if "day" in probe.question else answer(probe)

    paths = sorted(images.iterdir())[:4]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"junk")
    policy = EXACT.model_copy(update={"open_means": "undecided"})
    file = judged([*paths, paths[0], broken], tmp_path / "r.jsonl", script=script, policy=policy)
    labels = labels_of(file)
    assert [sorted(one.scores) for one in labels.pictures] == [["never", "night"]] * 4
    assert [one.violated for one in labels.pictures] == [{"night"}, set(), set(), set()]
    assert all(one.undecided == {"day"} for one in labels.pictures)
    assert labels.left_out == {UNDECIDED: 4}
    assert labels.images_left_out == {REPEATED: 1, FAILED: 1}
    scores = [one.scores["night"] for one in labels.pictures]
    assert scores[0] > 0.9
    assert max(scores[1:]) < 0.1


def test_a_bound_is_no_label_and_a_caption_leaves_none(images, tmp_path):
    condition = {"all": [{"statement": "never"}, {"statement": "night"}]}
    both = NIGHT.model_copy(update={"condition": type(RULES).model_validate(
        {"name": "x", "rules": [NIGHT.model_dump() | {"condition": condition}]}
    ).rules[0].condition})  # fmt: skip
    rules = Constitution(name="two", rules=(both, DAY))
    paths = sorted(images.iterdir())[:2]
    early = EXACT.model_copy(update={"exhaustive": False})
    labels = labels_of(judged(paths, tmp_path / "r.jsonl", rules, policy=early))
    assert labels.left_out == {BOUND: 2}
    file = judged(paths, tmp_path / "c.jsonl", prompts=["a caption", None])
    labels = labels_of(file)
    assert labels.left_out == {CAPTIONED: 3}
    assert len(labels.pictures) == 1
    with pytest.raises(InputError, match=r"none of its records says .*a caption.*--exhaustive"):
        labels_of(judged(paths, tmp_path / "n.jsonl", prompts=["one", "two"]))


def test_of_an_animation_a_pair_is_of_the_frame_that_decided(images, tmp_path):
    paths = sorted(images.iterdir())
    day, night = Image.open(paths[1]), Image.open(paths[0])
    moving = tmp_path / "moving.png"
    day.save(moving, save_all=True, append_images=[night], default_image=False)
    labels = labels_of(judged([moving], tmp_path / "r.jsonl"))
    frames = {r: one.place.frame for one in labels.pictures for r in one.violated}
    assert frames == {"night": 1, "day": 0}


# --- the threshold --------------------------------------------------------------------------------


def pairs(numbers, violated):
    names = [str(i) for i in range(len(numbers))]
    flags = np.array(violated, dtype=bool)
    return Pairs(["r"] * len(numbers), names, flags, np.array(numbers, float))


ABOVE = st.floats(-1, 1, exclude_min=True)
"""What a filter's number may be: there is no threshold below -1."""


@given(
    st.lists(
        st.tuples(st.one_of(ABOVE, st.just(math.nan)), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.floats(0.5, 0.999),
)
def test_the_threshold_keeps_the_share(rows, keep):
    numbers, violated = zip(*rows, strict=True)
    held = pairs(numbers, violated)
    if not any(v and not math.isnan(n) for n, v in rows):
        with pytest.raises(InputError, match="no held-out image violates"):
            held.threshold(keep)
        return
    kept = held.kept_above(held.threshold(keep))
    assert kept.violated.n == sum(violated)
    assert kept.violated.value >= keep - 1e-9
    # And it is the highest: the least of what is kept would be lost above it.
    least = min(n for n, v in rows if v and not n <= kept.threshold)
    if not math.isnan(least) and len({n for n, v in rows if v}) == sum(violated):
        assert held.kept_above(least).violated.value < keep + 1 / sum(violated)


def test_pairs_without_a_number_are_kept():
    held = pairs([math.nan, 0.5, -0.5, -0.9], [True, True, False, False])
    found = held.kept_above(0.0)
    assert (found.violated.value, found.dropped) == (1.0, 0.5)
    assert held.kept_above(held.dropping(0.5)).dropped == 0.5
    assert held.kept_above(held.dropping(1.0)).dropped == 0.75
    assert enough(0.995) == 600


# --- learning -------------------------------------------------------------------------------------


def test_it_learns_what_the_judge_says(distilled):
    out, found = distilled
    assert set(found.learned) == {"night", "day"}
    assert "0 of the pictures to learn from" in found.unlearned["never"]
    assert found.losses[0] > found.losses[-1]
    assert found.kept.violated.value >= RECIPE.keep
    assert found.kept.dropped > 0.4  # of the half that is not violated
    settings = json.loads((out / SETTINGS).read_text())
    assert settings["filter"]["threshold"] == found.kept.threshold
    assert settings["filter"]["constitution"] == RULES.digest()
    assert settings["held_out"]["images"] + settings["trained_on"]["pictures"] == IMAGES


def test_the_folder_is_an_encoder_with_the_same_numbers(images, distilled):
    out, found = distilled
    encoder = open_encoder(f"scorer:{out}")
    assert encoder.card.learned.threshold == found.kept.threshold
    by_image = {Picture.of(np.asarray(Image.open(p))): p for p in sorted(images.iterdir())[:9]}
    requests = [Similarity(p, f"It is {n}.") for p in by_image for n in ("night", "day", "never")]
    numbers = encoder.similarities(requests)
    assert all(math.isnan(n) for n in numbers[2::3])
    assert all(-1 < n < 1 for n in numbers[0::3])
    threshold = found.kept.threshold
    right = [
        (numbers[3 * i] > threshold) >= is_dark(p) and (numbers[3 * i + 1] > threshold)
        >= (not is_dark(p)) for i, p in enumerate(by_image)
    ]  # fmt: skip
    assert sum(right) >= 8
    assert encoder.similarities([]) == []
    with pytest.raises(StatementError, match=r"'It is never.' is no rule that scorer:"):
        encoder.check_texts(["It is never."])
    encoder.check_texts(["It is night."])
    encoder.close()


def stopping(after):
    left = iter(range(after))

    def tick(count):
        if count and next(left, None) is None:
            raise KeyboardInterrupt

    return tick


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(images, tmp_path):
    file = judged(sorted(images.iterdir())[:24], tmp_path / "r.jsonl")
    recipe = replace(RECIPE, layers=1, epochs=2)
    whole = made(file, tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        made(file, tmp_path / "torn", recipe, tick=stopping(0))
    assert not (tmp_path / "torn" / SETTINGS).exists()
    again = made(file, tmp_path / "torn", recipe, resume=True)
    assert len(again.losses) == 1
    assert np.array_equal(again.held_out.numbers, whole.held_out.numbers)
    for name in (HEAD, "model.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("whole", "torn"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    base = load_file(MODELS / "encoder" / "model.safetensors")
    changed = {key for key in base if not torch.equal(base[key].float(), one[key].float())}
    assert all("text_model" not in key for key in changed)
    assert {key for key in changed if ".layers." in key}
    assert all(".layers.3." in key for key in changed if ".layers." in key)
    # Another recipe is another filter: nothing of the checkpoint is taken up.
    other = made(file, tmp_path / "torn", replace(recipe, seed=1), resume=True)
    assert len(other.losses) == 2


@pytest.mark.parametrize("content", [b"", b"not", b"PK"])
def test_a_damaged_checkpoint_says_what_to_do(images, tmp_path, content):
    file = judged(sorted(images.iterdir())[:24], tmp_path / "r.jsonl")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        made(file, out, RECIPE, tick=stopping(0))
    (out / CHECKPOINT).write_bytes(content)
    with pytest.raises(OutputError, match=r"checkpoint\.pt: is damaged.*remove it"):
        made(file, out, RECIPE, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 9}, "--layers 9: the vision_model has 4"),
        ({"rate": math.inf}, "epoch 1 ended with a loss that is no number"),
    ],
)
def test_recipes_that_cannot_be_followed(records, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        made(records, tmp_path / "out", replace(RECIPE, **change))


def test_what_cannot_be_learned_from(images, tmp_path):
    paths = sorted(images.iterdir())
    with pytest.raises(InputError, match="labels of 1 image;"):
        made(judged(paths[:1], tmp_path / "one.jsonl"), tmp_path / "out")
    never = judged(paths, tmp_path / "never.jsonl", Constitution(name="n", rules=(NEVER,)))
    with pytest.raises(InputError, match=r"no rule can be learned \(never: .* in 0 of"):
        made(never, tmp_path / "out")
    gone = tmp_path / "gone"
    shutil.copytree(images, gone)
    file = judged(sorted(gone.iterdir()), tmp_path / "gone.jsonl")
    shutil.rmtree(gone)
    with pytest.raises(InputError, match=r"none of 72 pictures .* its file is missing \(216\)"):
        made(file, tmp_path / "out")


def test_pictures_that_are_gone_or_changed_are_left_out(images, tmp_path):
    shutil.copytree(images, tmp_path / "in")
    paths = sorted((tmp_path / "in").iterdir())
    file = judged(paths, tmp_path / "r.jsonl")
    paths[0].unlink()
    paths[1].write_bytes(paths[2].read_bytes())
    found = made(file, tmp_path / "out", replace(RECIPE, epochs=1))
    assert found.left_out == {"its file is missing": 3, "its file is changed": 3}
    assert found.pictures + len(set(found.held_out.images)) == IMAGES - 2


def test_texts_that_are_no_name_for_a_rule(images, tmp_path):
    long = rule("long", "The scene is day.", "word " * 59)
    same = rule("same", "The scene is day.", "It is night.")
    rules = Constitution(name="r", rules=(NIGHT, DAY, long, same))
    file = judged(sorted(images.iterdir()), tmp_path / "r.jsonl", rules)
    found = made(file, tmp_path / "out", replace(RECIPE, epochs=1))
    assert list(found.learned) == ["day"]
    assert "too long" in found.unlearned["long"]
    assert "same text" in found.unlearned["same"] == found.unlearned["night"]


# --- judging --------------------------------------------------------------------------------------


def judge_with(folder, rules=RULES, policy=PLAIN):
    engine = FakeEngine(answer)
    return Judge.load(rules, engine, policy, None, encoder=f"scorer:{folder}", detector=None)


def never(*rules):
    return PLAIN.model_copy(update={"never_skipped": rules})


def outcomes(judge, path):
    (result,) = judge([str(path)])
    return {name: verdict.outcome for name, verdict in result.rules.items()}


def test_its_threshold_is_used_and_what_it_did_not_learn_is_asked(images, distilled):
    out, found = distilled
    with judge_with(out) as judge:
        assert judge.policy.relevance_threshold == found.kept.threshold
        assert judge.policy.never_skipped == ("never",)
        assert any("did not learn 1 rule as written" in note for note in judge.notes)
        seen = [outcomes(judge, path) for path in sorted(images.iterdir())]
    assert {one["never"] for one in seen} == {"not_violated"}
    assert sum(one["night"] == "not_relevant" for one in seen) > IMAGES / 3
    assert sum(one["night"] == "violated" for one in seen) >= IMAGES / 4 - 2


@pytest.mark.parametrize(
    "change",
    [
        {"condition": Precondition(statement="It is night, and it rains.")},
        {"objective": "It is very dark."},
        {"text": "Nights."},
    ],
)
def test_an_edited_rule_is_asked_of_every_picture(images, distilled, change):
    out, _ = distilled
    edited = RULES.model_copy(update={"rules": (NIGHT.model_copy(update=change), DAY, NEVER)})
    with judge_with(out, edited) as judge:
        assert judge.policy.never_skipped == ("night", "never")
        for path in sorted(images.iterdir())[:8]:
            assert outcomes(judge, path)["night"] != "not_relevant"


def test_a_filter_of_other_rules_is_refused(distilled):
    out, _ = distilled
    with pytest.raises(PolicyError, match="learned none of other as it stands"):
        judge_with(out, Constitution(name="other", rules=(NEVER,)))
    off = PLAIN.unfiltered()
    with judge_with(out, Constitution(name="other", rules=(NEVER,)), off) as judge:
        assert not judge.policy.filters


def test_rules_that_a_person_never_wants_skipped(images, distilled):
    out, _ = distilled
    with judge_with(out, policy=never("night")) as judge:
        assert judge.policy.never_skipped == ("night", "never")
        seen = [outcomes(judge, path)["night"] for path in sorted(images.iterdir())[:8]]
    assert "not_relevant" not in seen
    with pytest.raises(PolicyError, match="never_skipped: light has no rule 'nihgt'"):
        judge_with(out, policy=never("nihgt"))


def test_the_drawn_backbone_keeps_its_door(images, records, tmp_path):
    out = tmp_path / "out"
    made(records, out, replace(RECIPE, backbone="hf:sketch", epochs=1))
    encoder = open_encoder(f"scorer:{out}")
    noise = Picture.of(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    scene = Picture.of(np.asarray(Image.open(images / "000.png")))
    one, other = encoder.similarities([Similarity(p, "It is night.") for p in (noise, scene)])
    assert math.isnan(one)
    assert math.isfinite(other)


def test_a_replay_asks_an_edited_rule_too(images, distilled):
    out, found = distilled
    path = sorted(images.iterdir())[1]
    with judge_with(out) as judge:
        (result,) = judge([str(path)])
        then = Made(judge.constitution, judge.policy, judge.provenance)
    assert result.rules["night"].outcome == "not_relevant"
    changed = {"condition": Precondition(statement="It rains.")}
    edited = RULES.model_copy(update={"rules": (NIGHT.model_copy(update=changed), DAY)})
    now = made_now(then, edited, PLAIN)
    assert now.policy.relevance_threshold == found.kept.threshold
    assert now.policy.never_skipped == ("night",)
    assert Replay(then, now)(result).result.rules["night"].outcome == "undecided"
    same = made_now(then, RULES, then.policy)
    assert Replay(then, same)(result).result.rules == result.rules


# --- other doors ----------------------------------------------------------------------------------


def test_a_preference_scorer_is_no_filter_and_a_filter_no_scorer(distilled, tmp_path):
    out, _ = distilled
    with pytest.raises(EngineSetupError, match="is a relevance filter that distill made"):
        PreferenceScorer.load(out)
    scorer = tmp_path / "scorer"
    shutil.copytree(out, scorer)
    settings = json.loads((scorer / SETTINGS).read_text())
    del settings["filter"]
    (scorer / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(PolicyError, match=r"which picture is preferred.*safejudge distill"):
        judge_with(scorer)


@pytest.mark.parametrize(
    "stated", [None, {}, {"threshold": "x", "rules": {}}, {"threshold": 0.1, "rules": {}},
               {"threshold": 7, "rules": {"a": {"text": "a", "digest": "b"}}},
               {"threshold": 0.1, "rules": {"a": {"text": "a"}}}],
)  # fmt: skip
def test_a_damaged_folder(distilled, tmp_path, stated):
    copy = tmp_path / "copy"
    shutil.copytree(distilled[0], copy)
    settings = json.loads((copy / SETTINGS).read_text())
    (copy / SETTINGS).write_text(json.dumps(settings | {"filter": stated}))
    with pytest.raises(EngineSetupError, match="distill the filter again"):
        open_encoder(f"scorer:{copy}")


def test_folders_that_may_not_be_written(distilled, tmp_path):
    out, _ = distilled
    with pytest.raises(OutputError, match="holds a filter"):
        claim(out, resume=False, overwrite=False)
    (tmp_path / "precious.txt").write_text("x")
    for flags in ((False, False), (True, False), (False, True)):
        with pytest.raises(OutputError, match=r"holds 'precious.txt', which is no filter"):
            claim(tmp_path, resume=flags[0], overwrite=flags[1])
    scorer = tmp_path / "scorer"
    scorer.mkdir()
    (scorer / BEGUN).write_text('{"pairs": "x", "recipe": {}}')
    with pytest.raises(OutputError, match="begun by train-scorer"):
        claim(scorer, resume=True, overwrite=False)
    with claimed(tmp_path / "new"), pytest.raises(OutputError):
        claim(tmp_path / "new", resume=True, overwrite=False)


class claimed:  # noqa: N801 - reads as a word
    def __init__(self, out):
        self.lock = claim(out, resume=False, overwrite=False)

    def __enter__(self):
        return self.lock

    def __exit__(self, *_):
        self.lock.close()


# --- the command line -----------------------------------------------------------------------------


def test_the_command_learns_from_records(records, images, tmp_path, capsys):
    out = tmp_path / "filter"
    command = [
        "distill", "--records", str(records), "--backbone", BACKBONE, "--out", str(out),
        "--layers", "0", "--epochs", "25", "--keep", "0.9",
    ]  # fmt: skip
    assert cli.main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Held-out pairs of picture and rule" in printed
    assert f"{BACKBONE}, as much dropped" in printed
    assert "Learned from 54 pictures; the threshold is from 18 other images" in printed
    assert "cannot tell 90.0% from a worse share; 30 could" in printed
    assert "never is asked of every picture" in printed
    assert f"scorer:{out}" in printed
    assert cli.main(command) == 2
    assert "--resume goes on" in " ".join(capsys.readouterr().err.split())
    assert cli.main([*command, "--resume"]) == 0
    assert "learned anew" not in capsys.readouterr().err
    assert cli.main([*command, "--resume", "--epochs", "1"]) == 0
    assert "learned anew" in capsys.readouterr().err
    assert {CHECKPOINT, BEGUN, SETTINGS, HEAD} <= {path.name for path in out.iterdir()}


def test_the_command_judges_first_and_goes_on(images, tmp_path, capsys):
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: r\nrules:\n"
        + "".join(
            f"- id: {n}\n  category: c\n  severity: low\n  text: It is {n}.\n"
            f"  objective: It is {n}.\n  condition: {{statement: It is {n}.}}\n"
            for n in ("night", "day")
        )
    )
    out = tmp_path / "filter"
    command = [
        "distill", str(images), "--constitution", str(rules), "--engine", "fake:",
        "--backbone", BACKBONE, "--out", str(out), "--layers", "0", "--epochs", "1",
    ]  # fmt: skip
    code = cli.main([*command, "--limit", "9"])
    captured = capsys.readouterr()
    assert code == 2, captured.err
    assert "no rule can be learned" in captured.err
    lines = (out / RECORDS).read_text().splitlines()
    assert len(lines) == 10
    assert cli.main([*command, "--resume"]) in (0, 2)  # what is made up may violate too little
    assert (out / RECORDS).read_text().splitlines()[1:10] == lines[1:]
    assert len((out / RECORDS).read_text().splitlines()) == IMAGES + 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name images to judge"),
        (["x.png"], "no constitution is assumed"),
        (["x.png", "--records", "r"], "PATH: means nothing with --records"),
        (
            ["--records", "r", "--engine", "fake:", "--no-prior", "--limit", "3"],
            "--engine, --limit, --no-prior: means nothing with --records",
        ),
        (["--records", "no-such"], "no-such: cannot be read"),
        (["x", "--layers", "some"], "is no whole number from 0 on, and not all"),
        (["x", "--keep", "1"], "is no share between 0 and 1"),
        (["x", "--epochs", "0"], "is no"),
    ],
)
def test_lines_that_are_refused(words, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["distill", "--backbone", BACKBONE, "--out", str(out), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
