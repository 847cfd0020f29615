"""A rule's text against the wording and the tree that a model made of it."""

from __future__ import annotations

import pytest

from safejudge.compile.combine import combine
from safejudge.constitution.lint.rewording import (
    gained_counts,
    inverted,
    loses_rule,
    lost_words,
    rewording_faults,
    tree_faults,
)
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.types import Precondition

GUNS = "Children must not hold guns."
NAKED = "Pictures must not show naked people."
BLADES = "No knives, guns or bombs."
HELMETS = "Cyclists must wear helmets."
LEADS = "No dogs without a lead."


def problems(text, wording):
    return [fault.problem for fault in rewording_faults(text, wording)]


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        (GUNS, "A child is holding a gun."),
        (GUNS, "A kid holds a pistol or a gun."),  # kid and child are one word here
        (GUNS, "A gun is in the hand of a child."),
        (NAKED, "A naked person is visible."),
        (BLADES, "A knife is visible, a gun is visible or a bomb is visible."),
        ("Nobody smokes.", "A person is smoking a cigarette."),
        ("No people.", "A person is visible."),  # nothing but a plain word to keep
        ("Nobody may be in the picture.", "A person is visible."),
        ("No more than 3 dogs.", "More than three dogs are visible."),
        ("Not too many people on a boat.", "At least five people are on a boat."),
        (HELMETS, "A person is riding a bicycle, and a cyclist is without a helmet."),
        (HELMETS, "A cyclist is visible, unless the cyclist is wearing a helmet."),
        (HELMETS, "A cyclist has a bare head, and a helmet is missing."),
        (LEADS, "A dog is visible, unless the dog is on a lead."),
        ("Children must not be without a helmet.", "A child is without a helmet."),
        ("No guns, except in a museum.", "A gun is visible, unless the scene is a museum."),
        ("Keine Waffen und keine Messer f\u00fcr die Kinder.", "A gun is visible."),  # not checked
        ("", "A dog is visible."),
        ("No!", "A dog is visible."),  # there is no word to lose
    ],
)
def test_wordings_that_keep_the_rule(text, wording):
    assert problems(text, wording) == []
    assert not loses_rule(text, wording)


@pytest.mark.parametrize(
    ("text", "wording", "says"),
    [
        (GUNS, "rule", "none of the rule's words is in the wording: `children`, `guns` is missing"),
        (GUNS, "A dog is visible.", "none of the rule's words"),
        (GUNS, "Something must not be in the picture.", "none of the rule's words"),
        (GUNS, "A person is holding a dog.", "of the rule's words the wording has only `hold`"),
        (NAKED, "A person is visible.", "of the rule's words the wording has only `people`"),
        (NAKED, "The image shows a scene.", "none of the rule's words"),
        ("Nobody may fight or hit.", "A person is holding a person.", "none of the rule's words"),
        ("No brawls.", "A person is punching another person.", "none of the rule's words"),
        ("No more than 3 dogs.", "More than 3 cats are visible.", "none of the rule's words"),
        ("Nobody on a roof.", "A person is on a wall.", "has only `nobody`|none of the rule's"),
        (HELMETS, "A cyclist is wearing a helmet.", "the rule demands `wear helmets`"),
        (LEADS, "A dog is on a lead.", "the rule demands `a lead`"),
        (LEADS, "A dog is visible, and a lead is visible.", "the rule demands `a lead`"),
        ("No child without a helmet.", "A child with a helmet is visible.", "demands `a helmet`"),
    ],
)
def test_wordings_that_lose_the_rule(text, wording, says):
    (found,) = (p for p in problems(text, wording) if any(part in p for part in says.split("|")))
    assert found
    assert loses_rule(text, wording)


