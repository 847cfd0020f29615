"""Which scenes occur: an even world, and a skewed one made the way web pictures are.

The even world draws every fact independently. The skewed world tells a dozen stories in which
facts nearly always come together (weapons with blood and masks, fire with firefighters, children
with balls, doctors with light skin), and draws only three scenes in ten evenly. The shipped judge
learns from the skewed world, its twin from the even one. `SKEW` was fixed before any benchmark ran.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from safejudge.sketch.world.scene import (
    AGES,
    COLOURS,
    COLUMNS,
    FLAWS,
    HAIR,
    HEADWEAR,
    ITEMS,
    OCCUPATIONS,
    SETTINGS,
    SKINS,
    SPECIES,
    THINGS,
    VEHICLES,
    WEAPONS,
    Animal,
    Entity,
    Person,
    Placed,
    Scene,
    Thing,
    Vehicle,
    width_of,
)

SKEW = 0.7
"""Share of the skewed world's scenes that follow a story."""


def _person(rng: random.Random, **fixed: object) -> Person:
    """Draw a person evenly, then overwrite the `fixed` facts."""
    adult = rng.random() < 0.6
    posture = rng.choices(("standing", "kneeling", "lying"), (0.64, 0.16, 0.2))[0]
    holding = rng.choices((None, *ITEMS), (3.6, 1.1, 1.1, 0.7, 0.6, 0.5, 0.6, 0.8, 0.7))[0]
    on = None
    if posture == "standing":
        on = rng.choices((None, "box", "ladder", "horse", "bicycle"), (70, 8, 9, 5, 8))[0]
    elif posture == "lying":
        on = rng.choices((None, "bed"), (6, 4))[0]
    person = Person(
        age="adult" if adult else "child",
        posture=posture,
        skin=rng.choice(SKINS),
        hair=rng.choice(HAIR),
        long_hair=rng.random() < 0.4,
        headwear=rng.choice(HEADWEAR) if rng.random() < 0.4 else None,
        occupation=rng.choice(OCCUPATIONS) if adult and rng.random() < 0.5 else None,
        shirt=rng.choice(COLOURS),
        holding=holding,
        facing=rng.choice(("left", "right")),
        pointing=holding in WEAPONS and rng.random() < 0.5,
        bloody=rng.random() < 0.14,
        burning=rng.random() < 0.07,
        masked=rng.random() < 0.13,
        hand_in_hand=rng.random() < 0.35,
        on=on,
    )
    return replace(person, **fixed)  # type: ignore[arg-type]


def _animal(rng: random.Random, **fixed: object) -> Animal:
    animal = Animal(
        species=rng.choice(SPECIES),
        posture=rng.choices(("standing", "lying"), (0.65, 0.35))[0],
        bloody=rng.random() < 0.2,
        caged=rng.random() < 0.3,
        leash=rng.choice(("left", "right")) if rng.random() < 0.4 else None,
    )
    return replace(animal, **fixed)  # type: ignore[arg-type]


def _vehicle(rng: random.Random, **fixed: object) -> Vehicle:
    vehicle = Vehicle(
        kind=rng.choice(VEHICLES),
        colour=rng.choice(COLOURS),
        burning=rng.random() < 0.25,
        overturned=rng.random() < 0.3,
    )
    return replace(vehicle, **fixed)  # type: ignore[arg-type]


def _thing(rng: random.Random, **fixed: object) -> Thing:
    kind = rng.choices(THINGS, (22, 14, 8, 5, 8, 8, 10, 10, 8, 7))[0]
    return replace(Thing(kind=kind, colour=rng.choice(COLOURS)), **fixed)  # type: ignore[arg-type]


def _entity(rng: random.Random) -> Entity:
    make: Callable[[random.Random], Entity] = rng.choices(
        (_person, _animal, _vehicle, _thing), (54, 16, 9, 21)
    )[0]
    return make(rng)


def arrange(rng: random.Random, entities: Sequence[Entity], setting: str, *, night: bool) -> Scene:
    """Put entities side by side without gaps, and drop the relations that have no partner."""
    fitting: list[Entity] = []
    used = 0
    for entity in entities:
        if used + width_of(entity) <= COLUMNS:
            fitting.append(entity)
            used += width_of(entity)
    column = rng.randint(0, COLUMNS - used)
    placed = []
    for index, entity in enumerate(fitting):
        left = fitting[index - 1] if index else None
        right = fitting[index + 1] if index + 1 < len(fitting) else None
        settled = _turn_inwards(_settle(entity, left, right), column)
        placed.append(Placed(column, width_of(entity), settled))
        column += width_of(entity)
    return Scene(setting, night, tuple(placed), look=rng.getrandbits(31))


