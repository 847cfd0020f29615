"""The grammar: size, spelling, and truth against facts stated by hand."""

import random

import pytest

from safejudge.constitution.load import load_constitution
from safejudge.sketch.world.sample import even_scene, skewed_scene
from safejudge.sketch.world.scene import Animal, Person, Placed, Scene, Thing, Vehicle, width_of
from safejudge.sketch.world.statements import forms, grammar, normal
from safejudge.types import leaves


def scene(*entities, setting="street", night=False):
    column, placed = 0, []
    for entity in entities:
        placed.append(Placed(column, width_of(entity), entity))
        column += width_of(entity)
    return Scene(setting, night, tuple(placed))


def holds(text, *entities, **where):
    return grammar()[text].holds(scene(*entities, **where))


CHILD = Person(age="child")
GUNMAN = Person(holding="gun", pointing=True, facing="right", masked=True)


def test_there_are_at_least_a_hundred_forms_and_no_empty_slot():
    assert len(forms()) >= 100
    assert len({form.template for form in forms()}) >= 90
    assert all("{" not in text and normal(text) == text for text in grammar())


def test_every_statement_is_true_of_some_scene_and_false_of_another():
    rng = random.Random(0)
    scenes = [even_scene(rng) for _ in range(4000)]
    rare = []
    for text, statement in grammar().items():
        found = {statement.holds(s) > 0.5 for s in scenes}
        if found != {True, False}:
            rare.append(text)
    # what no even scene happens to show must at least be possible: counts of four, left of itself
    assert len(rare) < 0.08 * len(grammar()), rare


@pytest.mark.parametrize(
    ("text", "entities", "truth"),
    [
        ("a child is holding a gun", [CHILD, Person(holding="gun")], 0),
        ("a child is holding a gun", [Person(age="child", holding="gun")], 1),
        ("a weapon is visible", [Thing("knife")], 1),
        ("a person is holding a weapon", [Thing("knife"), CHILD], 0),
        ("a gun is pointed at a person", [GUNMAN, CHILD], 1),
        ("a gun is pointed at a child", [GUNMAN, Person()], 0),
        ("a gun is pointed at a person", [GUNMAN, Animal()], 0),
        ("a gun is pointed at an animal", [GUNMAN, Animal()], 1),
        ("a gun is pointed at a person", [GUNMAN], 0),
        ("a gun is pointed at a person", [CHILD, GUNMAN], 0),
        ("exactly two people are visible", [CHILD, Person(on="horse")], 1),
        ("at least two animals are visible", [Animal(), Person(on="horse")], 1),
        ("a vehicle is visible", [Person(on="bicycle")], 1),
        ("a vehicle is on fire", [Person(burning=True), Vehicle()], 0),
        ("an animal is inside a cage", [Animal("cat", caged=True)], 1),
        ("a dog is inside a cage", [Animal("cat", caged=True)], 0),
        ("a child is next to a fire", [CHILD, Person(), Thing("fire")], 0),
        ("a child is next to a fire", [Thing("fire"), CHILD], 1),
        ("an adult and a child are holding hands", [Person(hand_in_hand=True), CHILD], 1),
        ("two children are holding hands", [Person(hand_in_hand=True), CHILD], 0),
        ("a person without a helmet is visible", [Person(headwear="helmet")], 0),
        ("a person in a red shirt is visible", [Person(shirt="red", occupation="cook")], 0),
        ("a person with black hair is visible", [Person(hair="black", headwear="headscarf")], 0),
        ("a person is lying on the bare ground", [Person(posture="lying", on="bed")], 0),
        ("a dog is to the left of a cat", [Animal("dog"), Animal("cat")], 1),
        ("a dog is to the left of a cat", [Animal("cat"), Animal("dog")], 0),
        ("nobody is visible", [Animal()], 1),
        ("the scene is violent", [Person(holding="knife")], 0.3),
    ],
)
def test_truth(text, entities, truth):
    assert holds(text, *entities) == truth


def test_setting_and_time():
    assert holds("it is night", night=True) == 1
    assert holds("the scene is outdoors", setting="room") == 0
    assert holds("the scene is in a park", setting="park") == 1


def test_the_shipped_rules_stay_inside_the_grammar():
    for rule in load_constitution("sketch").rules:
        for leaf in leaves(rule.condition):
            assert normal(leaf.statement) in grammar()


def test_both_worlds_are_deterministic_and_different():
    first = [skewed_scene(random.Random(3)) for _ in range(2)]
    assert first[0] == first[1]
    rng = random.Random(1)
    skewed = [skewed_scene(rng) for _ in range(1500)]
    even = [even_scene(rng) for _ in range(1500)]

    def light_doctors(scenes):
        doctors = [p for s in scenes for p in s.people if p.occupation == "doctor"]
        return sum(p.skin == "light" for p in doctors) / len(doctors)

    assert light_doctors(skewed) > 0.6
    assert light_doctors(even) < 0.5
