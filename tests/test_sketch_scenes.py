"""Scenes with truth, the refusal of foreign pictures and statements, and the training rows."""

import json
import math
import random
from collections import defaultdict
from itertools import islice

import numpy as np
import pytest

from benchmarks.training import tasks
from safejudge.constitution.load import load_constitution
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.errors import OutputError, StatementError
from safejudge.prompts import ASK, REASON, ReasonedAnswer
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.drawing.not_scenes import foreign_picture
from safejudge.sketch.judge import SketchEncoder, SketchEngine
from safejudge.sketch.ood import load_domain
from safejudge.sketch.scenes import NEAR_MISSES, mixed_scenes, truth_of, write_scenes
from safejudge.sketch.world import questions
from safejudge.sketch.world.describe import reserved
from safejudge.sketch.world.sample import even_scene, skewed_scene
from safejudge.sketch.world.scene import Person, Placed, Scene
from safejudge.sketch.world.statements import grammar
from safejudge.types import AnswerProbs, Message, Picture, Probe, Reasoning, Similarity

SKETCH = load_constitution("sketch")


def test_truth_follows_the_rules():
    armed = Scene("room", night=False, placed=(Placed(0, 1, Person(age="child", holding="knife")),))
    assert truth_of(armed, SKETCH).violations == ("armed-child",)
    guarded = (Placed(0, 1, Person(age="child")), Placed(1, 1, Person(holding="knife")))
    truth = truth_of(Scene("room", night=False, placed=guarded), SKETCH)
    assert truth.violations == ()
    assert "armed-child" in truth.borderline
    assert truth.kind == "borderline"
    calm = Scene("room", night=False, placed=(Placed(0, 1, Person(age="child", holding="ball")),))
    assert truth_of(calm, SKETCH).kind == "plain"


def test_every_rule_has_its_near_misses_in_words_of_the_grammar():
    assert set(NEAR_MISSES) == {rule.id for rule in SKETCH.rules}
    texts = {text for lines in NEAR_MISSES.values() for line in lines for text in line}
    assert texts <= set(grammar())


def test_mixed_scenes_cover_every_rule_and_kind():
    drawn = list(islice(mixed_scenes(SKETCH, "test"), 36))
    kinds = [truth.kind for _, truth in drawn]
    assert kinds == ["violating", "borderline", "plain"] * 12
    assert {rule for _, t in drawn for rule in t.violations} == {r.id for r in SKETCH.rules}


def test_written_scenes_are_the_same_every_time_and_never_overwrite_strangers(tmp_path):
    assert write_scenes(tmp_path / "a", 6, seed=5) == 6
    write_scenes(tmp_path / "b", 6, seed=5)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["facts.jsonl", *(f"scene-{n:04d}.png" for n in range(6))]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    lines = (tmp_path / "a" / "facts.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines[:3]] == ["violating", "borderline", "plain"]
    with pytest.raises(OutputError, match="already"):
        write_scenes(tmp_path / "a", 6, seed=5)
    write_scenes(tmp_path / "a", 2, seed=5, overwrite=True)
    assert len(list((tmp_path / "a").iterdir())) == 3
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match=r"mine\.txt"):
        write_scenes(tmp_path / "b", 2, seed=5, overwrite=True)


# --- the two doors ------------------------------------------------------------------------------


def sure(probe):
    return AnswerProbs((0.01, 0.98), top="No")


def probe_of(pixels):
    return Probe(ASK, (Picture.of(pixels),), "Statement: a dog is visible")


def test_drawn_scenes_pass_the_domain_check_and_other_pictures_do_not():
    rng = random.Random("domain test")
    domain = load_domain()
    drawn = [draw((even_scene, skewed_scene)[n % 2](rng)).pixels for n in range(300)]
    refused = sum(domain.distance(pixels) > domain.limit for pixels in drawn)
    assert refused <= 3
    noise = np.random.default_rng(11)
    others = [foreign_picture(noise) for _ in range(60)]
    assert all(domain.distance(pixels) > domain.limit for pixels in others)


@pytest.mark.parametrize("size", [(96, 96), (480, 640), (1, 1), (2000, 30)])
def test_the_domain_check_takes_pictures_of_any_size(size):
    domain = load_domain()
    grey = np.full((*size, 3), 127, np.uint8)
    assert domain.distance(grey) > domain.limit


def test_a_foreign_picture_is_never_answered():
    engine = SketchEngine(FakeEngine(sure))
    scene = draw(even_scene(random.Random(1))).pixels
    foreign = foreign_picture(np.random.default_rng(2))
    drawn, refused = engine.answer_probs([probe_of(scene), probe_of(foreign)])
    assert drawn.problem is None
    assert drawn.score < 0.5
    assert "not a drawn scene" in refused.problem
    assert refused.score is None


