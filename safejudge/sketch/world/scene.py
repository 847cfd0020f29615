"""The drawn world: what a scene can hold. Plain facts, no pixels (`draw`), no words (`statements`).

A scene is 96 x 96 pixels wide and has four columns of 24 pixels, numbered 0 to 3 from the left.
Every entity stands in one column, or covers two (lying people, horses, cars, buses, beds).
Entities are listed by column; neighbours in the list are *next to* each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SIZE = 96
"""Width and height of a drawn scene in pixels."""
COLUMNS = 4
COLUMN = SIZE // COLUMNS

SETTINGS = ("room", "street", "park", "beach")
AGES = ("adult", "child")
SKINS = ("light", "medium", "dark")
HAIR = ("black", "brown", "blond", "red", "grey")
HEADWEAR = ("cap", "helmet", "headscarf")
OCCUPATIONS = ("doctor", "firefighter", "cook", "police officer", "builder", "farmer")
COLOURS = ("red", "blue", "green", "yellow", "purple", "white")
POSTURES = ("standing", "kneeling", "lying")
WEAPONS = ("knife", "gun")
ITEMS = ("knife", "gun", "bottle", "ball", "flower", "phone", "cigarette", "hammer")
SUPPORTS = ("bed", "box", "ladder", "horse", "bicycle")
SPECIES = ("dog", "cat", "horse", "bird")
VEHICLES = ("car", "bus", "bicycle")
THINGS = ("fire", "blood", "tree", "bed", "box", "ladder", "knife", "gun", "bottle", "ball")
FLAWS = ("blur", "noise", "jpeg", "distortion")

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Person:
    """A person, and what they hold, wear, point at and rest on."""

    age: str = "adult"
    posture: str = "standing"
    skin: str = "light"
    hair: str = "brown"
    long_hair: bool = False
    headwear: str | None = None
    occupation: str | None = None
    """Shown by dress: it replaces the plain shirt."""
    shirt: str = "blue"
    """Colour of the plain shirt; not visible under an occupation's dress."""
    holding: str | None = None
    """One of `ITEMS`."""
    facing: Side = "right"
    """The side on which the item is held, and the neighbour a weapon is pointed at."""
    pointing: bool = False
    """The held weapon is pointed, arm stretched, at the neighbour on the `facing` side."""
    bloody: bool = False
    burning: bool = False
    masked: bool = False
    """A black mask covers the face."""
    hand_in_hand: bool = False
    """Holds hands with the person next on the right (who need not repeat it)."""
    on: str | None = None
    """What the person rests on or rides (`SUPPORTS`); it is drawn with the person."""


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal."""

    species: str = "dog"
    posture: str = "standing"
    """standing or lying."""
    bloody: bool = False
    caged: bool = False
    """Inside a cage of bars."""
    leash: Side | None = None
    """A line runs to the hand of the person on that side."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle without a rider."""

    kind: str = "car"
    colour: str = "red"
    burning: bool = False
    overturned: bool = False
    """Wheels up."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object on the ground."""

    kind: str = "tree"
    colour: str = "red"
    """Of a ball; ignored otherwise."""


Entity = Person | Animal | Vehicle | Thing


@dataclass(frozen=True, slots=True)
class Placed:
    """An entity and the columns it covers."""

    column: int
    width: int
    """1 or 2 columns."""
    entity: Entity


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is true of one drawn picture."""

    setting: str
    night: bool
    placed: tuple[Placed, ...]
    """By column, from the left; columns do not overlap."""
    look: int = 0
    """Seed of everything that carries no fact: shades, jitter, background details."""
    flaw: str | None = None
    """One of `FLAWS`."""
    flaw_strength: float = 0.0
    """0 (none) to 1 (strong)."""

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Entities from left to right."""
        return tuple(p.entity for p in self.placed)

    @property
    def people(self) -> tuple[Person, ...]:
        """People from left to right."""
        return tuple(e for e in self.entities if isinstance(e, Person))

    @property
    def animals(self) -> tuple[Animal, ...]:
        """Animals from left to right, without ridden horses."""
        return tuple(e for e in self.entities if isinstance(e, Animal))

    @property
    def vehicles(self) -> tuple[Vehicle, ...]:
        """Vehicles from left to right, without ridden bicycles."""
        return tuple(e for e in self.entities if isinstance(e, Vehicle))

    @property
    def creatures(self) -> tuple[Person | Animal, ...]:
        """People and animals from left to right."""
        return tuple(e for e in self.entities if isinstance(e, Person | Animal))

    @property
    def things(self) -> tuple[Thing, ...]:
        """Objects on the ground from left to right."""
        return tuple(e for e in self.entities if isinstance(e, Thing))

    def neighbours(self) -> Iterator[tuple[Entity, Entity]]:
        """Pairs of entities that stand next to each other, left one first."""
        return zip(self.entities, self.entities[1:], strict=False)

    def pointed_at(self) -> Iterator[tuple[Person, Entity]]:
        """(person, target) for every weapon that is pointed at somebody or some animal."""
        entities = self.entities
        for index, entity in enumerate(entities):
            if isinstance(entity, Person) and entity.pointing and entity.holding in WEAPONS:
                target = index + (1 if entity.facing == "right" else -1)
                if 0 <= target < len(entities) and isinstance(entities[target], Person | Animal):
                    yield entity, entities[target]

    def holding_hands(self) -> Iterator[tuple[Person, Person]]:
        """Pairs of people who hold hands, left one first."""
        for left, right in self.neighbours():
            if isinstance(left, Person) and isinstance(right, Person) and left.hand_in_hand:
                yield left, right


def width_of(entity: Entity) -> int:
    """How many columns an entity covers (1 or 2)."""
    match entity:
        case Person(posture="lying") | Person(on="horse" | "bicycle" | "bed"):
            return 2
        case Animal(species="horse") | Vehicle() | Thing(kind="bed"):
            return 2
        case _:
            return 1
