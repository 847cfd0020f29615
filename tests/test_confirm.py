"""What a violation rests on is asked once more: what is asked, when, and what it takes back."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from safejudge import prompts
from safejudge.cli.options import notes_of
from safejudge.constitution.diff import changes
from safejudge.constitution.lint.checks import RuleForm, idle_confirmation
from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.engines.effect import refused_choices
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import ConstitutionError
from safejudge.flow import drive, gather
from safejudge.judge import Judge
from safejudge.method import logic
from safejudge.method.precondition import Scene
from safejudge.method.rule import rule_flow
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Constitution,
    NoneOf,
    Outcome,
    Picture,
    Precondition,
    PreconditionVerdict,
    Probe,
    Rule,
    leaves,
)

PICTURE = Picture.of(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
YES, NO, OPEN = 0.95, 0.1, 0.6  # against a prior of 0.5 the bounds are 0.35 and 0.9
BROKEN = AnswerProbs((0.0, 0.0), problem="gone")
FAINT = AnswerProbs((0.01, 0.01))
CHILD = Precondition(statement="child", contrast=("adult",), reworded="kid")
POLICY = Policy(prior=True)


@dataclass
class World:
    """Answers by sentence; a choice by the first of its two."""

    says: dict = field(default_factory=dict)
    favours: dict = field(default_factory=dict)
    """P(A) of a choice, by the statement that is A."""
    mirrored: object = YES
    rating: str = "No"
    log: list = field(default_factory=list)

    def __call__(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        if isinstance(request, Probe) and request.instruction == prompts.CHOOSE:
            first = request.question.splitlines()[0].removeprefix("A: ")
            self.log.append(f"choice {first}")
            return _probs(self.favours.get(first, 0.5))
        if isinstance(request, Probe):
            statement = request.question.removeprefix("Statement: ")
            if not request.images:
                return AnswerProbs((0.5, 0.5))
            flipped = request.images[0] != PICTURE
            self.log.append(("mirrored " if flipped else "") + statement)
            return _probs(self.mirrored if flipped else self.says.get(statement, NO))
        if request.schema is None:
            self.log.append(f"reason {request.messages[0].text.removeprefix('Statement: ')}")
            return "thoughts"
        return json.dumps({"rationale": "because", "rating": self.rating})


def _probs(value):
    return value if isinstance(value, AnswerProbs) else AnswerProbs((value, 1 - value))


def judge(condition, world, policy=POLICY):
    return drive(gather([rule_flow(condition, Scene(PICTURE, None, policy))]), world)[0]


def leaf(verdict, statement="child"):
    return next(v for v in verdict.preconditions if v.statement == statement)


def test_nothing_more_is_asked_where_nothing_is_violated():
    tree = AllOf(all=(CHILD, Precondition(statement="night")))
    world = World({"child": YES, "night": NO})
    assert judge(tree, world).outcome == "not_violated"
    assert world.log == ["child", "night"]


def test_what_is_confirmed_stays():
    world = World({"child": YES, "kid": YES}, {"child": 0.8, "adult": 0.3})
    verdict = judge(CHILD, world)
    assert verdict.outcome == "violated"
    assert sorted(world.log) == ["child", "choice adult", "choice child", "kid"]
    said = leaf(verdict).confirmations
    assert [(c.by, c.statement, c.outcome) for c in said] == [
        ("contrast", "adult", "yes"), ("reworded", "kid", "yes"),
    ]  # fmt: skip
    assert leaf(verdict).test == "accept"
    assert verdict.score == min(c.score for c in said)


def test_a_near_miss_that_fits_better_takes_the_yes_back():
    world = World({"child": YES, "kid": YES}, {"child": 0.2, "adult": 0.8})
    verdict = judge(CHILD, world)
    assert verdict.outcome == "not_violated"
    assert leaf(verdict).test == "contrast"
    assert verdict.score < 0.5


@pytest.mark.parametrize("favours", [{"child": 0.4, "adult": 0.6}, {"child": 0.5, "adult": 0.5}])
def test_a_choice_that_neither_wins_says_nothing(favours):
    plain = Precondition(statement="child", contrast=("adult",))
    verdict = judge(plain, World({"child": YES}, favours))
    alone = judge(Precondition(statement="child"), World({"child": YES}))
    assert (verdict.outcome, verdict.score) == ("violated", alone.score)


def test_a_taste_for_the_first_answer_cancels_out():
    for taste in (0.6, 0.9, 0.999):
        world = World({"child": YES}, {"child": taste, "adult": taste - 0.01})
        assert judge(Precondition(statement="child", contrast=("adult",)), world).outcome == (
            "violated"
        )


@pytest.mark.parametrize("unread", [BROKEN, FAINT])
def test_what_cannot_be_read_takes_nothing_back(unread):
    world = World({"child": YES, "kid": unread}, {"child": unread, "adult": 0.9})
    verdict = judge(CHILD, world)
    assert verdict.outcome == "violated"
    assert [c.score for c in leaf(verdict).confirmations] == [None, None]
    assert [c.problem is not None for c in leaf(verdict).confirmations] == [unread is BROKEN] * 2


def test_other_words_that_are_denied_take_the_yes_back_and_open_ones_are_reasoned_about():
    words = Precondition(statement="child", reworded="kid")
    assert leaf(judge(words, World({"child": YES, "kid": NO}))).test == "reworded"
    for rating, outcome in {"Yes": "violated", "No": "not_violated", "Unsure": "undecided"}.items():
        world = World({"child": YES, "kid": OPEN}, rating=rating)
        verdict = judge(words, world)
        assert verdict.outcome == outcome
        assert "reason child" in world.log
        assert leaf(verdict).test == "reasoning"
    world = World({"child": YES, "kid": OPEN})
    assert leaf(judge(words, world, Policy(open_means="no"))).test == "open_no"
    assert judge(words, world, Policy(open_means="undecided")).outcome == "undecided"


def test_what_reasoning_found_is_not_opened_again():
    words = Precondition(statement="child", reworded="kid")
    world = World({"child": OPEN, "kid": OPEN}, rating="Yes")
    assert judge(words, world).outcome == "violated"
    assert world.log.count("reason child") == 1


def test_an_alternative_is_asked_once_the_first_was_taken_back():
    tree = AnyOf(any=(CHILD, Precondition(statement="fire")))
    world = World({"child": YES, "kid": NO, "fire": YES})
    verdict = judge(tree, world)
    assert verdict.outcome == "violated"
    assert world.log.index("fire") > world.log.index("kid")


def test_an_exception_is_never_confirmed():
    tree = AllOf(all=(Precondition(statement="fire"), NoneOf(none=(CHILD,))))
    world = World({"fire": YES, "child": YES})
    assert judge(tree, world).outcome == "not_violated"
    assert not any(asked.startswith("choice") for asked in world.log)


def test_a_mirror_rejects_nothing():
    plain = Precondition(statement="child")
    for mirrored in (NO, OPEN):
        world = World({"child": YES}, mirrored=mirrored, rating="Yes")
        verdict = judge(plain, world, Policy(mirror=True))
        assert (verdict.outcome, leaf(verdict).test) == ("violated", "reasoning")
    assert judge(plain, World({"child": YES}), Policy(mirror=True)).outcome == "violated"
    world = World({"child": YES})
    judge(plain, world)
    assert world.log == ["child"]


def test_the_switches_and_the_published_policies_ask_none_of_it():
    for policy in (Policy(confirm=False), Policy.clue(), Policy.clue_tree()):
        world = World({"child": YES, "kid": NO})
        assert judge(CHILD, world, policy).outcome == "violated"
        assert world.log == ["child"]


# --- properties -----------------------------------------------------------------------------------

names = st.sampled_from("abcde")
statements = st.builds(
    lambda name, contrast, reworded: Precondition(
        statement=name,
        contrast=(f"not {name}",) if contrast else (),
        reworded=f"also {name}" if reworded else None,
    ),
    names, st.booleans(), st.booleans(),
)  # fmt: skip
trees = st.recursive(
    statements,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda inner: AllOf(all=tuple(inner))),
        st.lists(parts, min_size=1, max_size=3).map(lambda inner: AnyOf(any=tuple(inner))),
        st.lists(parts, min_size=1, max_size=2).map(lambda inner: NoneOf(none=tuple(inner))),
    ),
    max_leaves=6,
)
reads = st.one_of(st.sampled_from([YES, 0.97, NO, OPEN, 0.5]), st.just(FAINT), st.just(BROKEN))


@st.composite
def worlds(draw):
    said = {}
    for name in "abcde":
        said[name], said[f"also {name}"] = draw(reads), draw(reads)
    favours = {f"{no}{name}": draw(reads) for name in "abcde" for no in ("", "not ")}
    return said, favours, draw(reads), draw(st.sampled_from(["Yes", "No", "Unsure", "none"]))


@settings(max_examples=400)
@given(trees, worlds(), st.booleans(), st.sampled_from(["reason", "undecided", "no"]))
def test_stopping_early_changes_no_outcome(tree, world, mirror, open_means):
    by_name = {}
    for part in leaves(tree):  # within a rule a statement has one set of other words
        if by_name.setdefault(part.statement, part) != part:
            return
    policy = Policy(open_means=open_means, mirror=mirror)
    short = judge(tree, World(*world), policy)
    full = judge(tree, World(*world), policy.exhaustively())
    assert short.outcome == full.outcome
    if short.bound == "exact":
        assert short.score == full.score
    if short.bound == "lower":
        assert short.score <= full.score
    if short.bound == "upper":
        assert short.score >= full.score
    for verdict in (short, full):
        for said in verdict.preconditions:
            assert (said.score > 0.5, said.score < 0.5) in {
                Outcome.YES: [(True, False)],
                Outcome.NO: [(False, True)],
                Outcome.UNDECIDED: [(True, False), (False, True), (False, False)],
            }[said.outcome]


def test_support_is_what_a_violation_rests_on():
    a, b, c, d = (Precondition(statement=name) for name in "abcd")
    tree = AllOf(all=(AnyOf(any=(a, AllOf(all=(b, c)))), NoneOf(none=(d,))))
    held = {a: Outcome.NO, b: Outcome.YES, c: Outcome.YES, d: Outcome.NO}
    assert logic.supporting(tree, held) == (b, c)
    assert logic.supporting(tree, held | {d: Outcome.YES}) == ()
    assert logic.supporting(tree, held | {c: Outcome.NO, a: Outcome.YES}) == (a,)


# --- files ----------------------------------------------------------------------------------------

FILE = """
name: small
rules:
  - id: armed-child
    category: weapons
    severity: high
    text: Kids must not have guns.
    objective: A child is holding a gun.
    condition:
      statement: a child is holding a gun
      look_at: gun
      contrast: [an adult is holding a gun, a gun is lying on the ground]
      reworded: a child has a gun in the hand
