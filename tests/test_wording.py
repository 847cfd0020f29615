"""Verdicts in words: every test with its numbers, whichever views were read."""

import pytest

from safejudge import Policy
from safejudge.show import wording
from safejudge.types import (
    AllOf,
    AnyOf,
    Box,
    NoneOf,
    Outcome,
    Precondition,
    PreconditionVerdict,
    Read,
    ReasoningTrace,
    RuleVerdict,
)

YES, NO, OPEN = Outcome.YES, Outcome.NO, Outcome.UNDECIDED
PLAIN = Policy(cascade=False)


def verdict(test, statement="A.", boxes=None, **reads):
    """A verdict whose views were read as these numbers, with a label mass if a pair is given."""
    outcome = {"accept": YES, "region": YES, "reject": NO}.get(test, OPEN)
    pairs = {view: read if isinstance(read, tuple) else (read, 1.0) for view, read in reads.items()}
    return PreconditionVerdict(
        statement=statement,
        look_at="knife",
        outcome=outcome,
        test=test,
        score={YES: 0.9, NO: 0.1, OPEN: 0.5}[outcome],
        margin=0.0,
        reads=tuple(Read(view=v, score=s, label_mass=mass) for v, (s, mass) in pairs.items()),
        boxes=boxes,
    )


BETWEEN = "open: 0.70·p0 = 0.21 ≤ {} ≤ 0.80 + 0.20·p0 = 0.86"


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (verdict("reject", full=0.1, no_image=0.3), ["reject: M 0.10 < 0.70·p0 = 0.21"]),
        (verdict("accept", full=0.9, no_image=0.3), ["accept: M 0.90 > 0.80 + 0.20·p0 = 0.86"]),
        (
            verdict("accept", full=0.86001, no_image=0.3),
            ["accept: M 0.860010 > 0.80 + 0.20·p0 = 0.860000"],
        ),
        (verdict("open", full=0.5, no_image=0.3), [BETWEEN.format("M 0.50")]),
        (
            verdict("region", full=0.7, no_image=0.3, region_removed=0.05),
            [BETWEEN.format("M 0.70"), "region: M 0.70 - M removed 0.05 = 0.65 > 0.60"],
        ),
        (
            verdict("open", full=0.7, no_image=0.3, region_removed=0.5),
            [BETWEEN.format("M 0.70"), "region: M 0.70 - M removed 0.50 = 0.20 ≤ 0.60"],
        ),
        (
            verdict("accept", full=0.5, no_image=0.3, region_crop=0.95),
            [BETWEEN.format("M 0.50"), "accept: M crop 0.95 > 0.80 + 0.20·p0 = 0.86"],
        ),
        (
            verdict("reject", full=0.5, no_image=0.3, region_crop=0.1, region_removed=0.4),
            [BETWEEN.format("M 0.50"), "reject: M crop 0.10 < 0.70·p0 = 0.21"],
        ),
        (
            verdict("region", full=0.8, no_image=0.3, region_crop=0.4, region_removed=0.1),
            [
                BETWEEN.format("M 0.80"),
                BETWEEN.format("M crop 0.40"),
                "region: M 0.80 - M removed 0.10 = 0.70 > 0.60",
            ],
        ),
        (verdict("label_mass", full=(0.5, 0.2), no_image=0.3), ["no test: neither yes nor no"]),
        (verdict("label_mass", full=0.5, no_image=(0.3, 0.2)), ["no test: neither yes nor no"]),
        (verdict("unreadable", full=(None, 0.0), no_image=0.3), ["no test: no readable answer"]),
        (
            verdict("accept", full=(0.5, 0.2), no_image=0.3, region_crop=0.95),
            ["no test: neither yes nor no", "accept: M crop 0.95 > 0.80 + 0.20·p0 = 0.86"],
        ),
        (
            verdict("open", full=0.5, no_image=0.3, region_crop=(None, 0.0)),
            [BETWEEN.format("M 0.50"), "no test of the crop: no readable answer"],
        ),
        (
            verdict("open", full=0.5, no_image=0.3, region_removed=(0.1, 0.2)),
            [BETWEEN.format("M 0.50"), "no region test: neither yes nor no"],
        ),
    ],
)
def test_tests_are_written_with_the_numbers_that_they_compared(found, lines):
    assert wording.tests_in_words(found, PLAIN) == lines


def test_where_the_detector_goes_first_the_crop_stands_in_from_the_start():
    first = Policy.clue_tree()
    accepted = verdict("accept", region_crop=0.95, no_image=0.3)
    assert wording.tests_in_words(accepted, first) == [
        "accept: M crop 0.95 > 0.80 + 0.20·p0 = 0.86"
    ]
    by_region = verdict("region", region_crop=0.5, no_image=0.3, full=0.9, region_removed=0.2)
    assert wording.tests_in_words(by_region, first) == [
        BETWEEN.format("M crop 0.50"),
        "region: M 0.90 - M removed 0.20 = 0.70 > 0.60",
    ]
    unread = verdict("accept", region_crop=(None, 0.0), no_image=0.3, full=0.9)
    assert wording.tests_in_words(unread, first) == ["accept: M 0.90 > 0.80 + 0.20·p0 = 0.86"]


