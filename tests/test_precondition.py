"""One precondition's steps: what is looked at, in which order, and which test decides."""

import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.flow import drive, gather
from safejudge.method.precondition import Scene, next_step, precondition_flow
from safejudge.method.rule import rule_flow
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    AnswerProbs,
    Box,
    Locate,
    NoneOf,
    Outcome,
    Picture,
    Precondition,
    Probe,
)

SIDE = 40
PICTURE = Picture.of(np.full((SIDE, SIDE, 3), 200, np.uint8))
LEAF = Precondition(statement="a", look_at="knife")
YES, NO, OPEN = 0.95, 0.1, 0.6  # against a prior of 0.5 the bounds are 0.35 and 0.9
BROKEN = AnswerProbs((0.0, 0.0), problem="no drawn scene")
REGIONS = Policy(region=True)
"""The default with the region test of the paper."""


def box(size, confidence=0.5):
    return Box(word="knife", confidence=confidence, left=10, top=10, right=10 + size,
               bottom=10 + size)  # fmt: skip


BIG, SMALL = (box(10),), (box(3),)


@dataclass
class World:
    """Answers by view: which one a probe shows is told by its pixels."""

    full: object = OPEN
    crop: object = OPEN
    removed: object = OPEN
    prior: object = 0.5
    boxes: tuple = BIG
    rating: str = "Yes"
    log: list = field(default_factory=list)

    def __call__(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        if isinstance(request, Locate):
            self.log.append("locate")
            return self.boxes
        view = self.view(request.images)
        if isinstance(request, Probe):
            self.log.append(view)
            value = getattr(self, view)
            return value if isinstance(value, AnswerProbs) else AnswerProbs((value, 1 - value))
        if request.schema is None:
            self.log.append(f"reason {view}")
            return "thoughts"
        return json.dumps({"rationale": "because", "rating": self.rating})

    def view(self, images):
        if not images:
            return "prior"
        if images[0] == PICTURE:
            return "full"
        return "removed" if images[0].pixels.shape == PICTURE.pixels.shape else "crop"


def judge(world, policy=REGIONS, leaf=LEAF):
    verdict = drive(gather([precondition_flow(leaf, Scene(PICTURE, None, policy))]), world)[0]
    assert next_step(verdict, policy) is None
    return verdict


@pytest.fixture(autouse=True)
def a_picture_with_something_in_it(monkeypatch):
    """A removed region must differ from the picture, or both are one view."""
    monkeypatch.setattr("safejudge.method.views.GREY", 0)
    monkeypatch.setattr("safejudge.method.views._around", lambda *_: 0)


@pytest.mark.parametrize("m", [YES, NO])
def test_what_the_full_view_settles_is_not_located(m):
    world = World(full=m)
    assert judge(world).boxes is None
    assert world.log == ["full", "prior"]


def test_an_open_answer_that_falls_with_its_object_is_a_yes():
    world = World(full=0.75, removed=0.1)
    verdict = judge(world)
    assert (verdict.outcome, verdict.test) == (Outcome.YES, "region")
    assert verdict.score > 0.5
    assert verdict.boxes == BIG
    assert world.log == ["full", "prior", "locate", "removed"]
    assert [read.view for read in verdict.reads] == ["full", "no_image", "region_removed"]


def test_the_region_test_only_accepts():
    world = World(full=0.4, removed=0.9, rating="No")
    assert judge(world).test == "reasoning"
    assert world.log == ["full", "prior", "locate", "removed", "reason full"]


@pytest.mark.parametrize("removed", [0.15, BROKEN, AnswerProbs((0.01, 0.01))])
def test_what_is_no_drop_by_the_margin_decides_nothing(removed):
    verdict = judge(World(full=0.75, removed=removed), Policy(region=True, cascade=False))
    assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "open")
    assert (verdict.note is not None) == (removed is BROKEN)


def test_a_small_object_is_looked_at_from_near():
    world = World(boxes=SMALL, crop=YES)
    verdict = judge(world)
    assert (verdict.outcome, verdict.test) == (Outcome.YES, "accept")
    assert world.log == ["full", "prior", "locate", "crop", "removed"]
    assert judge(World(boxes=SMALL, crop=NO)).outcome is Outcome.NO
    assert judge(World(boxes=BIG, crop=NO)).test == "reasoning"


def test_reasoning_looks_at_the_crop_where_there_is_one():
    world = World(boxes=SMALL)
    assert judge(world).test == "reasoning"
    assert world.log[-1] == "reason crop"
    world = World(boxes=SMALL, crop=BROKEN)
    assert "no drawn scene" in judge(world, Policy(region=True, cascade=False)).note
    judge(world)
    assert world.log[-1] == "reason full"


def test_where_the_detector_finds_nothing_reasoning_comes_next():
    for boxes in ((), (box(10, confidence=0.04),)):
        world = World(boxes=boxes)
        assert judge(world).boxes == ()
        assert world.log == ["full", "prior", "locate", "reason full"]


def test_no_central_object_no_detector():
    world = World()
    judge(world, leaf=Precondition(statement="a"))
    assert world.log == ["full", "prior", "reason full"]