"""

TWICE = """
      any:
        - {statement: a child is visible, reworded: there is a child in the picture}
        - all: [a child is visible, it is night]
"""


def loaded(tmp_path, text=FILE, name="rules.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_constitution(path)


def test_a_file_reads_back_equal_and_says_what_changed(tmp_path):
    rules = loaded(tmp_path)
    condition = rules.rules[0].condition
    assert condition.contrast == ("an adult is holding a gun", "a gun is lying on the ground")
    assert condition.reworded == "a child has a gun in the hand"
    assert loaded(tmp_path, dump_constitution(rules), "again.yaml") == rules
    edited = FILE.replace(", a gun is lying on the ground", "").replace("in the hand", "in hand")
    other = loaded(tmp_path, edited, "other.yaml")
    assert other.digest() != rules.digest()
    kinds = [change.kind for change in changes(rules, other)]
    assert kinds == ["reworded", "contrast"]


def test_a_constitution_without_them_has_the_digest_that_it_had(tmp_path):
    plain = "".join(
        line for line in FILE.splitlines(keepends=True) if "contrast" not in line
        and "reworded" not in line
    )  # fmt: skip
    rules = loaded(tmp_path, plain)
    assert "contrast" not in rules.model_dump_json()
    assert "reworded" not in rules.model_dump_json()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("[an adult is holding a gun,", "[A child is holding a gun.,"), "the statement itself"),
        (("a child has a gun in the hand", "a child is holding a gun"), "the statement itself"),
        (("a child has a gun in the hand", "an adult is holding a gun"), "under `contrast`"),
        (("[an adult is holding a gun, a gun is lying on the ground]", "[]"), "empty list"),
        (("[an adult is holding a gun, a gun is lying on the ground]", "adult"), "list"),
        (("[an adult", "[a, b, c, d, an adult"), "lists 6"),
        (
            (FILE[FILE.index("      statement:") :], TWICE),
            "different `contrast` or `reworded`",
        ),
        (("reworded: a child has a gun in the hand", "reworded: [a, b]"), "text"),
    ],
)
def test_other_words_that_cannot_be_meant_are_refused(tmp_path, edit, said):
    with pytest.raises(ConstitutionError, match=said):
        loaded(tmp_path, FILE.replace(*edit))


@pytest.mark.parametrize(
    "changed",
    [
        {"test": "contrast", "confirmations": []},
        {"confirmations": [{"by": "contrast", "statement": "adult", "reads": [], "outcome": "no",
                            "score": 0.1}]},
        {"confirmations": [{"by": "mirrored", "statement": "child", "reads": [], "outcome": "yes",
                            "score": None}]},
    ],
)  # fmt: skip
def test_a_record_that_does_not_hold_what_decided_is_none(changed):
    said = leaf(judge(CHILD, World({"child": YES, "kid": YES})))
    written = said.model_dump(mode="json")
    assert PreconditionVerdict.model_validate(written) == said
    with pytest.raises(ValidationError):
        PreconditionVerdict.model_validate(written | changed)


@pytest.mark.parametrize("last", [None, "guard"])
def test_an_engine_that_cannot_choose_is_told(last):
    def engine(dialect, name):
        made = FakeEngine(uri=f"fake:{name}")
        made._card = replace(made.card, dialect=dialect, notes=(f"asked as {dialect}",))
        return made

    first = engine("" if last else "llavaguard", "first")
    models = Models(first, None, None, escalation=engine("llavaguard", last) if last else None)
    rules = Constitution(name="c", rules=(
        Rule(id="r", category="c", severity="low", text="t", objective="o", condition=CHILD),
    ))  # fmt: skip
    (note,) = refused_choices(rules, models, POLICY)
    assert note.startswith(f"fake:{last or 'first'}: the dialect llavaguard has no form")
    assert note in Judge(rules, models, POLICY).notes
    assert refused_choices(rules, models, Policy(confirm=False)) == []
    assert notes_of(models)[-1].endswith("asked as llavaguard")
    assert notes_of(models)[-1].startswith("fake:guard: ") == (last is not None)


def test_lint_tells_of_near_misses_that_are_never_asked():
    night = Precondition(statement="night", reworded="it is dark")
    tree = AllOf(all=(CHILD, NoneOf(none=(night, Precondition(statement="fog")))))
    (fault,) = idle_confirmation(RuleForm("o", tree, "none"))
    assert fault.path == ("condition", "all", 1, "none", 0, "statement")
    assert "`reworded` would never be asked" in fault.problem
