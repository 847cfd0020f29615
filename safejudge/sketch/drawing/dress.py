"""What people of the drawn world wear: clothes by occupation, hair, headwear, faces and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.sketch.drawing.pen import Pen
    from safejudge.sketch.world.scene import Person


@dataclass(frozen=True, slots=True)
class Build:
    """A body's measures in its own pixels; heights are negative upwards from the feet."""

    hip: float
    shoulder: float
    head: float
    """Height of the middle of the head."""
    radius: float
    """Of the head."""
    half: float
    """Half the width of the torso."""
    limb: float
    """Thickness of a leg."""
    hem: float
    """How far a long coat reaches below the hip."""


TROUSERS = {
    "doctor": "slate",
    "firefighter": "navy",
    "cook": "grey",
    "police officer": "navy",
    "builder": "dark wood",
    "farmer": "denim",
}
"""Long trousers by occupation; everybody else wears shorts."""
SLEEVES = {
    "doctor": "white",
    "firefighter": "navy",
    "cook": "white",
    "police officer": "police",
    "builder": "slate",
    "farmer": "red",
}


def _torso(pen: Pen, b: Build, fill: str, extra: float = 0.0) -> None:
    w, top, low = b.half, b.shoulder, b.hip + extra
    shape = [(-w, top + 1.5), (-w * 0.5, top - 1), (w * 0.5, top - 1), (w, top + 1.5)]
    pen.poly([*shape, (w * (1 + 0.02 * extra), low), (-w * (1 + 0.02 * extra), low)], fill)


