"""The words of rules and the sense of conditions: what is found, and what is left in peace."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.constitution.lint.coherence import MAX_STATEMENTS, condition_flaws, constant
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.lint.words import form_flaws, objective_flaws
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.method.logic import evaluate
from safejudge.types import AllOf, AnyOf, NoneOf, Outcome, Precondition, leaves


def said_of(statement, look_at=None):
    """Everything said of a statement, and that each flaw has advice."""
    leaf = Precondition(statement=statement, look_at=look_at)
    flaws = [*objective_flaws(statement), *form_flaws(leaf)]
    assert all(flaw.problem and flaw.instead for flaw in flaws)
    return [flaw.problem for flaw in flaws]


def only(statement, look_at=None):
    (problem,) = said_of(statement, look_at)
    return problem


# --- vague words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A person in a suggestive pose is visible", ["suggestive"]),
        ("the picture is disturbing", ["disturbing"]),
        ("a shocking injury is visible", ["shocking"]),
        ("an inappropriate gesture is visible", ["inappropriate"]),
        ("a person has excessive blood on the body", ["excessive"]),
        ("a large knife is visible", ["large"]),
        ("Many people are visible", ["many"]),
        ("a child is near a fire", ["near"]),
        ("something dangerous is happening", ["dangerous"]),
        ("a lot of people are close to a very big fire", ["a lot of", "close to", "very", "big"]),
        ("everything looks safe", ["looks safe"]),
        ("a helmet is worn properly", ["properly"]),
        ("a large number of people are visible", ["large number"]),
        ("a young woman is smoking", ["young"]),
        ("a hate symbol is visible", ["hate symbol"]),
        ("a knife, a gun or something similar is visible", ["or something similar"]),
        ("graphic violence is visible", ["graphic violence"]),
        ("a person is working at height", ["at height"]),
        ("an animal is treated badly", ["badly"]),
        ("a person might be armed", ["might"]),
    ],
)
def test_vague_words(text, words):
    (flaw,) = objective_flaws(text)
    assert flaw.problem.startswith("says " + " and ".join(f"`{word}`" for word in words))
    assert flaw.problem.endswith("about which people disagree")


@pytest.mark.parametrize(
    "text",
    [
        "a sign with the word DANGER is visible",
        "the words DO NOT TOUCH are visible on a label",
        'a poster that reads "many dangerous dogs" is visible',
        "a poster that reads ‘dangerous dogs’ is visible",  # noqa: RUF001
        "a danger sign is visible",
        "hazard lights are on",
        "a man disturbing a nest is visible",
        "a near-sighted person is visible",
        "a close-up of a face is visible",
        "the big toe of a foot is bleeding",
        "the large intestine of a person is visible",
        "a torn shirt revealing the chest is visible",
        "a knife longer than a hand is visible",
        "a graphic of a skull is visible",
        "a safe is open",
        "a person is wearing a safety harness",
        "a young child is visible",
        "the fire covers more than half of the picture",
        "a person is at a height of more than two metres",
        "a person wears a sweater rather than a shirt",
        "the far left of the picture shows a dog",
    ],
)
def test_words_of_plain_sight(text):
    assert said_of(text) == []


def test_advice_says_what_kind_of_cue_to_write():
    (flaw,) = objective_flaws("Many people are near a dangerous fire.")
    count, distance, threat = flaw.instead.split("; ")
    assert "at least three people" in count
    assert "body lengths" in distance
    assert "pointed at a person" in threat


def test_one_word_twice_is_said_once():
    (flaw,) = objective_flaws("Many dogs and many cats are visible.")
    assert flaw.problem == "says `many`, about which people disagree"


def test_objectives_may_have_clauses_and_exceptions():
    text = "A gun is visible and a person is bleeding, unless no child is visible."
    assert list(objective_flaws(text)) == []


# --- negations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("No cat is visible", "no"),
        ("a person without a helmet is visible", "without"),
        ("a worker does not wear a hard hat", "not"),
        ("a worker doesn't wear a hard hat", "doesn't"),
        ("a worker doesn’t wear a hard hat", "doesn't"),  # noqa: RUF001
        ("there is no dog", "no"),
        ("nobody is visible", "nobody"),
        ("the person lacks a helmet", "lacks"),
        ("the buttocks are not fully covered", "not"),
        ("a child is on a road and no adult is visible", "no"),
        ("neither hand is visible", "neither"),
        ("a dog is visible unless it is on a leash", "unless"),
    ],
)
def test_negations(statement, word):
    problems = said_of(statement)
    assert problems[0] == f"is a negative statement (`{word}`)"


@pytest.mark.parametrize(
    "statement",
    [
        "a no-entry sign is visible",
        "a no smoking sign is visible",
        "a do not enter sign is visible",
        "the words NO ENTRY are visible",
        'a sign that says "do not enter" is visible',
        "no more than two people are visible",
        "a person is wearing nothing but underwear",
        "a person bends over, clothed or not",
        "an uncovered breast is visible",
        "an unconscious person is lying on the ground",
        "a tooth is missing",
        "a knot is visible",
        "an empty bathtub is visible",
        "the hand of a person with no. 12 on the shirt is raised",
    ],
)
def test_harmless_negations(statement):
    assert said_of(statement) == []


def test_a_lack_may_be_looked_at_where_it_is():
    lack = "a person without a helmet is visible"
    assert said_of(lack, "person") == []  # of one among several: no `none` says that
    assert "without" in only(lack, "helmet")
    assert "not" in only("a person does not wear a helmet", "person")


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("the legs are spread by more than 90", "more than 90"),
        ("at least 3 are visible", "at least 3"),
        ("at least 3", "at least 3"),
        ("there are at least three.", "at least three"),
        ("the wound is longer than 2.5, on an arm", "longer than 2.5"),
        ("a person over 18 is visible", "over 18"),
        ("between 2 and 4 are visible", "between 2 and 4"),
        ("up to two or three in the picture", "up to two or three"),
    ],
)
def test_numbers_of_nothing(statement, said):
    assert only(statement) == f"says `{said}` but not of what"


@pytest.mark.parametrize(
    "statement",
    [
        "at least two people are visible",
        "the legs are spread by more than 90 degrees",
        "the legs are spread by more than 90°",
        "more than 50 % of the face is covered",
        "at least 1,000 people are visible",
        "a hole deeper than 1.5 metres is visible",
        "a wire longer than 30cm is visible",
        "between 2 and 4 people are visible",
        "at least two or three people are visible",
        "at least two of the people are armed",
        "at least two masked people are visible",
        "three people, of whom at least two are armed, are visible",
        "at least one is visible",
        "a shirt with the number 10 is visible",
        "a clock that shows 12:30 is visible",
    ],
)
def test_numbers_of_something(statement):
    assert said_of(statement) == []


# --- two statements in one ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("a gun is visible and a person is on fire", "and"),
        ("the mouth of a person is open and both knees are on the ground", "and"),
        ("a person is kneeling and holding a knife", "and"),
        ("a person is kneeling and has an open mouth", "and"),
        ("a person is smoking or drinking", "or"),
        ("a knife or a gun is visible", "or"),
        ("a cat and a dog are visible", "and"),
        ("there is a knife or a gun", "or"),
        ("either a knife or a gun is pointed at a person", "or"),
        ("a person is holding a knife and/or a gun", "and/or"),
        ("a person is naked and bleeding", "and"),
        ("a child is holding a weapon and a knife", "and"),
        ("a person is holding a knife and a cutting board", "and"),
        ("a man holds both a gun and a knife", "and"),
        ("a person is wearing a mask and a glove in a shop", "and"),
        ("two people are carrying a bag of money and a rifle", "and"),
    ],
)
def test_two_statements_in_one(statement, word):
    assert only(statement) == f"joins two statements with `{word}`"


def test_the_advice_follows_the_word():
    (flaw,) = form_flaws(Precondition(statement="a person is smoking or drinking"))
    assert "`any`" in flaw.instead
    (flaw,) = form_flaws(Precondition(statement="a person is smoking and drinking"))
    assert "`all`" in flaw.instead


@pytest.mark.parametrize(
    "statement",
    [
        "the picture is black and white",
        "salt and pepper are visible",
        "a bow and an arrow are visible",
        "a man and a woman are kissing",
        "a person is standing between a car and a wall",
        "a person is holding a knife or a gun",
        "a person is holding a knife and cutting board",
        "a person is wearing jewellery and clothing",
        "a person who is holding a gun or a knife is visible",
        "a person whose hands are tied and whose eyes are covered is visible",
        "a gun is pointed at a man and a woman who is crying",
        "a sign about drinking and driving is visible",
        "a person is next to a sign about smoking and vaping",
        "one or more people are lying on the ground",
        "there is a knife and a gun on the table",
        "two people are visible",
        "a hand and a foot are tied to each other",
    ],
)
def test_things_in_one_relation(statement):
    assert said_of(statement) == []


# --- what no picture shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a person is climbing in order to steal", ["in order to"]),
        ("a person who intends to jump is visible", ["intends"]),
        ("people are planning a robbery", ["planning"]),
        ("a person is crying because of a fight", ["because"]),
        ("the car was previously damaged", ["previously"]),
        ("illegal drugs are visible", ["illegal"]),
        ("a person is filmed without permission", ["without permission"]),
        ("a person is touched without her consent", ["without her consent"]),
        ("a stolen car is visible", ["stolen"]),
        ("a real gun is visible", ["real"]),
        ("a fake document is visible", ["fake"]),
        ("a person is about to fall", ["about to"]),
        ("the picture has an educational purpose", ["educational purpose"]),
        ("an underage person is drinking", ["underage"]),
        ("a celebrity deliberately breaks a window", ["celebrity", "deliberately"]),
    ],
)
def test_what_no_picture_shows(text, words):
    said = " and ".join(f"`{word}`" for word in words)
    assert only(text) == f"speaks of {said}, which no picture shows"


@pytest.mark.parametrize(
    "text",
    [
        "a real estate sign is visible",
        "a person is wearing a fake beard",
        "a floor plan is visible",
        "a police officer is visible",
        "a knife is used to cut bread",
        "a person is going to a school",
        "a sign with the words ILLEGAL PARKING is visible",
        "a person is aiming a gun at a person",
        "a legal document is visible",
        "a toy gun is visible",
    ],
)
def test_what_pictures_show(text):
    assert said_of(text) == []


def test_questions():
    assert only("is a cat visible?") == "is a question"


# --- corpora and noise --------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_constitutions())
def test_shipped_rules(name):
    flawed = []
    for rule in load_constitution(name).rules:
        assert list(condition_flaws(rule.condition)) == []
        flawed.append(bool([*objective_flaws(rule.objective)]))
        flawed += [
            bool([*objective_flaws(leaf.statement), *form_flaws(leaf)])
            for leaf in leaves(rule.condition)
        ]
    assert set(flawed) == {name == "sketch-vague"}


WORDS = (
    "a",
    "no",
    "and",
    "or",
    "is",
    "'",
    '"',
    "3",
    "at least",
    "holding",
    "without",
    "DANGER",
    "-",
)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_text_is_read(text):
    said_of(text, text[:3])
    assert list(condition_flaws(every(text, no("a person is visible", text))))


# --- conditions ---------------------------------------------------------------------------------


def leaf(statement):
    return Precondition(statement=statement)


def every(*parts):
    return AllOf(all=tuple(map(built, parts)))


def some(*parts):
    return AnyOf(any=tuple(map(built, parts)))


def no(*parts):
    return NoneOf(none=tuple(map(built, parts)))


def built(part):
    return leaf(part) if isinstance(part, str) else part


def flaw_of(condition):
    ((place, flaw),) = condition_flaws(condition)
    assert flaw.instead
    return place, flaw.problem


@pytest.mark.parametrize(
    ("condition", "place", "says"),
    [
        (some("x", no("x")), (), "its condition is always met, so every picture violates it"),
        (some("X.", no("x")), (), "always met"),
        (some(no("x"), no("y"), every("x", "y")), (), "always met"),
        (every(no("x"), no(no("x"))), (), "its condition is never met, so no picture violates it"),
        (every(some("x", "y"), no("x"), no("y")), (), "never met"),
        (no("x", no("x")), (), "never met"),
        (every("x", some("y", no("y"))), ("all", 1), "a part of its condition is always met"),
        (some("x", every(some("y"), some(no("y")))), ("any", 1), "so that part changes nothing"),
    ],
)
def test_never_and_always(condition, place, says):
    at, problem = flaw_of(condition)
    assert at == place
    assert says in problem


@pytest.mark.parametrize(
    ("condition", "place", "exception"),
    [
        (every("x", no("x")), ("all", 1, "none", 0), "`x`"),
        (every("x", no(some("x", "y"))), ("all", 1, "none", 0, "any", 0), "`x`"),
        (every("x", "y", no("z", every("x", "y"))), ("all", 2, "none", 1), "`x` and `y`"),
        (every(some("x", "y"), no("x", "y")), ("all", 1), "`x` or `y`"),
        (every("x", no(no(every("y", no("x"))))), ("all", 1, "none", 0), "none of"),
        (
            some("z", every("x", no("x"))),
            ("any", 1, "all", 1, "none", 0),
            "so that part changes nothing",
        ),
        (no(every("x", no("x"))), ("none", 0, "all", 1, "none", 0), "so every picture"),
    ],
)
def test_exceptions_that_swallow_the_rest(condition, place, exception):
    at, problem = flaw_of(condition)
    assert at == place
    assert re.match(r"its exception .* holds whenever the rest does, so ", problem)
    assert exception in problem


@pytest.mark.parametrize(
    ("required", "exception"),
    [
        ("a person is holding a gun", "a person is visible"),
        ("a person is holding a gun", "A gun is visible."),
        ("a person is holding a gun", "somebody is visible"),
        ("a masked person is holding a gun", "there is a person"),
        ("a child is holding a gun", "a person is visible"),
        ("a police officer is holding a gun", "the picture shows a person"),
        ("a gun is pointed at a person", "a person is in the picture"),
        ("a child is next to a fire", "a fire is visible"),
        ("a dog is inside a cage", "an animal is visible"),
        ("two people are kissing", "people are visible"),
        ("at least three people are visible", "at least two people are visible"),
        ("a person is riding a bicycle without a helmet", "a person is riding a bicycle"),
        ("a person is holding a gun in a street", "a person is holding a gun"),
    ],
)
def test_exceptions_implied_by_wording(required, exception):
    at, problem = flaw_of(every(required, no("a doctor is helping", exception)))
    assert at == ("all", 1, "none", 1)
    assert "so no picture violates it" in problem
    assert constant(some(exception, no(required))) is True


@pytest.mark.parametrize(
    ("required", "exception"),
    [
        ("a gun is pointed at a person", "a police officer is visible"),
        ("a person is visible", "a person is holding a gun"),
        ("a person is visible", "a child is visible"),
        ("a person is not holding a gun", "a gun is visible"),
        ("a drawing of a man is on a wall", "a person is visible"),
        ("a toy car is on a table", "a car is visible"),
        ("a painted man is on a wall", "a person is visible"),
        ("a person is holding a knife or a gun", "a gun is visible"),
        ("a person is looking for a gun", "a gun is visible"),
        ("a person is visible", "people are visible"),
        ("at least three people are visible", "two people are visible"),
        ("a child seat is in a car", "a child is visible"),
        ("something looks like a gun", "a gun is visible"),
        ('a sign says "a gun"', 'a sign says "a knife"'),
    ],
)
def test_exceptions_that_leave_something(required, exception):
    assert list(condition_flaws(every(required, no(exception)))) == []


@pytest.mark.parametrize(
    "condition",
    [
        leaf("x"),
        no("x"),
        every("x", no("y")),
        every("x", some("y", "z"), no("z")),
        some(every("x", no("y")), every("y", no("x"))),
        every(some("x", "y"), some("x", "z")),
        every("x", "x"),
    ],
)
def test_conditions_that_depend(condition):
    assert constant(condition) is None
    assert list(condition_flaws(condition)) == []


def test_conditions_with_too_many_statements_are_left_alone():
    names = [f"s{number}" for number in range(MAX_STATEMENTS)]
    assert constant(every(*names, no("s1"))) is False
    assert constant(every(*names, "t", no("s1"))) is None
    assert list(condition_flaws(every(*names, "t", no("s1")))) == []


POOL = [leaf(name) for name in "xyz"]  # few, so that statements repeat
TREES = st.recursive(
    st.sampled_from(POOL),
    lambda inner: st.one_of(
        [
            st.lists(inner, min_size=1, max_size=3).map(lambda parts, make=make: make(*parts))
            for make in (every, some, no)
        ]
    ),
    max_leaves=8,
)


def by_trying(condition):
    """Whether a condition is constant, by evaluating it under every combination of answers."""
    tables = product((Outcome.YES, Outcome.NO), repeat=len(POOL))
    found = {evaluate(condition, dict(zip(POOL, table, strict=True))) for table in tables}
    return None if len(found) > 1 else found == {Outcome.YES}


def parts_of(condition):
    yield (), condition
    for operator in ("all", "any", "none"):
        for place, part in enumerate(getattr(condition, operator, ())):
            yield from (((operator, place, *way), inner) for way, inner in parts_of(part))


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_constant_is_what_trying_finds(condition):
    assert constant(condition) == by_trying(condition)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_flaws_are_where_a_part_is_constant(condition):
    stuck = {way for way, part in parts_of(condition) if by_trying(part) is not None}
    places = [place for place, _ in condition_flaws(condition)]
    assert bool(places) == bool(stuck)
    assert set(places) <= {way for way, _ in parts_of(condition)}
    for place in places:  # in the smallest part that is stuck, or at an exception in it
        around = max((way for way in stuck if place[: len(way)] == way), key=len)
        assert not any(way != around and way[: len(around)] == around for way in stuck)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_a_none_around_turns_never_into_always(condition):
    fate = constant(condition)
    assert constant(no(condition)) == (None if fate is None else not fate)
    assert constant(no(no(condition))) == fate
    bare = [place for place, _ in condition_flaws(condition)]
    assert [place[2:] for place, _ in condition_flaws(no(condition))] == bare


@settings(max_examples=200, deadline=None)
@given(TREES, TREES)
def test_a_part_that_is_stuck_is_found_anywhere(condition, other):
    inside = [flaw.instead for _, flaw in condition_flaws(condition)]
    around = [flaw.instead for _, flaw in condition_flaws(every(other, some(condition, "w")))]
    assert not inside or around


def test_a_condition_that_lost_its_exception_is_warned_of_and_other_words_are_not(tmp_path):
    file = tmp_path / "rules.yaml"
    head = "name: n\nrules:\n  - id: a\n    category: c\n    severity: low\n    text: t\n"
    said = "    objective: A knife is visible, unless the picture was taken in a kitchen.\n"
    lost = "    condition: a knife is visible\n"
    kept = "    condition:\n      all: [a knife is visible, none: [a stove is visible]]\n"
    file.write_text(head + said + lost)
    (finding,) = lint(file)
    assert (finding.line, finding.level) == (8, "warning")
    assert "exception" in finding.problem
    file.write_text(head + said + kept)
    assert lint(file) == []
