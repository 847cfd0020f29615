"""The drawn world's pictures: every fact can be seen where the boxes say it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world import scene as world
from safejudge.sketch.world.scene import Animal, Person, Placed, Scene, Thing, Vehicle, width_of

PEOPLE = st.builds(
    Person,
    age=st.sampled_from(world.AGES),
    posture=st.sampled_from(world.POSTURES),
    skin=st.sampled_from(world.SKINS),
    hair=st.sampled_from(world.HAIR),
    long_hair=st.booleans(),
    headwear=st.sampled_from((None, *world.HEADWEAR)),
    occupation=st.sampled_from((None, *world.OCCUPATIONS)),
    shirt=st.sampled_from(world.COLOURS),
    holding=st.sampled_from((None, *world.ITEMS)),
    facing=st.sampled_from(("left", "right")),
    pointing=st.booleans(),
    bloody=st.booleans(),
    burning=st.booleans(),
    masked=st.booleans(),
    hand_in_hand=st.booleans(),
    on=st.sampled_from((None, *world.SUPPORTS)),
)
ANIMALS = st.builds(
    Animal,
    species=st.sampled_from(world.SPECIES),
    posture=st.sampled_from(world.POSTURES),
    bloody=st.booleans(),
    caged=st.booleans(),
    leash=st.sampled_from((None, "left", "right")),
)
VEHICLES = st.builds(
    Vehicle,
    kind=st.sampled_from(world.VEHICLES),
    colour=st.sampled_from(world.COLOURS),
    burning=st.booleans(),
    overturned=st.booleans(),
)
THINGS = st.builds(Thing, kind=st.sampled_from(world.THINGS), colour=st.sampled_from(world.COLOURS))


def _scene(entities, **fields):
    """Place the entities side by side as far as there is room."""
    placed, column = [], 0
    for entity in entities:
        width = width_of(entity)
        if column + width <= world.COLUMNS:
            placed.append(Placed(column, width, entity))
            column += width
    plain = {"setting": "park", "night": False, "look": 5}
    return Scene(placed=tuple(placed), **(plain | fields))


SCENES = st.builds(
    _scene,
    st.lists(st.one_of(PEOPLE, ANIMALS, VEHICLES, THINGS), max_size=4),
    setting=st.sampled_from(world.SETTINGS),
    night=st.booleans(),
    look=st.integers(0, 2**40),
    flaw=st.sampled_from((None, *world.FLAWS)),
    flaw_strength=st.floats(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(SCENES)
def test_any_scene_is_drawn_the_same_twice_with_boxes_inside_the_picture(scene):
    first, second = draw(scene), draw(scene)
    assert np.array_equal(first.pixels, second.pixels)
    assert first.boxes == second.boxes
    assert first.pixels.shape == (96, 96, 3)
    assert first.pixels.dtype == np.uint8
    for box in first.boxes:
        x0, y0, x1, y1 = box.box
        assert 0 <= x0 < x1 <= 96
        assert 0 <= y0 < y1 <= 96
    main = {b.entity for b in first.boxes if b.part in {"person", "animal", "vehicle", "thing"}}
    assert main == set(range(len(scene.placed)))


@settings(max_examples=60, deadline=None)
@given(PEOPLE, st.integers(0, 10**6))
def test_every_part_of_a_person_has_its_box(person, look):
    parts = {b.part: b.what for b in draw(_scene([person], look=look)).boxes}
    expected = {"person": person.age, "head": person.hair}
    expected |= {"held": person.holding} if person.holding else {}
    expected |= {"support": person.on} if person.on else {}
    expected |= {"headwear": person.headwear} if person.headwear else {}
    expected |= {"blood": "blood"} if person.bloody else {}
    expected |= {"fire": "fire"} if person.burning else {}
    expected |= {"mask": "mask"} if person.masked else {}
    assert parts == expected


@pytest.mark.parametrize("look", range(8))
@pytest.mark.parametrize("facing", ["left", "right"])
@pytest.mark.parametrize("item", world.ITEMS)
def test_a_held_item_is_never_cut_off_by_the_edge(item, facing, look):
    people = [Person(holding=item, facing=facing) for _ in range(4)]
    for box in draw(_scene(people, look=look)).boxes:
        if box.part == "held":
            assert box.box[0] > 0
            assert box.box[2] < 96


def test_pixels_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        draw(_scene([Person()])).pixels[0, 0] = 0


def _seen(before, after):
    """Mean absolute change of the pixels that an entity's boxes cover in either picture."""
    inside = np.zeros((96, 96), dtype=bool)
    drawings = draw(before), draw(after)
    for drawing in drawings:
        for box in drawing.boxes:
            if box.entity == 1:
                x0, y0, x1, y1 = (round(v) for v in box.box)
                inside[y0:y1, x0:x1] = True
    first, second = (drawing.pixels.astype(int) for drawing in drawings)
    return np.abs(first - second)[inside].mean()