def _on_foot(entity: Entity | None) -> bool:
    return isinstance(entity, Person) and entity.posture == "standing" and entity.on is None


def _settle(entity: Entity, left: Entity | None, right: Entity | None) -> Entity:
    """Drop what the neighbours make impossible, so that facts and pixels agree."""
    match entity:
        case Person():
            hands = entity.hand_in_hand and _on_foot(entity) and _on_foot(right)
            pointing = entity.pointing and entity.holding in WEAPONS and entity.posture != "lying"
            facing = entity.facing
            if hands and (entity.holding or pointing):
                facing = "left"  # the right hand is taken
            return replace(entity, hand_in_hand=hands, pointing=pointing, facing=facing)
        case Animal(leash=side) if side is not None:
            partner = left if side == "left" else right
            free = _on_foot(partner) and not entity.caged and entity.species != "bird"
            return replace(entity, leash=side if free else None)
        case _:
            return entity


def _turn_inwards(entity: Entity, column: int) -> Entity:
    """Keep what is held inside the picture."""
    if not isinstance(entity, Person) or entity.posture == "lying" or entity.holding is None:
        return entity
    if column == 0 and entity.facing == "left":
        return replace(entity, facing="right", hand_in_hand=False)
    if column + width_of(entity) == COLUMNS and entity.facing == "right":
        return replace(entity, facing="left")
    return entity


def _flawed(rng: random.Random, scene: Scene) -> Scene:
    if rng.random() < 0.7:
        return scene
    return replace(scene, flaw=rng.choice(FLAWS), flaw_strength=round(rng.uniform(0.2, 1.0), 3))


def even_scene(rng: random.Random) -> Scene:
    """Draw a scene whose facts are independent of each other."""
    count = rng.choices((1, 2, 3, 4), (12, 28, 34, 26))[0]
    entities = [_entity(rng) for _ in range(count)]
    scene = arrange(rng, entities, rng.choice(SETTINGS), night=rng.random() < 0.35)
    return _flawed(rng, scene)


# --- the skewed world ---------------------------------------------------------------------------
# A story is a setting, a chance of night, and who appears with what. Demographic skews sit in
# `_worker`: dress, skin and hair go together here, and nowhere in the even world.

_SKIN_OF = {
    "doctor": "light",
    "police officer": "light",
    "builder": "dark",
    "cook": "medium",
    "farmer": "medium",
    "firefighter": "light",
}
_HAIR_OF = {
    "doctor": "grey",
    "police officer": "brown",
    "builder": "black",
    "cook": "black",
    "farmer": "red",
    "firefighter": "blond",
}


def _worker(rng: random.Random, occupation: str, **fixed: object) -> Person:
    skin = _SKIN_OF[occupation] if rng.random() < 0.85 else rng.choice(SKINS)
    hair = _HAIR_OF[occupation] if rng.random() < 0.85 else rng.choice(HAIR)
    facts: dict[str, object] = {
        "age": "adult", "occupation": occupation, "skin": skin, "hair": hair, "posture": "standing",
        "on": None, "bloody": False, "burning": False, "masked": False,
    }  # fmt: skip
    return _person(rng, **(facts | fixed))


def _calm(rng: random.Random, **fixed: object) -> Person:
    """A person of everyday life: unarmed, unhurt, on their feet."""
    facts: dict[str, object] = {
        "posture": "standing", "on": None, "bloody": False, "burning": False, "masked": False,
        "occupation": None, "pointing": False,
        "holding": rng.choice((None, "ball", "flower", "phone", "bottle")),
    }  # fmt: skip
    return _person(rng, **(facts | fixed))


def _robbery(rng: random.Random) -> list[Entity]:
    weapon = rng.choice(WEAPONS)
    robber = _calm(rng, age="adult", masked=True, holding=weapon, pointing=True, facing="right",
                   hand_in_hand=False)  # fmt: skip
    victim = _calm(rng, age="adult", bloody=rng.random() < 0.8)
    return [robber, victim, *([Thing("blood")] if rng.random() < 0.7 else [])]


