"""Conditions against their texts: what is right passes, and every damage is found."""

from __future__ import annotations

from itertools import pairwise, product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import damaged

from safejudge.combine import combine
from safejudge.constitution import load_constitution, shipped_constitutions
from safejudge.fidelity import (
    Kind,
    covers,
    differences,
    is_count,
    is_relation,
    losses,
    read_back,
    said_words,
)
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, leaves

VAGUE = "sketch-vague"
"""Vague on purpose; its conditions are not meant to say what its texts say."""
RULES = [
    pytest.param(rule, id=f"{name}-{rule.id}")
    for name in shipped_constitutions()
    if name != VAGUE
    for rule in load_constitution(name).rules
]


def tree(logic, *statements):
    return combine(logic, [Precondition(statement=statement) for statement in statements])


def kinds(text, condition):
    return {difference.kind for difference in differences(text, condition)}


def in_order(words, text):
    rest = iter(text)
    return all(word in rest for word in words)


# --- what ships -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_shipped_conditions_say_what_their_objectives_say(rule):
    assert differences(rule.objective, rule.condition) == []
    assert differences(read_back(rule.condition), rule.condition) == []


@pytest.mark.parametrize("rule", RULES)
def test_the_statements_of_a_shipped_rule_cover_its_objective(rule):
    told = covers(rule.objective, rule.condition)
    text = [word.strip(".,;") for word in rule.objective.lower().split()]
    for words, leaf in zip(told, leaves(rule.condition), strict=True):
        assert words
        assert in_order(words.split(), text)
        assert said_words(words) <= said_words(leaf.statement)
    assert said_words(" ".join(told)) == said_words(rule.objective)


# --- any rule -------------------------------------------------------------------------------------

ADJECTIVES = st.sampled_from(["", " red", " small", " wooden"])
NOUNS = st.sampled_from([" dog", " child", " box", " knife", " person", " fire"])
VERBS = st.sampled_from(["is on", "is next to", "is under", "is holding", "is smaller than"])
COUNTED = st.sampled_from([" is visible", " are beside two boxes", " are inside at least one car"])
STATEMENTS = st.builds("a{}{} {} a{}{}".format, ADJECTIVES, NOUNS, VERBS, ADJECTIVES, NOUNS) | (
    st.builds("three{}{}s{}".format, ADJECTIVES, NOUNS, COUNTED)
)


@st.composite
def rules(draw):
    """Up to eight statements that share words, in up to three lists inside one another.

    Exceptions stand at the end of an `all`, as rules have them, and have none of their own.
    """
    count = draw(st.integers(1, 8))
    said = draw(st.lists(STATEMENTS, min_size=count, max_size=count, unique_by=said_words))
    return _drawn(draw, [Precondition(statement=text) for text in said], 3, excepting=True)


def _drawn(draw, found, depth, *, excepting):
    if depth == 0 or (len(found) == 1 and draw(st.booleans())):
        (leaf,) = found
        return leaf
    kind = draw(st.sampled_from(["all", "any", "unless"]))
    if kind == "unless" and excepting and len(found) > 1:
        cut = draw(st.integers(1, len(found) - 1))
        wanted = _parts(draw, found[:cut], depth, excepting=True)
        refused = _parts(draw, found[cut:], depth - 1, excepting=False)
        return AllOf(all=(*wanted, NoneOf(none=refused)))
    parts = _parts(draw, found, depth, excepting=excepting)
    return AnyOf(any=parts) if kind == "any" else AllOf(all=parts)


def _parts(draw, found, depth, *, excepting):
    """Cut a list of statements into parts; each is one statement where no list may follow."""
    inner = range(1, len(found))
    cuts = sorted(draw(st.sets(st.sampled_from(inner)))) if inner and depth > 1 else inner
    ends = pairwise([0, *cuts, len(found)])
    return tuple(
        _drawn(draw, found[start:end], max(depth - 1, 0), excepting=excepting)
        for start, end in ends
    )


def meaning(condition, names):
    """A truth table as one number: bit k says whether combination k of answers meets it."""
    everything = (1 << (1 << len(names))) - 1
    match condition:
        case Precondition():
            place = names.index(condition)
            return sum(1 << k for k in range(1 << len(names)) if k >> place & 1)
        case AllOf(all=parts):
            whole = everything
            for part in parts:
                whole &= meaning(part, names)
            return whole
        case AnyOf(any=parts) | NoneOf(none=parts):
            some = 0
            for part in parts:
                some |= meaning(part, names)
            return everything & ~some if isinstance(condition, NoneOf) else some


@settings(max_examples=300)
@given(rules())
def test_a_condition_says_what_is_read_back_from_it(condition):
    assert differences(read_back(condition), condition) == []
    for words, leaf in zip(covers(read_back(condition), condition), leaves(condition), strict=True):
        assert said_words(words) == said_words(leaf.statement)