def test_without_a_prior_one_half_stands_in():
    policy = Policy(prior=False, cascade=False)
    found = verdict("reject", full=0.1)
    assert wording.tests_in_words(found, policy) == ["reject: M 0.10 < 0.70·0.5 = 0.35"]
    assert wording.bounds(found, policy) == pytest.approx((0.5, 0.35, 0.9))


def test_what_was_not_reasoned_through_says_so_once():
    found = verdict("open", full=0.7, no_image=0.3, region_removed=0.5)
    first, second = wording.tests_in_words(found, Policy())
    assert first == BETWEEN.format("M 0.70")
    assert second.endswith("≤ 0.60; not reasoned through (already settled)")
    reasoned = found.model_copy(update={"reasoning": ReasoningTrace(text="t", rating="Unsure")})
    assert "not reasoned" not in wording.tests_in_words(reasoned, Policy())[-1]


def test_reads_boxes_and_ratings():
    found = verdict("region", full=0.7, no_image=(None, 0.1), region_removed=0.05, region_crop=0.6)
    assert wording.reads_in_words(found) == (
        "M 0.70 (label mass 1.00), p0 none (label mass 0.10), "
        "M removed 0.05 (label mass 1.00), M crop 0.60 (label mass 1.00)"
    )
    assert wording.boxes_in_words(found) is None
    assert wording.boxes_in_words(verdict("open", boxes=())) == "found: no knife"
    box = Box(word="knife", confidence=0.876, left=1, top=2, right=30, bottom=40)
    there = verdict("open", boxes=(box, box))
    assert wording.boxes_in_words(there) == "found: " + "; ".join(
        ["knife 0.88 at 1,2 to 30,40"] * 2
    )
    weak = [box.model_copy(update={"confidence": 0.1 + n / 100}) for n in range(4)]
    many = wording.boxes_in_words(verdict("open", boxes=(*weak, box)))
    assert many.startswith("found: knife 0.88 at 1,2 to 30,40; knife 0.13 at ")
    assert many.endswith("; knife 0.12 at 1,2 to 30,40; and 2 more, 0.11 at most")
    assert wording.rating_in_words(ReasoningTrace(text="t")) == "no rating"
    rated = ReasoningTrace(text="t", rationale="why", rating="No")
    assert wording.rating_in_words(rated) == "rated No: why"


def test_scores_say_on_which_side_the_full_one_lies():
    def scored(score, bound):
        return RuleVerdict(outcome="violated", score=score, margin=None, bound=bound)

    assert wording.score_in_words(scored(0.5, "upper")) == "at most 0.50"
    assert wording.score_in_words(scored(0.5, "lower")) == "at least 0.50"
    assert wording.score_in_words(scored(None, "exact")) is None


def leaf(name):
    return Precondition(statement=name, look_at="knife")


A, B, C = leaf("a"), leaf("b"), leaf("c")


@pytest.mark.parametrize(
    ("condition", "answers", "names"),
    [
        (A, {"a": NO}, "a"),
        (A, {}, ""),
        (AllOf(all=(A, B)), {"a": YES, "b": NO}, "b"),
        (AllOf(all=(A, B)), {"a": NO, "b": NO}, "a"),
        (AllOf(all=(A, B)), {"a": YES, "b": YES}, "a b"),
        (AllOf(all=(A, B)), {"a": YES, "b": OPEN}, ""),
        (AnyOf(any=(A, B)), {"a": NO, "b": NO}, "a b"),
        (AnyOf(any=(A, B)), {"a": OPEN, "b": YES}, "b"),
        (NoneOf(none=(A, B)), {"a": NO, "b": NO}, "a b"),
        (NoneOf(none=(A, B)), {"b": YES}, "b"),
        (AllOf(all=(A, NoneOf(none=(B, C)))), {"a": YES, "c": YES}, "c"),
        (AllOf(all=(AnyOf(any=(A, B)), NoneOf(none=(A,)))), {"a": NO, "b": NO}, "a b"),
    ],
)
def test_what_settled_a_rule_is_as_little_as_suffices(condition, answers, names):
    tests = {YES: "accept", NO: "reject", OPEN: "open"}
    verdicts = {leaf(name): verdict(tests[o], statement=name) for name, o in answers.items()}
    found = wording.settling(condition, verdicts)
    assert " ".join(v.statement for v in found) == names


def test_what_is_open_and_counts_as_no_says_so():
    counted = verdict("open", full=0.5, no_image=0.3).model_copy(
        update={"test": "open_no", "outcome": NO, "score": 0.25}
    )
    said = "no, because the model says neither clearly yes nor clearly no"
    assert wording.plainly(counted) == said
    (line,) = wording.tests_in_words(counted, Policy(open_means="no"))
    assert line == f"{BETWEEN.format('M 0.50')}; counts as no"


def test_what_a_replay_does_not_know_is_said():
    note = "the records do not hold the view full"
    unknown = verdict("not_asked").model_copy(update={"note": note})
    assert wording.plainly(unknown).startswith("not asked: the records that were replayed")
    assert wording.tests_in_words(unknown, PLAIN) == [f"not asked: {note}"]
    assert wording.bounds(unknown, Policy()) is None