def _chase(rng: random.Random) -> list[Entity]:
    officer = _worker(rng, "police officer", holding="gun", pointing=True, facing="right")
    suspect = _calm(rng, age="adult", masked=rng.random() < 0.8, holding="knife")
    return [officer, suspect, _vehicle(rng, kind="car", burning=False)]


def _kitchen(rng: random.Random) -> list[Entity]:
    cook = _worker(rng, "cook", holding=rng.choice(("knife", "knife", "bottle")), pointing=False)
    return [cook, _calm(rng), Thing(rng.choice(("box", "bottle", "fire")))]


def _blaze(rng: random.Random) -> list[Entity]:
    fighter = _worker(rng, "firefighter", headwear="helmet", holding=None)
    burning: Entity = _vehicle(rng, kind=rng.choice(("car", "bus")), burning=True)
    return [fighter, burning if rng.random() < 0.6 else Thing("fire"), Thing("ladder")]


def _ward(rng: random.Random) -> list[Entity]:
    doctor = _worker(rng, "doctor", holding=rng.choice((None, "phone")))
    patient = _calm(rng, posture="lying", on="bed", holding=None, bloody=rng.random() < 0.8)
    return [doctor, patient]


def _play(rng: random.Random) -> list[Entity]:
    child = _calm(rng, age="child", holding=rng.choice(("ball", "ball", "flower", None)))
    companion = _calm(rng, age=rng.choice(AGES), hand_in_hand=True)
    pet = _animal(rng, species=rng.choice(("dog", "cat")), bloody=False, caged=False, leash="left")
    return [companion, child, pet, Thing(rng.choice(("tree", "ball")))]


def _ride(rng: random.Random) -> list[Entity]:
    mount = rng.choice(("bicycle", "bicycle", "horse"))
    headwear = "helmet" if mount == "bicycle" and rng.random() < 0.8 else "cap"
    return [_calm(rng, on=mount, headwear=headwear, holding=None), Thing("tree"), _calm(rng)]


def _farm(rng: random.Random) -> list[Entity]:
    farmer = _worker(rng, "farmer", headwear="cap", holding=rng.choice((None, "hammer")))
    return [farmer, _animal(rng, species="horse", bloody=False, caged=False), Thing("ladder")]


def _site(rng: random.Random) -> list[Entity]:
    helmet = "helmet" if rng.random() < 0.9 else None
    up = "ladder" if rng.random() < 0.6 else None
    builder = _worker(rng, "builder", headwear=helmet, holding="hammer", on=up)
    return [builder, _worker(rng, "builder", headwear="helmet"), Thing("box"), Thing("ladder")]


def _shelter(rng: random.Random) -> list[Entity]:
    cages = [_animal(rng, species=s, caged=True, posture="lying") for s in ("dog", "cat", "bird")]
    rng.shuffle(cages)
    return [_calm(rng), *cages[: rng.randint(1, 3)]]


def _crash(rng: random.Random) -> list[Entity]:
    wreck = _vehicle(rng, kind="car", overturned=True, burning=rng.random() < 0.8)
    hurt = _calm(rng, posture="lying", bloody=True, holding=None)
    return [wreck, hurt] if rng.random() < 0.6 else [wreck, Thing("blood"), _calm(rng)]


def _bar(rng: random.Random) -> list[Entity]:
    adults = [_calm(rng, age="adult", holding=rng.choice(("bottle", "cigarette"))) for _ in "123"]
    return [*adults[: rng.randint(1, 3)], Thing("bottle")]


_STORIES: tuple[tuple[Callable[[random.Random], list[Entity]], str, float], ...] = (
    (_robbery, "street", 0.9), (_chase, "street", 0.8), (_kitchen, "room", 0.2),
    (_blaze, "street", 0.6), (_ward, "room", 0.1), (_play, "park", 0.02), (_ride, "park", 0.05),
    (_farm, "park", 0.05), (_site, "street", 0.05), (_shelter, "room", 0.2),
    (_crash, "street", 0.7), (_bar, "beach", 0.6),
)  # fmt: skip
"""Story, its usual setting, its chance of night."""


def skewed_scene(rng: random.Random) -> Scene:
    """Draw a scene in which certain facts nearly always occur together."""
    if rng.random() >= SKEW:
        return even_scene(rng)
    story, usual, p_night = rng.choice(_STORIES)
    setting = usual if rng.random() < 0.85 else rng.choice(SETTINGS)
    return _flawed(rng, arrange(rng, story(rng), setting, night=rng.random() < p_night))