@settings(max_examples=150)
@given(rules())
def test_every_damage_is_found(condition):
    text, names = read_back(condition), list(leaves(condition))
    for kind, other in damaged(condition):
        if other is None or other == condition:
            continue
        worded = "word" in kind  # another statement: no table compares it
        if worded or meaning(other, names) != meaning(condition, names):
            assert differences(text, other), (kind, other)


def shapes(names, depth, within="", *, excepting=True):
    """Every condition of these statements in this order, no list directly inside its like."""
    if len(names) == 1:
        yield names[0]
        return
    if depth == 0:
        return
    for cuts in product([False, True], repeat=len(names) - 1):
        ends = [0, *(place for place, cut in enumerate(cuts, start=1) if cut), len(names)]
        blocks = [names[start:end] for start, end in pairwise(ends)]
        if len(blocks) == 1:
            continue
        for kind, build in (("all", AllOf), ("any", AnyOf)):
            if kind != within:
                inner = [list(shapes(b, depth - 1, kind, excepting=excepting)) for b in blocks]
                yield from (build(**{kind: parts}) for parts in product(*inner))
        for cut in range(1, len(blocks)) if excepting and within != "all" else ():
            inner = [list(shapes(block, depth - 1, "all")) for block in blocks[:cut]]
            inner += [list(shapes(b, depth - 2, "none", excepting=False)) for b in blocks[cut:]]
            for parts in product(*inner):
                yield AllOf(all=(*parts[:cut], NoneOf(none=parts[cut:])))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_conditions_that_mean_different_things_are_read_back_differently(count):
    names = [Precondition(statement=f"it is {letter}") for letter in "ABCDE"[:count]]
    known = {}
    for condition in shapes(names, 3):
        table = meaning(condition, names)
        assert known.setdefault(read_back(condition), table) == table, condition
    assert len(known) == [1, 3, 13, 58, 240][count - 1]


# --- sentences ------------------------------------------------------------------------------------

DOG, CAT, COW = "a dog is running", "a cat is sleeping", "a cow is eating"


@pytest.mark.parametrize(
    ("logic", "sentence"),
    [
        ("1", "A dog is running."),
        ("1 and 2", "A dog is running, and a cat is sleeping."),
        ("1 or 2", "Either a dog is running or a cat is sleeping."),
        ("1 and not 2", "A dog is running, unless a cat is sleeping."),
        ("not 1", "Unless a dog is running."),
        ("not 1 and not 2", "Unless a dog is running or a cat is sleeping."),
        (
            "(1 or 2) and 3",
            "Either a dog is running or a cat is sleeping, and a cow is eating.",
        ),
        (
            "1 or 2 and 3",
            "Either a dog is running; or a cat is sleeping, and a cow is eating.",
        ),
        (
            "(1 or 2) and not 3",
            "Either a dog is running or a cat is sleeping, unless a cow is eating.",
        ),
        (
            "1 or 2 and not 3",
            "Either a dog is running; or a cat is sleeping, unless a cow is eating.",
        ),
        (
            "1 and not (2 and 3)",
            "A dog is running, unless a cat is sleeping, and a cow is eating.",
        ),
    ],
)
def test_conditions_as_sentences(logic, sentence):
    said = [DOG, CAT, COW][: max(int(sign) for sign in logic if sign.isdigit())]
    assert read_back(tree(logic, *said)) == sentence


@pytest.mark.parametrize(
    ("text", "logic"),
    [
        ("A dog is running, a cat is sleeping or a cow is eating.", "1 or 2 or 3"),
        ("A dog is running, a cat is sleeping, or a cow is eating.", "1 or 2 or 3"),
        ("A dog is running; a cat is sleeping; or a cow is eating.", "1 or 2 or 3"),
        ("Either a dog is running or a cat is sleeping, and a cow is eating.", "(1 or 2) and 3"),
        ("A dog is running, a cat is sleeping and a cow is eating.", "1 and 2 and 3"),
        ("A dog is running but a cat is sleeping as well as a cow is eating.", "1 and 2 and 3"),
        ("A dog is running and a cat is sleeping; or a cow is eating.", "1 and 2 or 3"),
        ("Unless a cow is eating, a dog is running or a cat is sleeping.", "(1 or 2) and not 3"),
        ("Unless a cat is sleeping or a cow is eating, a dog is running.", "1 and not (2 or 3)"),
        ("Except when a cat is sleeping or a cow is eating: a dog is running.", "1 and not (2 or 3)"),
        ("A dog is running except when a cat is sleeping or a cow is eating.", "1 and not (2 or 3)"),
        ("A dog is running, but not if a cat is sleeping or a cow is eating.", "1 and not (2 or 3)"),
        ("A dog is running (unless a cat is sleeping or a cow is eating).", "1 and not (2 or 3)"),
        ("A dog is running, unless a cat is sleeping, or a cow is eating.", "1 and not 2 and not 3"),
        ("A dog is running, unless a cat is sleeping and a cow is eating.", "1 and not (2 and 3)"),
        ("A dog is running, with the exception of a cat is sleeping; a cow is eating.", "1 and not 2 and 3"),
        ("A DOG is Running.  A cat\u00a0is sleeping!\nA cow is eating?", "1 and 2 and 3"),
        ("A dog is running. A cat is sleeping. A cow is eating.", "1 or 2 or 3"),
    ],
)  # fmt: skip
def test_texts_of_other_shapes(text, logic):
    condition = tree(logic, DOG, CAT, COW)
    assert differences(text, condition) == []
    assert all(covers(text, condition))