def _pairs(field, values):
    return [(field, a, b) for i, a in enumerate(values) for b in values[:i]]


PERSON_FACTS = [
    *_pairs("age", world.AGES),
    *_pairs("posture", ("standing", "kneeling")),
    *_pairs("skin", world.SKINS),
    *_pairs("hair", world.HAIR),
    *_pairs("long_hair", (False, True)),
    *_pairs("headwear", (None, *world.HEADWEAR)),
    *_pairs("occupation", (None, *world.OCCUPATIONS)),
    *_pairs("shirt", world.COLOURS),
    *_pairs("holding", (None, *world.ITEMS)),
    *_pairs("bloody", (False, True)),
    *_pairs("burning", (False, True)),
    *_pairs("masked", (False, True)),
    *_pairs("hand_in_hand", (False, True)),
    *_pairs("on", (None, "box", "ladder")),
]


@pytest.mark.parametrize("age", world.AGES)
@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize(("field", "a", "b"), PERSON_FACTS)
def test_every_fact_of_a_person_can_be_seen(field, a, b, night, age):
    neighbours = [Person(shirt="green", age="child"), Person(shirt="purple")]
    before, after = (
        _scene([neighbours[0], replace(Person(age=age), **{field: v}), neighbours[1]], night=night)
        for v in (a, b)
    )
    assert _seen(before, after) > 1.5


@pytest.mark.parametrize("field", ["facing", "pointing"])
@pytest.mark.parametrize("weapon", world.WEAPONS)
@pytest.mark.parametrize("posture", ["standing", "kneeling"])
def test_where_a_weapon_points_can_be_seen(field, weapon, posture):
    person = Person(holding=weapon, posture=posture)
    other = replace(person, **({"facing": "left"} if field == "facing" else {"pointing": True}))
    neighbour = Person(shirt="red")
    scenes = [_scene([neighbour, who, neighbour]) for who in (person, other)]
    assert _seen(*scenes) > 3


@pytest.mark.parametrize(
    ("entity", "field", "a", "b"),
    [
        *((Animal(), *pair) for pair in _pairs("species", ("dog", "cat", "bird"))),
        *(
            (Animal(species=species), field, a, b)
            for species in world.SPECIES
            for field, a, b in (
                ("posture", "standing", "lying"),
                ("bloody", False, True),
                ("caged", False, True),
                ("leash", None, "left"),
                ("leash", "left", "right"),
            )
        ),
        *((Vehicle(), *pair) for pair in _pairs("kind", world.VEHICLES)),
        *(
            (Vehicle(kind=kind), *pair)
            for kind in world.VEHICLES
            for pair in (
                *_pairs("colour", world.COLOURS),
                ("burning", False, True),
                ("overturned", False, True),
            )
        ),
        *((Thing(), *p) for p in _pairs("kind", [t for t in world.THINGS if t != "bed"])),
        *((Thing("ball"), *pair) for pair in _pairs("colour", world.COLOURS)),
    ],
)
def test_every_fact_of_other_entities_can_be_seen(entity, field, a, b):
    before, after = (_scene([Person(), replace(entity, **{field: v}), Person()]) for v in (a, b))
    assert _seen(before, after) > 1.5


def test_setting_and_night_can_be_seen_but_leave_the_entity_alone():
    pictures = [
        draw(_scene([Person()], setting=setting, night=night))
        for setting in world.SETTINGS
        for night in (False, True)
    ]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one.pixels.astype(int) - other.pixels).mean() > 10
            assert one.boxes == other.boxes


@pytest.mark.parametrize("flaw", world.FLAWS)
def test_a_flaw_grows_with_its_strength_and_moves_no_box(flaw):
    clean = draw(_scene([Person(), Animal(), Vehicle()]))
    changes = []
    for strength in (0.0, 0.1, 1.0):
        scene = _scene([Person(), Animal(), Vehicle()], flaw=flaw, flaw_strength=strength)
        drawing = draw(scene)
        assert drawing.boxes == clean.boxes
        changes.append(np.abs(drawing.pixels.astype(int) - clean.pixels).mean())
    assert changes[0] == 0
    assert 0 < changes[1] < changes[2] < 30


def test_look_moves_things_without_changing_what_they_are():
    one, other = (draw(_scene([Person(), Animal()], look=look)) for look in (1, 2))
    assert [b.what for b in one.boxes] == [b.what for b in other.boxes]
    assert [b.box for b in one.boxes] != [b.box for b in other.boxes]


def test_an_unknown_flaw_is_named():
    with pytest.raises(ValueError, match="smear"):
        draw(_scene([Person()], flaw="smear", flaw_strength=0.5))