@pytest.mark.parametrize(
    ("off", "log"),
    [
        ({"crop": False}, ["full", "prior", "locate", "removed", "reason full"]),
        ({"region": False}, ["full", "prior", "locate", "crop", "reason crop"]),
        ({"crop": False, "region": False}, ["full", "prior", "reason full"]),
        ({"cascade": False}, ["full", "prior", "locate", "crop", "removed"]),
        ({"prior": False}, ["full", "locate", "crop", "removed", "reason crop"]),
    ],
)
def test_switches(off, log):
    world = World(boxes=SMALL)
    judge(world, Policy(**{"region": True} | off))
    assert world.log == log


def test_without_a_prior_it_is_one_half():
    policy = Policy(prior=False, cascade=False)
    assert judge(World(full=0.34), policy).outcome is Outcome.NO
    assert judge(World(full=0.36, boxes=()), policy).outcome is Outcome.UNDECIDED
    assert judge(World(full=0.91), policy).outcome is Outcome.YES


# --- Algorithm 1 ----------------------------------------------------------------------------------


def test_algorithm_1_locates_first_and_the_crop_stands_in_for_the_picture():
    world = World(full=NO, crop=YES, boxes=SMALL)
    verdict = judge(world, Policy.clue_tree())
    assert (verdict.outcome, verdict.test) == (Outcome.YES, "accept")
    assert world.log == ["locate", "crop", "prior"]


def test_algorithm_1_compares_the_whole_picture_in_the_region_test():
    world = World(full=0.8, crop=OPEN, removed=0.1, boxes=SMALL)
    assert judge(world, Policy.clue_tree()).test == "region"
    assert world.log == ["locate", "crop", "prior", "full", "removed"]
    world = World(removed=0.5, boxes=SMALL, rating="No")
    assert judge(world, Policy.clue_tree()).outcome is Outcome.NO
    assert world.log[-1] == "reason crop"


def test_a_crop_that_cannot_be_read_gives_way_to_the_picture():
    world = World(full=YES, crop=BROKEN, boxes=SMALL)
    verdict = judge(world, Policy.clue_tree())
    assert (verdict.outcome, verdict.test) == (Outcome.YES, "accept")
    assert world.log == ["locate", "crop", "prior", "full"]


# --- several preconditions ------------------------------------------------------------------------


def test_a_rule_asks_all_cheap_questions_before_the_detector_and_it_before_reasoning():
    leaves = [Precondition(statement=s, look_at=s) for s in "ab"]
    world = World(rating="No")
    scene = Scene(PICTURE, None, REGIONS)
    verdict = drive(gather([rule_flow(AllOf(all=tuple(leaves)), scene)]), world)[0]
    assert verdict.outcome == "not_violated"
    assert world.log == [
        "full", "prior", "full", "prior", "locate", "removed", "locate", "removed", "reason full",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "looked"),
    [
        (lambda leaf: leaf, True),
        (lambda leaf: NoneOf(none=(leaf,)), False),
        (lambda leaf: NoneOf(none=(NoneOf(none=(leaf,)),)), True),
        (lambda leaf: AllOf(all=(leaf, NoneOf(none=(leaf,)))), False),
    ],
)
def test_an_exception_is_not_put_to_the_region_test(tree, looked):
    def log(policy):
        world = World(boxes=BIG, rating="No")
        condition = tree(Precondition(statement="s", look_at="s"))
        drive(gather([rule_flow(condition, Scene(PICTURE, None, policy))]), world)
        return world.log

    for policy in (REGIONS, REGIONS.exhaustively()):
        assert ("removed" in log(policy)) == looked
        assert "locate" in log(policy)  # the crop is no such test
    assert "removed" in log(Policy(region=True, region_under_none=True))
    assert "removed" in log(Policy.clue_tree())


numbers = st.one_of(st.floats(0, 1), st.just(BROKEN), st.just(AnswerProbs((0.1, 0.1))))
policies = st.builds(
    Policy,
    prior=st.booleans(), crop=st.booleans(), region=st.booleans(), cascade=st.booleans(),
    locate_first=st.booleans(), minimum_label_mass=st.sampled_from([0.0, 0.5]),
)  # fmt: skip


@given(
    st.builds(
        World, full=numbers, crop=numbers, removed=numbers, prior=numbers,
        boxes=st.sampled_from([BIG, SMALL, ()]),
        rating=st.sampled_from(["Yes", "No", "Unsure", "no rating"]),
    ),
    policies,
)  # fmt: skip
def test_score_and_outcome_never_contradict_each_other(world, policy):
    verdict = judge(world, policy)
    views = [read.view for read in verdict.reads]
    assert len(set(views)) == len(views)
    assert math.isfinite(verdict.margin)
    if verdict.outcome is Outcome.YES:
        assert verdict.score > 0.5
        assert verdict.test in {"accept", "region", "reasoning"}
    if verdict.outcome is Outcome.NO:
        assert verdict.score < 0.5
        assert verdict.test in {"reject", "reasoning"}
    if verdict.test in {"open", "label_mass", "unreadable"}:
        assert verdict.outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("locate_first", [False, True])
def test_what_is_open_counts_as_no_only_when_no_look_is_left(locate_first):
    policy = Policy(region=True, open_means="no", locate_first=locate_first)
    verdict = judge(World(removed=0.55), policy)
    assert (verdict.outcome, verdict.test) == (Outcome.NO, "open_no")
    assert [read.view for read in verdict.reads] == ["full", "no_image", "region_removed"]
    world = World(full=0.75, removed=0.01)
    assert judge(world, policy).test == "region"
    assert judge(World(boxes=()), policy).test == "open_no"
    assert not any(step.startswith("reason") for step in world.log)