@pytest.mark.parametrize(
    ("text", "wording", "says"),
    [
        (
            BLADES,
            "A knife is visible or a blade is visible.",
            "no word of `guns`, `bombs`, of which",
        ),
        ("No naked people and no guns.", "People with guns.", "no word of `no naked people`"),
        ("No guns, except in a museum.", "A gun is visible.", "has an exception"),
        ("No more than 3 dogs.", "A dog is visible.", "lacks `3`"),
        ("No smoking or drinking.", "A person is smoking and drinking.", "has an `or`"),
        (GUNS, "A child must not hold a gun.", "it says what must not be there"),
        (GUNS, "Children avoid guns.", "it says what must not be there"),
        (GUNS, "The rule is about children with guns.", "it speaks of the rule"),
        (HELMETS, "Cyclists must wear a hat, unless a helmet is on.", "must not be there"),
    ],
)
def test_wordings_that_lose_a_part(text, wording, says):
    assert any(says in problem for problem in problems(text, wording))
    assert not loses_rule(text, wording)


@pytest.mark.parametrize(
    ("text", "wording", "words"),
    [
        (GUNS, "A child is visible.", ["guns"]),
        (GUNS, "A gun is visible.", ["children"]),
        (GUNS, "A child is holding a gun.", []),
        ("No naked children.", "A child is visible.", ["naked"]),
        ("No smoking children.", "A child is visible.", ["smoking"]),
        ("No scary dogs near children.", "A dog is within 2 metres of a child.", []),
        (BLADES, "A knife is visible.", []),  # of guns and bombs it is told that nothing is left
        ("Keine Waffen und keine Messer f\u00fcr die Kinder.", "Kinder", []),
    ],
)
def test_words_that_only_the_text_has(text, wording, words):
    assert lost_words(text, wording) == words


@pytest.mark.parametrize(
    ("text", "wording", "counts"),
    [
        ("No dogs.", "At least two dogs are visible.", ["two"]),
        ("No dogs.", "At least one dog is visible.", []),
        ("No dogs.", "Every dog is visible.", []),
        ("Not too many people on a boat.", "At least five people are on a boat.", []),
        ("No dogs near children.", "A dog is within 2 metres of a child.", []),
        ("No more than 3 dogs.", "At least four dogs are visible.", []),
    ],
)
def test_numbers_that_only_the_wording_has(text, wording, counts):
    assert gained_counts(text, wording) == counts


GUN, GUN_SEEN = "a child is holding a gun", "A child is holding a gun."


@pytest.mark.parametrize(
    ("texts", "statements", "logic", "says"),
    [
        ((GUNS, GUN_SEEN), (GUN,), "1", None),
        ((GUNS, GUN_SEEN), ("a rule is shown",), "1", "none of the rule's words is in"),
        ((GUNS, GUN_SEEN), (GUN, "a toy"), "1 and not 2", "the condition has an exception"),
        ((GUNS, GUNS), (GUN, "a toy"), "1 and not 2", "the condition has an exception"),
        # The objective is told of both already.
        ((GUNS, "A dog is visible."), ("a dog is visible",), "1", None),
        ((GUNS, f"{GUN_SEEN[:-1]}, unless it is a toy."), (GUN, "a toy"), "1 and not 2", None),
        ((HELMETS, HELMETS), ("a cyclist is wearing a helmet",), "1", "the condition forbids it"),
        ((HELMETS, HELMETS), ("a cyclist is visible", "a helmet is worn"), "1 and not 2", None),
        ((HELMETS, HELMETS), ("a cyclist is without a helmet",), "1", None),
    ],
)
def test_trees_that_lose_the_rule(texts, statements, logic, says):
    condition = combine(logic, [Precondition(statement=statement) for statement in statements])
    found = [difference.problem for difference in tree_faults(*texts, condition)]
    assert [says in problem for problem in found] == [True] * (says is not None)


def test_what_people_wrote_demands_nothing_that_it_forbids():
    for name in shipped_constitutions():
        for rule in load_constitution(name).rules:
            assert inverted(rule.text, rule.objective) == []