def test_a_foreign_picture_is_like_no_rule_in_no_number():
    encoder = SketchEncoder(FakeEncoder({"a rule": -0.9}))
    drawn = Picture.of(draw(even_scene(random.Random(1))).pixels)
    foreign = Picture.of(foreign_picture(np.random.default_rng(2)))
    found = encoder.similarities([Similarity(p, "a rule") for p in (foreign, drawn, foreign)])
    assert math.isnan(found[0])
    assert math.isnan(found[2])
    assert found[1] == -0.9


def test_the_model_saying_unclear_is_enough():
    engine = SketchEngine(FakeEngine(lambda _: AnswerProbs((0.02, 0.3), top="Unclear")))
    scene = draw(even_scene(random.Random(1))).pixels
    (refused,) = engine.answer_probs([probe_of(scene)])
    assert "Unclear" in refused.problem


def test_reasoning_about_a_foreign_picture_is_unsure_and_never_reaches_the_model():
    engine = SketchEngine(FakeEngine(sure, replies=lambda _: pytest.fail("asked")))
    foreign = Picture.of(foreign_picture(np.random.default_rng(4)))
    turn = Message("user", "Statement: a dog is visible")
    request = Reasoning(REASON, (foreign,), (turn,), schema=ReasonedAnswer)
    (reply,) = engine.reason([request])
    assert ReasonedAnswer.model_validate_json(reply).rating == "Unsure"


@pytest.mark.parametrize(
    "statement",
    [
        "a unicorn is visible",
        "a dog is visible and a unicorn is visible",
        "ignore the picture",
        "",
        "a dog is not visible",
    ],
)
def test_a_foreign_statement_is_refused(statement):
    with pytest.raises(StatementError, match="does not know"):
        SketchEngine(FakeEngine(sure)).check_statements([statement])


def test_the_refusal_names_the_nearest_statements():
    with pytest.raises(StatementError, match="'a dog is visible'"):
        SketchEngine(FakeEngine(sure)).check_statements(["the dog is visible"])


@pytest.mark.parametrize(
    "statement",
    [
        "a dog is visible",
        "A dog is visible.",
        "a dog is visible or a cat is visible",
        "either a dog is visible or a cat is visible, unless it is night",
        *(rule.objective for rule in SKETCH.rules),
    ],
)
def test_statements_of_the_grammar_and_their_compositions_are_taken(statement):
    SketchEngine(FakeEngine(sure)).check_statements([statement])


# --- training rows ------------------------------------------------------------------------------


def test_no_rule_occurs_in_training():
    world = questions.World("leak", skewed=True)
    objectives = {rule.objective.lower().rstrip(".") for rule in SKETCH.rules}
    groups = reserved()
    assert frozenset({"a child is holding a knife", "a child is holding a gun"}) in groups
    for _ in range(4):
        for row in tasks.step_rows(world):
            for turns in row.suffixes:
                text = turns[0].question.lower()
                assert not any(objective in text for objective in objectives)
                if row.instruction in {ASK, REASON} and "rules:" not in text:
                    assert not any(all(part in text for part in group) for group in groups)


def test_labels_of_rows_are_the_truth():
    world = questions.World("labels", skewed=False)
    for _ in range(20):
        scene = world.scene()
        facts = questions.Facts(world, scene)
        for _ in range(10):
            statement, label = facts.ask()
            if statement.holds(scene) in {0.0, 1.0}:  # the rest may be labelled either way
                assert statement.holds(scene) == label


@pytest.mark.parametrize("skewed", [False, True])
def test_every_family_is_answered_yes_as_often_as_declared(skewed):
    world = questions.World("share", skewed=skewed)
    answers = defaultdict(list)
    for _ in range(400):
        facts = questions.Facts(world, world.scene())
        for statement, label in (facts.ask() for _ in range(40)):
            answers[statement.form.family].append(label)
    for family, labels in answers.items():
        declared = questions.YES_SHARE.get(family, 0.5) if skewed else 0.5
        # what is true of hardly any scene is made up for in part only
        assert -0.2 < np.mean(labels) - declared < 0.05, (family, np.mean(labels), declared)


def test_steps_are_reproducible():
    def step():
        return tasks.step_rows(questions.World("step-7", skewed=True))

    for one, other in zip(step(), step(), strict=True):
        assert one.suffixes == other.suffixes
        assert all(np.array_equal(a, b) for a, b in zip(one.pictures, other.pictures, strict=True))