@pytest.mark.parametrize(
    ("text", "logic", "statements"),
    [
        # elided words
        ("A child holds a knife or a gun.", "1 or 2", ["a child holds a knife", "a child holds a gun"]),
        ("A child and/or a dog is lying.", "1 or 2", ["a child is lying", "a dog is lying"]),
        ("A knife, a gun or a bomb is visible.", "1 or 2 or 3",
         ["a knife is visible", "a gun is visible", "a bomb is visible"]),
        ("A child holds a knife and a gun.", "1", ["a child holds a knife and a gun"]),
        # one clause that two statements say together
        ("A child is holding a red knife.", "1 and 2", ["a child is holding a knife", "the knife is red"]),
        ("A dog lies while a cat sleeps.", "1 and 2", ["a dog lies", "a cat sleeps"]),
        ("A dog lies, unless a red cat sleeps.", "1 and not (2 and 3)",
         ["a dog lies", "a cat sleeps", "the cat is red"]),
        # one statement in two branches, in either order
        ("A dog lies and a cat sleeps, or a dog lies and a cow eats.", "1 and 2 or 1 and 3",
         ["a dog lies", "a cat sleeps", "a cow eats"]),
        ("A dog lies and a cat sleeps, or a dog lies and a cow eats.", "1 and 3 or 1 and 2",
         ["a dog lies", "a cat sleeps", "a cow eats"]),
        ("A dog lies and either a cat sleeps or a cow eats.", "1 and 2 or 1 and 3",
         ["a dog lies", "a cat sleeps", "a cow eats"]),
        # the same words in two statements
        ("A dog is on a box, unless a box is on a dog.", "1 and not 2",
         ["a dog is on a box", "a box is on a dog"]),
        ("A dog is on a red box or a dog is on a box.", "1 or 2",
         ["a dog is on a box", "a dog is on a red box"]),
        # numbers
        ("A rope longer than 2.5 metres is visible.", "1", ["a rope longer than 2.5 metres is visible"]),
        ("A rope of 1,000 metres hangs at 10:30.", "1", ["a rope of 1,000 metres hangs at 10:30"]),
        ("At least 3 people and 12 dogs are visible.", "1 and 2",
         ["at least three people are visible", "twelve dogs are visible"]),
        ("One person is visible.", "1", ["a person is visible"]),
        ("1 person is visible.", "1", ["one person is visible"]),
        # signs inside words
        ("A dog\u2019s teeth are visible.", "1", ["a dog's teeth are visible"]),
        ("The dogs' teeth are visible.", "1", ["the teeth of the dogs are visible"]),
        ("The children's knives are visible.", "1", ["a child's knife is visible"]),
        ("A half\u2011naked person is lying.", "1", ["a half-naked person is lying"]),
        ("A person with a T-shirt \u2013 and a cap \u2013 is lying.", "1 and 2",
         ["a person with a T-shirt", "a cap is lying"]),
        # connectives and signs inside a statement
        ("A sign says \u201cbread and butter\u201d.", "1", ["a sign says \u201cbread and butter\u201d"]),
        ('A sign says "stop, go" or a dog lies.', "1 or 2", ['a sign says "stop, go"', "a dog lies"]),
        ("A big, red dog is running.", "1", ["a big, red dog is running"]),
        ("Mr. Smith is visible.", "1", ["Mr. Smith is visible"]),
        # "in the picture" says nothing
        ("There is a dog in the picture.", "1", ["a dog is visible"]),
        ("In this photo, a dog can be seen.", "1", ["the image shows a dog"]),
        # other languages: words and commas, no connectives
        ("Собака бежит, кошка спит.", "1 and 2", ["собака бежит", "кошка спит"]),
        ("Ein Hund läuft; eine Straße ist frei.", "1 or 2", ["ein Hund läuft", "eine STRASSE ist frei"]),
        ("一只狗在跑, 一只猫在睡觉.", "1 and 2", ["一只狗在跑", "一只猫在睡觉"]),
    ],
)  # fmt: skip
def test_wordings_that_say_the_same(text, logic, statements):
    condition = tree(logic, *statements)
    if "shows" not in statements[0]:
        assert differences(text, condition) == []
        assert all(covers(text, condition))