def _doctor(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip + b.hem
    _torso(pen, b, "white", b.hem)
    pen.poly([(-2.6, top - 1), (2.6, top - 1), (1.4, low), (-1.4, low)], "scrubs")
    pen.line([(-3, top), (-2.6, top + 6), (0, top + 8.5), (2.6, top + 6), (3, top)], 1.1, "black")
    pen.oval((0, top + 9.5), (1.5, 1.5), "steel")
    x, y = -w * 0.62, top + 7
    pen.rect((x - 0.8, y - 2.5, x + 0.8, y + 2.5), "red", None)
    pen.rect((x - 2.3, y - 0.8, x + 2.3, y + 0.8), "red", None)


def _firefighter(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip + 0.6 * b.hem
    _torso(pen, b, "navy", 0.6 * b.hem)
    for y in (top + 0.42 * (low - top), low - 4):
        pen.rect((-w, y, w, y + 2.7), "yellow", None)
    pen.line([(0, top), (0, low)], 0.9, "silver")


def _cook(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip
    _torso(pen, b, "white", 1)
    step = (low - top - 6) / 2.4
    for k in range(3):
        for x in (-0.45 * w, 0.45 * w):
            pen.oval((x, top + 5.5 + k * step), (1.1, 1.1), "black", None)
    pen.poly([(-4, top - 1.5), (4, top - 1.5), (0, top + 4)], "red")


def _police(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip
    _torso(pen, b, "police")
    pen.rect((-w, low - 3.4, w, low + 0.4), "black")
    pen.rect((-2, low - 3.6, 2, low + 0.6), "gold")
    x, y = -w * 0.45, top + 6
    pen.poly(
        [(x, y - 3.2), (x + 1, y - 1), (x + 3, y - 0.8), (x + 1.5, y + 0.8), (x + 2, y + 3),
         (x, y + 1.8), (x - 2, y + 3), (x - 1.5, y + 0.8), (x - 3, y - 0.8), (x - 1, y - 1)],
        "gold", None,
    )  # fmt: skip
    for side in (-1, 1):
        pen.rect((side * w - 2, top, side * w + 1.4 * (1 - side) / 2 + 1, top + 2), "gold", None)


def _builder(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip
    _torso(pen, b, "orange")
    pen.poly([(-2.2, top - 1), (2.2, top - 1), (0, top + 5)], "slate")
    for x in (-0.6 * w, 0.6 * w):
        pen.line([(x, top), (x, low - 0.6)], 2, "silver")
    pen.line([(-w + 0.6, low - 4.5), (w - 0.6, low - 4.5)], 2.2, "silver")


def _farmer(pen: Pen, b: Build) -> None:
    w, top, low = b.half, b.shoulder, b.hip
    _torso(pen, b, "red")
    for k in range(3):
        x = -0.66 * w + k * 0.66 * w
        pen.line([(x, top), (x, low)], 1.1, "white")
    for y in (top + 2.5, top + 6, top + 9.5):
        pen.line([(-w + 0.6, y), (w - 0.6, y)], 1.1, "white")
    bib = top + 0.42 * (low - top)
    pen.poly([(-0.7 * w, bib), (0.7 * w, bib), (w, low + 1), (-w, low + 1)], "denim")
    for side in (-1, 1):
        pen.line([(side * 0.6 * w, top - 0.6), (side * 0.55 * w, bib + 1)], 2, "denim")
        pen.oval((side * 0.5 * w, bib + 1.4), (1.1, 1.1), "gold", None)


_OUTFITS: dict[str, Callable[[Pen, Build], None]] = {
    "doctor": _doctor,
    "firefighter": _firefighter,
    "cook": _cook,
    "police officer": _police,
    "builder": _builder,
    "farmer": _farmer,
}


def draw_clothes(pen: Pen, person: Person, b: Build) -> None:
    """Draw the torso with a plain shirt or the dress of an occupation."""
    if person.occupation is not None:
        _OUTFITS[person.occupation](pen, b)
        return
    _torso(pen, b, person.shirt)
    pen.rect((-b.half, b.hip - 1, b.half, b.hip + 0.28 * -b.hip), "shorts")


def draw_head(pen: Pen, person: Person, b: Build) -> None:
    """Draw head, hair, face or mask; headwear is drawn afterwards by `draw_headwear`."""
    r, skin = b.radius, f"skin {person.skin}"
    hair = f"hair {person.hair}"
    head = pen.at(0, b.head)
    scarf = person.headwear == "headscarf"
    head.rect((-2.2, r - 2, 2.2, r + 1.8), skin, None)
    if scarf:
        head.poly([(-r, 0), (r, 0), (r + 1, r + 5), (0, r + 7), (-r - 1, r + 5)], "headscarf")
        head.oval((0, 0), (r + 1, r + 1), "headscarf")
        head.oval((0, 0.6), (r - 1.8, r - 1.4), skin)
    else:
        if person.long_hair:
            low = b.shoulder - b.head + 9
            for side in (-1, 1):
                outer, inner = side * (r + 1.6), side * (r - 2.6)
                head.poly(
                    [(inner, -2), (outer, -2), (outer + side * 0.5, low), (inner, low - 1)], hair
                )
        head.oval((0, -0.6), (r + 0.9, r + 0.7), hair)
        head.oval((0, 0.9), (r - 0.9, r - 1), skin, None)
        fringe = [(-r + 0.8, 0), (-r + 1.6, -r * 0.75), (r * 0.8, -r * 0.75), (r - 0.8, 0),
                  (r * 0.45, -r * 0.36), (-r * 0.4, -r * 0.3)]  # fmt: skip
        head.poly(fringe, hair, None)
    for x in (-2.5, 2.5):
        head.oval((x, 0.6), (1.15, 1.35), "outline", None)
    head.line([(-1.9, 3.8), (1.9, 3.8)], 1.1, "red")


def draw_mask(pen: Pen, b: Build) -> None:
    """Draw a black mask over the face with two eye slits."""
    head, r = pen.at(0, b.head), b.radius
    head.oval((0, 1), (r - 0.4, r - 0.6), "black")
    for x in (-2.6, 2.6):
        head.oval((x, 0), (1.9, 1.1), "white", None)
        head.oval((x, 0), (0.8, 0.8), "black", None)


def draw_headwear(pen: Pen, headwear: str, b: Build) -> None:
    """Draw a cap or a helmet; a headscarf belongs to the head itself."""
    head, r = pen.at(0, b.head), b.radius
    if headwear == "cap":
        dome = [(-r - 0.6, -2), (-r * 0.85, -r * 0.8), (-r * 0.3, -r - 1.8), (r * 0.4, -r - 1.8),
                (r * 0.9, -r * 0.75), (r + 0.6, -2)]  # fmt: skip
        head.poly(dome, "cap")
        head.poly([(-1, -3.6), (r + 4.5, -3.4), (r + 4.5, -1), (-1, -1.2)], "cap")
        return
    dome = [(-r - 0.8, -2.5), (-r * 0.9, -r * 0.85), (-r * 0.45, -r - 2.4), (r * 0.45, -r - 2.4),
            (r * 0.9, -r * 0.85), (r + 0.8, -2.5)]  # fmt: skip
    head.poly(dome, "helmet")
    head.rect((-1.2, -r - 3.4, 1.2, -4), "helmet")
    head.rect((-r - 2.6, -3.8, r + 2.6, -1.6), "helmet")
