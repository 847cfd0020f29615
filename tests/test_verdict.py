"""One image through the whole method, answered from tables."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.errors import PolicyError
from safejudge.flow import drive, gather
from safejudge.method.opinions import precondition_flow
from safejudge.method.precondition import Scene, was_read
from safejudge.method.rule import rule_flow
from safejudge.method.verdict import conclude, image_flow
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Constitution,
    Frames,
    ImageInput,
    NoneOf,
    Outcome,
    Picture,
    Precondition,
    Probe,
    Provenance,
    Rule,
    Severity,
    leaves,
)

NAMES = "abcd"
A, B, C, D = POOL = [Precondition(statement=name) for name in NAMES]
YES, NO, OPEN = 0.95, 0.1, 0.5  # M against the prior of 0.5: bounds are 0.35 and 0.9


def picture(shade=0, frame=None, background=None):
    return Picture.of(np.full((2, 2, 3), shade, np.uint8), frame, background)


def image(*pictures):
    return ImageInput("id", "image[0]", pictures or (picture(),))


def rule(condition, name="r"):
    return Rule(
        id=name,
        category="c",
        severity=Severity.LOW,
        text="t",
        objective="o",
        condition=condition,
    )


def constitution(**conditions):
    return Constitution(name="c", rules=tuple(rule(c, name) for name, c in conditions.items()))


@dataclass
class Table:
    """Answers by statement: M of the full view and ratings, perhaps by shade of the picture."""

    full: dict
    ratings: dict = field(default_factory=dict)
    prior: object = 0.5
    log: list = field(default_factory=list)

    def __call__(self, requests):
        return [self.probe(r) if isinstance(r, Probe) else self.reason(r) for r in requests]

    def probe(self, request):
        statement = request.question.removeprefix("Statement: ")
        self.log.append(("read" if request.images else "prior", statement))
        value = self.full[statement] if request.images else self.prior
        if isinstance(value, dict):
            value = value[int(request.images[0].pixels[0, 0, 0])]
        return value if isinstance(value, AnswerProbs) else AnswerProbs((value, 1 - value))

    def reason(self, request):
        statement = request.messages[0].text.removeprefix("Statement: ")
        if request.schema is None:
            self.log.append(("reason", statement))
            return f"thoughts about {statement}"
        rating = self.ratings[statement]
        if isinstance(rating, dict):
            rating = rating[int(request.images[0].pixels[0, 0, 0])]
        if rating not in ("Yes", "No", "Unsure"):
            return rating
        return json.dumps({"rationale": "because", "rating": rating})

    def asked(self):
        return [step for step in self.log if step[0] != "prior"]


def judge_rule(condition, table, policy):
    return drive(gather([rule_flow(condition, Scene(picture(), None, policy))]), table)[0]


def judge_leaf(table, policy):
    return drive(precondition_flow(A, Scene(picture(), None, policy)), table)


# --- one precondition -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "ratings", "outcome", "test"),
    [
        (NO, {}, Outcome.NO, "reject"),
        (YES, {}, Outcome.YES, "accept"),
        (OPEN, {"a": "Yes"}, Outcome.YES, "reasoning"),
        (OPEN, {"a": "No"}, Outcome.NO, "reasoning"),
        (OPEN, {"a": "Unsure"}, Outcome.UNDECIDED, "reasoning"),
        (OPEN, {"a": "Yes!"}, Outcome.UNDECIDED, "unreadable"),
    ],
)
def test_precondition(m, ratings, outcome, test):
    verdict = judge_leaf(Table({"a": m}, ratings), Policy())
    assert (verdict.outcome, verdict.test) == (outcome, test)
    assert [read.view for read in verdict.reads] == ["full", "no_image"]
    assert [read.score for read in verdict.reads] == [m, 0.5]
    if outcome is not Outcome.UNDECIDED:
        assert (verdict.score > 0.5) == (outcome is Outcome.YES)
        assert (verdict.margin > 0) == (outcome is Outcome.YES)
    if test == "unreadable":
        assert verdict.reasoning.problem
        assert verdict.note == verdict.reasoning.problem


def test_view_and_prior_go_in_one_wave():
    waves = []

    def answer(requests):
        waves.append(len(requests))
        return Table({"a": YES})(requests)

    judge_rule(A, answer, Policy())
    assert waves == [2]


def test_unreadable_reasoning_is_no_under_clue():
    verdict = judge_leaf(Table({"a": OPEN}, {"a": "{"}), Policy.clue_tree())
    assert verdict.outcome is Outcome.NO
    assert verdict.score < 0.5
    assert verdict.reasoning.problem


def test_without_cascade_the_open_stay_open():
    table = Table({"a": OPEN})
    verdict = judge_leaf(table, Policy(cascade=False))
    assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "open")
    assert 0.25 <= verdict.score <= 0.75
    assert table.asked() == [("read", "a")]


def test_the_open_count_as_no_where_the_policy_says_so():
    policy = Policy(open_means="no")
    table = Table({"a": OPEN, "b": YES})
    verdict = judge_leaf(table, policy)
    assert (verdict.outcome, verdict.test) == (Outcome.NO, "open_no")
    assert verdict.score == judge_leaf(table, Policy(open_means="undecided")).score / 2
    assert verdict.margin < 0
    # An exception that is open does not hold, so it hides no violation.
    assert judge_rule(AllOf(all=(B, NoneOf(none=(A,)))), table, policy).outcome == "violated"
    assert {step for step, _ in table.asked()} == {"read"}


def test_what_got_neither_yes_nor_no_is_not_taken_for_no():
    verdict = judge_leaf(Table({"a": WEAK}), Policy(open_means="no"))
    assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "label_mass")


WEAK = AnswerProbs((0.19, 0.01), top="Sorry")


def test_low_label_mass_is_no_number_and_no_forced_word_stands_for_it():
    for policy in (Policy(), Policy(cascade=False)):
        table = Table({"a": WEAK}, {"a": "No"})
        verdict = judge_leaf(table, policy)
        assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "label_mass")
        assert verdict.score == 0.5
        assert "Sorry" in verdict.note
        assert table.asked() == [("read", "a")]
    # A policy that asks for no mass takes it for a number, and reasons where that is open.
    verdict = judge_leaf(Table({"a": OPEN}, {"a": "No"}), Policy(minimum_label_mass=0.0))
    assert (verdict.outcome, verdict.test) == (Outcome.NO, "reasoning")


@pytest.mark.parametrize("m", [YES, NO, OPEN])
@pytest.mark.parametrize("weak", [WEAK, AnswerProbs((0.0, 0.0), top="Sorry")])
def test_half_stands_for_a_prior_of_low_label_mass(m, weak):
    table = Table({"a": m}, {"a": "Unsure"}, prior=weak)
    verdict = judge_leaf(table, Policy(minimum_label_mass=0.3))
    without = judge_leaf(table, Policy(minimum_label_mass=0.3, prior=False))
    assert (verdict.outcome, verdict.test) == (without.outcome, without.test)
    assert verdict.score == without.score
    assert verdict.note.count("1/2 stands for the prior") == verdict.note.count("Sorry") == 1
    assert without.note is None
    assert was_read(verdict, Policy())


def test_a_prior_of_low_label_mass_leaves_what_was_read_where_reasoning_fails():
    verdict = judge_leaf(Table({"a": OPEN}, {"a": "{"}, prior=WEAK), Policy())
    assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "unreadable")
    assert was_read(verdict, Policy())
    # A policy that takes any label mass has no number, and no 1/2, for none at all.
    any_mass = Policy(minimum_label_mass=0.0)
    none = AnswerProbs((0.0, 0.0))
    verdict = judge_leaf(Table({"a": OPEN}, {"a": "{"}, prior=none), any_mass)
    assert (verdict.outcome, verdict.score) == (Outcome.UNDECIDED, 0.5)
    assert not was_read(verdict, any_mass)


@pytest.mark.parametrize("where", ["full", "prior"])
@pytest.mark.parametrize(
    "bad", [AnswerProbs((0.99, 0.01), problem="too many tokens"), AnswerProbs((float("nan"), 0.1))]
)
@pytest.mark.parametrize("policy", [Policy(), Policy.clue_tree()])
def test_what_the_engine_could_not_answer_is_undecided(where, bad, policy):
    table = Table({"a": YES})
    setattr(table, where, {"a": bad} if where == "full" else bad)
    verdict = judge_leaf(table, policy)
    assert (verdict.outcome, verdict.test) == (Outcome.UNDECIDED, "unreadable")
    assert (verdict.score, verdict.margin) == (0.5, 0.0)
    assert verdict.note
    assert all(step != "reason" for step, _ in table.log)


def test_inexact_numbers_are_used_and_marked():
    table = Table({"a": AnswerProbs((0.95, 0.05), exact=False)})
    verdict = judge_leaf(table, Policy())
    assert verdict.outcome is Outcome.YES
    assert [read.exact for read in verdict.reads] == [False, True]


# --- one rule: order and early stop ---------------------------------------------------------------


def test_a_no_ends_a_conjunction():
    table = Table({"a": YES, "b": NO, "c": YES})
    verdict = judge_rule(AllOf(all=(A, B, C)), table, Policy())
    assert verdict.outcome == "not_violated"
    assert table.asked() == [("read", "a"), ("read", "b")]
    assert [p.statement for p in verdict.preconditions] == ["a", "b"]
    assert verdict.bound == "upper"


def test_reasoning_comes_last_and_only_if_needed():
    tree = AllOf(all=(A, B, C))
    table = Table({"a": OPEN, "b": YES, "c": NO})
    assert judge_rule(tree, table, Policy()).outcome == "not_violated"
    assert table.asked() == [("read", "a"), ("read", "b"), ("read", "c")]
    table = Table({"a": OPEN, "b": YES, "c": OPEN}, {"a": "No"})
    assert judge_rule(tree, table, Policy()).outcome == "not_violated"
    assert table.asked()[3:] == [("reason", "a")]


def test_algorithm_1_reasons_in_listed_order_and_breaks_on_no():
    tree = AllOf(all=(A, B, C))
    table = Table({"a": OPEN, "b": OPEN, "c": NO}, {"a": "Yes", "b": "No"})
    verdict = judge_rule(tree, table, Policy.clue_tree())
    assert verdict.outcome == "not_violated"
    assert table.asked() == [("read", "a"), ("reason", "a"), ("read", "b"), ("reason", "b")]


def test_alternatives_and_exceptions():
    tree = AllOf(all=(AnyOf(any=(A, B)), NoneOf(none=(C,))))
    table = Table({"a": YES, "c": YES})
    assert judge_rule(tree, table, Policy()).outcome == "not_violated"
    assert table.asked() == [("read", "a"), ("read", "c")]
    verdict = judge_rule(tree, Table({"a": NO, "b": YES, "c": NO}), Policy())
    assert verdict.outcome == "violated"
    assert verdict.bound == "exact"


def test_a_violation_found_early_reports_a_lower_bound():
    verdict = judge_rule(AnyOf(any=(A, B)), Table({"a": YES}), Policy())
    assert (verdict.outcome, verdict.bound) == ("violated", "lower")
    assert verdict.score == verdict.preconditions[0].score
    exact = judge_rule(AnyOf(any=(A, B)), Table({"a": YES, "b": 1.0}), Policy(exhaustive=True))
    assert (exact.bound, exact.score) == ("exact", 1.0)


def test_undecided_settles_nothing_that_a_later_no_could():
    tree = AllOf(all=(A, B))
    table = Table({"a": OPEN, "b": NO}, {"a": "Unsure"})
    assert judge_rule(tree, table, Policy.clue_tree()).outcome == "not_violated"
    table = Table({"a": OPEN, "b": YES}, {"a": "Unsure"})
    assert judge_rule(tree, table, Policy()).outcome == "undecided"


def test_exhaustive_reads_everything_in_one_wave():
    waves = []
    table = Table({"a": NO, "b": OPEN, "c": OPEN}, {"b": "Yes", "c": "No"})

    def answer(requests):
        waves.append(len(requests))
        return table(requests)

    verdict = judge_rule(AllOf(all=(A, B, C)), answer, Policy(exhaustive=True))
    assert waves == [6, 2, 2]
    assert [p.outcome for p in verdict.preconditions] == [Outcome.NO, Outcome.YES, Outcome.NO]
    assert verdict.bound == "exact"


def _node(parts):
    return st.one_of(
        parts.map(lambda p: AllOf(all=tuple(p))),
        parts.map(lambda p: AnyOf(any=tuple(p))),
        parts.map(lambda p: NoneOf(none=tuple(p))),
    )


trees = st.recursive(
    st.sampled_from(POOL), lambda part: _node(st.lists(part, min_size=1, max_size=3)), max_leaves=6
)
numbers = st.one_of(
    st.floats(0, 1), st.sampled_from([AnswerProbs((0.1, 0.1)), AnswerProbs((0, 0), problem="p")])
)
fulls = st.fixed_dictionaries(dict.fromkeys(NAMES, numbers))
ratings = st.fixed_dictionaries(
    dict.fromkeys(NAMES, st.sampled_from(["Yes", "No", "Unsure", "broken"]))
)


policies = st.builds(
    lambda meaning, last: Policy(open_means=meaning, reason_last=last),
    st.sampled_from(["reason", "undecided", "no"]),
    st.booleans(),
)


@given(trees, fulls, ratings, st.floats(0, 1), policies)
def test_order_and_early_stop_change_cost_but_no_outcome(tree, full, rating, prior, policy):
    table, every = Table(full, rating, prior), Table(full, rating, prior)
    early = judge_rule(tree, table, policy)
    whole = judge_rule(tree, every, policy.model_copy(update={"exhaustive": True}))
    assert early.outcome == whole.outcome
    assert whole.bound == "exact"
    assert set(table.log) <= set(every.log)
    match early.bound:
        case "exact":
            assert early.score == whole.score
        case "upper":
            assert early.score >= whole.score
        case "lower":
            assert early.score <= whole.score
    if early.outcome == "violated":
        assert early.score > 0.5
    if early.outcome == "not_violated":
        assert early.score < 0.5


# --- one image ------------------------------------------------------------------------------------


def judge_image(img, rules, table, policy=Policy()):  # noqa: B008 - frozen
    return drive(image_flow(img, rules, policy), table)


def test_a_precondition_of_several_rules_is_asked_once_reasoning_included():
    rules = constitution(r1=AllOf(all=(A, B)), r2=AllOf(all=(B, A)), r3=NoneOf(none=(A,)))
    table = Table({"a": OPEN, "b": YES}, {"a": "Yes"})
    verdicts, usage = judge_image(image(), rules, table)
    assert sorted(table.log) == sorted(
        [("read", "a"), ("prior", "a"), ("read", "b"), ("prior", "b"), ("reason", "a")]
    )
    assert [v.outcome for v in verdicts.values()] == ["violated", "violated", "not_violated"]
    assert (usage.probes, usage.reasoning_calls) == (2, 2)


def test_rules_advance_in_the_same_wave():
    waves = []
    table = Table(dict.fromkeys(NAMES, YES))

    def answer(requests):
        waves.append(sorted({r.question[-1] for r in requests}))
        return table(requests)

    judge_image(image(), constitution(r1=AllOf(all=(A, B)), r2=AllOf(all=(C, D))), answer)
    assert waves == [["a", "c"], ["b", "d"]]


def test_the_worst_picture_counts_per_rule():
    pictures = [picture(0, frame=0), picture(1, frame=1), picture(2, frame=2, background="black")]
    table = Table({"a": {0: NO, 1: OPEN, 2: YES}, "b": {0: 0.3, 1: 0.2, 2: 0.1}}, {"a": "Unsure"})
    verdicts, usage = judge_image(image(*pictures), constitution(r1=A, r2=B), table)
    r1, r2 = verdicts["r1"], verdicts["r2"]
    assert (r1.outcome, r1.frame, r1.background) == ("violated", 2, "black")
    assert (r2.outcome, r2.frame, r2.background) == ("not_violated", 0, None)
    assert usage.probes == 6
    assert table.log.count(("prior", "a")) == 1


def test_undecided_is_worse_than_not_violated_whatever_the_score():
    pictures = [picture(0, frame=0), picture(1, frame=1)]
    table = Table({"a": {0: 0.36, 1: 0.89}}, {"a": {0: "Unsure", 1: "No"}})
    alone = [judge_image(image(p), constitution(r=A), table)[0]["r"] for p in pictures]
    assert [v.outcome for v in alone] == ["undecided", "not_violated"]
    assert alone[0].score < alone[1].score
    for order in (pictures, pictures[::-1]):
        verdicts, _ = judge_image(image(*order), constitution(r=A), table)
        assert verdicts["r"] == alone[0]


def test_a_score_is_exact_only_if_no_other_picture_can_pass_it():
    pictures = [picture(0, frame=0), picture(1, frame=1)]
    rules = constitution(r=AnyOf(any=(A, B)))
    table = Table({"a": {0: 0.05, 1: 0.95}, "b": {0: 0.96, 1: 0.9999}})
    early = judge_image(image(*pictures), rules, table)[0]["r"]
    assert (early.bound, early.frame) == ("lower", 0)
    whole = judge_image(image(*pictures), rules, table, Policy(exhaustive=True))[0]["r"]
    assert (whole.bound, whole.frame) == ("exact", 1)
    assert whole.score > early.score
    # What is open on the other picture cannot lift its score above this one.
    rules = constitution(r=AllOf(all=(AnyOf(any=(A, B)), C)))
    table.full |= {"c": {0: 0.95, 1: 0.91}}
    early = judge_image(image(*pictures), rules, table)[0]["r"]
    assert (early.bound, early.frame) == ("exact", 0)


@given(trees, st.lists(fulls, min_size=1, max_size=3), ratings, policies)
def test_over_several_pictures_bounds_hold_too(tree, by_picture, rating, policy):
    full = {name: {n: f[name] for n, f in enumerate(by_picture)} for name in NAMES}
    pictures = [picture(n, frame=n) for n in range(len(by_picture))]
    rules, table = constitution(r=tree), Table(full, rating)
    early = judge_image(image(*pictures), rules, table, policy)[0]["r"]
    every = policy.model_copy(update={"exhaustive": True})
    whole = judge_image(image(*pictures), rules, table, every)[0]["r"]
    assert early.outcome == whole.outcome
    assert whole.bound == "exact"
    assert early.bound == "exact" or early.outcome != "undecided" or early.bound == "upper"
    if early.bound == "exact":
        assert early.score == whole.score
    elif early.bound == "upper":
        assert early.score >= whole.score
    else:
        assert early.score <= whole.score


def test_the_flat_form_is_asked_where_the_policy_says_so():
    tree = AllOf(all=(A, AnyOf(any=(B, C)), NoneOf(none=(D,))))
    table = Table({"a": YES, "b or c": YES})
    verdicts, _ = judge_image(image(), constitution(r=tree), table, Policy.clue())
    assert verdicts["r"].outcome == "violated"
    assert table.asked() == [("read", "a"), ("read", "b or c")]


def test_a_rule_of_exceptions_has_no_flat_form():
    with pytest.raises(PolicyError, match=r"'r'.*clue-tree"):
        judge_image(image(), constitution(r=NoneOf(none=(A,))), Table({}), Policy.clue())


@given(st.lists(trees, min_size=1, max_size=3), fulls, ratings)
def test_other_rules_change_no_verdict(conditions, full, rating):
    rules = constitution(**{f"r{i}": condition for i, condition in enumerate(conditions)})
    together, usage = judge_image(image(), rules, Table(full, rating))
    asked = {leaf.statement for condition in conditions for leaf in leaves(condition)}
    assert usage.probes <= len(asked)
    for name, condition in zip(together, conditions, strict=True):
        alone, _ = judge_image(image(), constitution(**{name: condition}), Table(full, rating))
        assert alone[name] == together[name]


PROVENANCE = Provenance(constitution="", prompts="", policy="", model="", revision="", versions={})


@pytest.mark.parametrize(
    ("full", "label", "violations"),
    [
        ({"a": NO, "b": NO}, "safe", ()),
        ({"a": OPEN, "b": NO}, "undecided", ()),
        ({"a": OPEN, "b": YES}, "unsafe", ("r2",)),
        ({"a": YES, "b": YES}, "unsafe", ("r1", "r2")),
    ],
)
def test_label_of_the_image(full, label, violations):
    table = Table(full, {"a": "Unsure"})
    rules, usage = judge_image(image(), constitution(r1=A, r2=B), table)
    judgment = conclude(image(), rules, usage, PROVENANCE, Policy())
    assert judgment.undecided_by == (("rules",) if label == "undecided" else ())
    assert (judgment.label, judgment.violations) == (label, violations)
    assert judgment.score == max(verdict.score for verdict in rules.values())
    assert list(judgment.rules) == ["r1", "r2"]
    assert type(judgment).model_validate_json(judgment.model_dump_json()) == judgment


@pytest.mark.parametrize(
    ("full", "frames", "every_frame", "label", "undecided_by"),
    [
        (NO, Frames(looked_at=8, of=80), False, "safe", ()),
        (NO, Frames(looked_at=8, of=80), True, "undecided", ("frames",)),
        (NO, Frames(looked_at=80, of=80), True, "safe", ()),
        (NO, None, True, "safe", ()),
        (OPEN, Frames(looked_at=8, of=80), True, "undecided", ("rules", "frames")),
        (YES, Frames(looked_at=8, of=80), True, "unsafe", ()),
    ],
)
def test_an_animation_that_was_not_looked_at_whole(full, frames, every_frame, label, undecided_by):
    rules, usage = judge_image(image(), constitution(r1=A), Table({"a": full}, {"a": "Unsure"}))
    animation = replace(image(), frames=frames)
    policy = Policy(every_frame=every_frame)
    judgment = conclude(animation, rules, usage, PROVENANCE, policy)
    assert (judgment.label, judgment.undecided_by) == (label, undecided_by)
    assert judgment.frames == frames
    assert type(judgment).model_validate_json(judgment.model_dump_json()) == judgment
