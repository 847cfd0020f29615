"""Draws a scene of the drawn world as a 96 x 96 picture, and says where each part is.

Takes a `Scene`, gives pixels and boxes. It does not judge whether a scene is plausible: whatever
the fields say is drawn, parts outside the picture are cut off.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safejudge.sketch.drawing.beasts import (
    draw_animal,
    draw_animal_blood,
    draw_cage,
    draw_vehicle,
    draw_vehicle_fire,
)
from safejudge.sketch.drawing.figures import (
    Figure,
    draw_body,
    draw_held,
    draw_support,
    ground_pen,
    join_hands,
    pose,
)
from safejudge.sketch.drawing.pen import SUPER, Box, Canvas, Pen, Point
from safejudge.sketch.drawing.props import draw_thing
from safejudge.sketch.drawing.scenery import apply_flaw, paint_setting
from safejudge.sketch.world.scene import (
    COLUMN,
    COLUMNS,
    SIZE,
    Animal,
    Person,
    Placed,
    Scene,
    Side,
    Vehicle,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Box", "Drawing", "draw"]

GROUND = 90.0
"""Height of the feet before jitter, in pixels from the top."""


_REACH = 16.8
"""How far a held item reaches from the middle of the column, at most."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture and where its parts are."""

    pixels: NDArray[np.uint8]
    """(96, 96, 3) RGB, read-only."""
    boxes: tuple[Box, ...]
    """By entity."""


def _ground_pens(canvas: Canvas, scene: Scene) -> list[Pen]:
    """One jittered pen per entity; the jitter of a column depends on `look` alone."""
    rng = random.Random(scene.look + 3)
    jitter = [
        (rng.uniform(-2, 2), rng.uniform(-3, 3), rng.uniform(0.94, 1.06), rng.choice((-1, 1)))
        for _ in range(COLUMNS)
    ]
    pens: list[Pen] = []
    for placed in scene.placed:
        dx, dy, scale, flip = jitter[placed.column]
        x = COLUMN * (placed.column + placed.width / 2) + dx
        # Nothing may be cut off by the edge of the picture, a held item least of all.
        half = scale * 0.5 * COLUMN * placed.width
        left = right = half
        if isinstance(placed.entity, Person) and placed.entity.holding and placed.width == 1:
            left, right = (half, _REACH) if placed.entity.facing == "right" else (_REACH, half)
        x = min(max(x, left), SIZE - right)
        pens.append(Pen(canvas, x, GROUND + dy, scale, flip))
    return pens


def _joined_sides(scene: Scene) -> list[frozenset[Side]]:
    """For each entity the sides on which it holds a neighbour's hand."""
    entities = scene.entities
    sides: list[set[Side]] = [set() for _ in entities]
    for index, (left, right) in enumerate(scene.neighbours()):
        if isinstance(left, Person) and isinstance(right, Person) and left.hand_in_hand:
            sides[index].add("right")
            sides[index + 1].add("left")
    return [frozenset(joined) for joined in sides]


def _draw_animal(pen: Pen, index: int, animal: Animal) -> Point:
    canvas = pen.canvas
    with canvas.part(index, "animal", animal.species):
        neck = draw_animal(pen, animal)
        if animal.bloody:
            with canvas.part(index, "blood", "blood"):
                draw_animal_blood(pen, animal)
    if animal.caged:
        with canvas.part(index, "cage", "cage"):
            draw_cage(pen, animal.species)
    return neck


def _draw_other(pen: Pen, index: int, placed: Placed) -> None:
    canvas, entity = pen.canvas, placed.entity
    if isinstance(entity, Vehicle):
        if entity.burning:
            with canvas.part(index, "fire", "fire"):
                draw_vehicle_fire(pen, entity)
        with canvas.part(index, "vehicle", entity.kind):
            draw_vehicle(pen, entity)
    elif not isinstance(entity, Person | Animal):
        with canvas.part(index, "thing", entity.kind):
            draw_thing(pen, entity)


def _draw_leash(
    canvas: Canvas, scene: Scene, index: int, neck: Point, figures: dict[int, Figure]
) -> None:
    """Draw a slack line from the animal's neck to the nearest hand on its leash side."""
    animal = scene.placed[index].entity
    if not isinstance(animal, Animal) or animal.leash is None:
        return
    right = animal.leash == "right"
    holder = figures.get(index + (1 if right else -1))
    if holder is None:
        hand = (neck[0] + (14 if right else -14), neck[1] - 14)
    else:
        hand = holder.hand("left" if right else "right")
    pen = Pen(canvas, 0, 0)
    middle = ((neck[0] + hand[0]) / 2, max(neck[1], hand[1]) - 0.25 * abs(neck[1] - hand[1]))
    with canvas.part(index, "leash", "leash"):
        pen.limb([neck, middle, hand], 1.6, "leash")
        pen.oval(neck, (2.2, 1.8), "leash")
        pen.oval(hand, (1.8, 1.8), "leash")


def _items_meet(scene: Scene, index: int) -> bool:
    """Whether the person and the one on the left hold their items between them."""
    left, right = scene.entities[index - 1], scene.entities[index]
    return (
        isinstance(left, Person)
        and isinstance(right, Person)
        and (left.facing, right.facing) == ("right", "left")
        and left.holding is not None
    )


def _draw_entities(canvas: Canvas, scene: Scene) -> None:
    pens = _ground_pens(canvas, scene)
    joined = _joined_sides(scene)
    figures: dict[int, Figure] = {}
    necks: dict[int, Point] = {}
    for index in sorted(range(len(pens)), key=lambda i: pens[i].y):
        placed, pen = scene.placed[index], pens[index]
        entity = placed.entity
        if isinstance(entity, Person):
            pen = ground_pen(pen, entity)
            if entity.on is not None:
                with canvas.part(index, "support", entity.on):
                    draw_support(pen, entity)
            figures[index] = pose(pen, entity)
            draw_body(figures[index], index, joined[index])
        elif isinstance(entity, Animal):
            necks[index] = _draw_animal(pen, index, entity)
        else:
            _draw_other(pen, index, placed)
    # Over all bodies, so that no neighbour hides them.
    for index, figure in figures.items():
        if "right" in joined[index]:
            with canvas.part(index, "person", figure.person.age):
                join_hands(figure, figures[index + 1])
    for index, figure in figures.items():
        draw_held(figure, index, low=index > 0 and _items_meet(scene, index))
    for index, neck in necks.items():
        _draw_leash(canvas, scene, index, neck, figures)


def draw(scene: Scene) -> Drawing:
    """Draw the scene; equal scenes give equal drawings.

    Raises:
        KeyError: a kind, colour, skin or dress that `world` does not list.
        ValueError: `scene.flaw` is not one of `world.FLAWS`.

    """
    canvas = Canvas(scene.look)
    paint_setting(canvas, scene)
    _draw_entities(canvas, scene)
    image = apply_flaw(canvas.image.reduce(SUPER), scene)
    pixels = np.array(image, dtype=np.uint8)
    pixels.flags.writeable = False
    return Drawing(pixels, canvas.boxes())
