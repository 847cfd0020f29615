"""Animals and vehicles of the drawn world; their own right is the side they face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.sketch.drawing.pen import Pen, Point
from safejudge.sketch.drawing.props import blotch, draw_smoke, draw_tongues

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.sketch.world.scene import Animal, Vehicle


def _dog(pen: Pen, *, lying: bool) -> None:
    drop = 7.0 if lying else 0.0
    if lying:
        for x in (-8.0, 4.0):
            pen.limb([(x, -2), (x + 6, -2)], 3, "dog")
    else:
        for x in (-7, -3.5, 2.5, 6):
            pen.limb([(x, -9), (x, 0)], 2.8, "dog")
    pen.limb([(-8, -13 + drop), (-11.5, -20 + drop)], 2.4, "dog")
    pen.oval((-1, -11.5 + drop), (9, 5), "dog")
    head = pen.at(6.5, -18 + drop)
    head.oval((0, 0), (5, 5), "dog")
    head.oval((3.8, 1.6), (3.2, 2.4), "dog")
    head.oval((6, 0.6), (1.3, 1.2), "black", None)
    head.oval((-3.2, 1.4), (2.2, 4.4), "dog ear")
    head.oval((1.4, -1.2), (1, 1), "black", None)


def _cat(pen: Pen, *, lying: bool) -> None:
    if lying:
        pen.limb([(-7, -3), (-10, -3), (-11, -7)], 2.2, "cat")
        pen.oval((-1, -4), (8.5, 4), "cat")
        head = pen.at(5, -6.5)
    else:
        pen.limb([(-4, -2), (-9, -3), (-9.5, -9), (-7, -11)], 2.2, "cat")
        pen.oval((0, -5.5), (5, 6), "cat")
        for x in (-2, 2):
            pen.limb([(x, -4), (x, 0)], 2, "cat")
        head = pen.at(0, -14)
    for side in (-1, 1):
        head.poly([(5 * side, -8), (5 * side, -1), (0.8 * side, -4)], "cat")
    head.oval((0, 0), (5, 4.4), "cat")
    head.line([(0, -4), (0, -2)], 1.4, "cat stripe")
    for side in (-1, 1):
        head.oval((2 * side, -0.8), (0.9, 1.1), "black", None)
        head.line([(2 * side, 1.4), (7.5 * side, 0.4)], 0.6, "white")
        head.line([(2 * side, 2), (7.5 * side, 3)], 0.6, "white")
    head.oval((0, 1.2), (0.9, 0.7), "petal", None)


def _bird(pen: Pen, *, lying: bool) -> None:
    if lying:
        for x in (-2, 1):
            pen.line([(x, -9), (x + 1, -14)], 1.2, "orange")
        pen.poly([(-5, -4), (-11, -1), (-11, -5)], "wing")
        body, eye = pen.at(0, -5.2), "white"
    else:
        for x in (-2, 2):
            pen.line([(x, -6), (x, 0)], 1.4, "orange")
        pen.poly([(-4, -8), (-11, -13), (-11, -8)], "wing")
        body, eye = pen.at(0, -9.5), "black"
    body.oval((0, 0), (6.2, 5.2), "bird")
    head = body.at(5, 1) if lying else body.at(4, -5.5)
    head.poly([(3, -1.6), (7.5, 0.4), (3, 1.8)], "beak")
    head.oval((0, 0), (3.9, 3.9), "bird")
    head.oval((1.2, -0.8), (1, 1), eye, None)
    body.oval((-1.6, -0.6), (4, 2.6), "wing")


def draw_horse(pen: Pen, *, lying: bool = False) -> None:
    """Draw a horse, two columns wide; its back is 27 above the ground when it stands."""
    drop = 13.0 if lying else 0.0
    if lying:
        for x in (-10.0, 6.0):
            pen.limb([(x, -5), (x + 8, -2), (x - 1, -1.5)], 3.2, "horse")
    else:
        for x in (-12, -7.5, 6, 10.5):
            pen.limb([(x, -17), (x, 0)], 3.6, "horse")
            pen.rect((x - 2.2, -2.2, x + 2.2, 0), "black", None)
    body = pen.at(0, drop)
    body.limb([(-14, -24), (-19, -20), (-20, -10)], 3, "mane")
    body.oval((-1, -20.5), (15.5, 7), "horse")
    body.poly([(7, -24), (15, -38), (21, -35), (13, -16)], "horse")
    body.poly([(14, -39), (18, -40.5), (24, -33), (23, -29.5), (19.5, -29.5), (14, -33)], "horse")
    body.poly([(15, -39), (16.5, -44), (18, -39.5)], "horse")
    body.poly([(16, -41), (12, -39), (4.5, -25), (9, -25), (14.5, -34)], "mane")
    body.oval((18.4, -36), (1.1, 1.1), "white", None)
    body.oval((18.7, -36), (0.7, 0.8), "black", None)


_STAINS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "dog": ((-5, -12, 3.4), (2.5, -11, 3), (7, -18, 2.6)),
    "cat": ((-1.5, -7, 3), (2, -3.5, 2.4), (-2.5, -14, 2)),
    "bird": ((0, -9, 3.2), (3.5, -13.5, 1.9), (-3.4, -10, 2)),
    "horse": ((-9, -21, 4.2), (2, -20, 4.2), (14, -29, 3.2), (20, -33, 2.4)),
}
_DROP = {"dog": 7.0, "cat": 3.4, "bird": 4.3, "horse": 13.0}
_CAGE = {"dog": (11.5, 28), "cat": (11.5, 26), "bird": (11.5, 25), "horse": (23.5, 49)}
_NECK: dict[str, Point] = {
    "dog": (3.5, -13.5), "cat": (1, -9.5), "bird": (2, -11), "horse": (13.5, -27)
}  # fmt: skip


def draw_animal(pen: Pen, animal: Animal) -> Point:
    """Draw the animal without its blood; returns where a leash is tied, in picture pixels."""
    lying = animal.posture == "lying"
    match animal.species:
        case "dog":
            _dog(pen, lying=lying)
        case "cat":
            _cat(pen, lying=lying)
        case "bird":
            _bird(pen, lying=lying)
        case _:
            draw_horse(pen, lying=lying)
    x, y = _NECK[animal.species]
    return pen.point(x, y + (_DROP[animal.species] if lying else 0))


def draw_animal_blood(pen: Pen, animal: Animal) -> None:
    """Draw stains on the animal's body."""
    drop = _DROP[animal.species] if animal.posture == "lying" else 0.0
    for x, y, size in _STAINS[animal.species]:
        blotch(pen, x, y + drop, size)


def draw_cage(pen: Pen, species: str) -> None:
    """Draw a cage of vertical bars around the animal."""
    half, height = _CAGE[species]
    bars = 5 if half < 20 else 9
    for k in range(bars):
        x = -half + 2 * half * k / (bars - 1)
        pen.limb([(x, -height), (x, 1)], 1.1, "silver")
    for y in (-height, 0.6):
        pen.limb([(-half - 0.5, y), (half + 0.5, y)], 1.8, "grey")


def _wheel(pen: Pen, x: float, radius: float) -> None:
    pen.oval((x, -radius), (radius, radius), "tyre")
    pen.oval((x, -radius), (radius * 0.45, radius * 0.45), "silver", None)


def _car(pen: Pen, colour: str) -> None:
    pen.poly([(-14, -13), (-9, -22), (6, -22), (13, -13)], colour)
    pen.poly([(-11, -13.5), (-7.6, -20), (-2.4, -20), (-2.4, -13.5)], "glass")
    pen.poly([(-0.4, -13.5), (-0.4, -20), (5, -20), (9.8, -13.5)], "glass")
    pen.poly([(-22, -4), (-22, -13), (13, -14), (22, -11), (22, -4)], colour)
    pen.rect((19.5, -10.5, 22.2, -7.5), "yellow")
    pen.rect((-22.3, -11, -20.3, -8), "orange")
    for x in (-13, 13):
        _wheel(pen, x, 5.2)


def _bus(pen: Pen, colour: str) -> None:
    pen.rect((-23, -34, 23, -4), colour)
    for k in range(5):
        x = -21 + 7.6 * k
        pen.rect((x, -30.5, x + 6, -20), "glass")
    pen.rect((17.4, -30.5, 22.4, -7), "glass")
    pen.rect((-23, -15.5, 17, -13.5), "white" if colour != "white" else "grey", None)
    for x in (-14, 12):
        _wheel(pen, x, 5)


def draw_bicycle(pen: Pen, colour: str) -> None:
    """Draw a bicycle, two columns wide; its saddle is 22 above the ground."""
    for x in (-13, 13):
        pen.ring((x, -8.5), 8.5, 5, "tyre")
        pen.oval((x, -8.5), (1.4, 1.4), "silver")
    seat, pedal, fork = (-5.0, -19.0), (-1.0, -8.0), (9.5, -20.0)
    for a, b in (
        ((-13.0, -8.5), seat), ((-13.0, -8.5), pedal), (seat, pedal), (seat, fork),
        (pedal, fork), (fork, (13.0, -8.5)),
    ):  # fmt: skip
        pen.limb([a, b], 2.2, colour)
    pen.rect((-9, -22.5, -1.5, -19.8), "black")
    pen.limb([(9.5, -20), (9, -25), (13, -26)], 1.8, "steel")
    pen.oval(pedal, (2, 2), "steel")


_MODELS: dict[str, tuple[Callable[[Pen, str], None], float]] = {
    "car": (_car, 22),
    "bus": (_bus, 34),
    "bicycle": (draw_bicycle, 25),
}


def draw_vehicle(pen: Pen, vehicle: Vehicle) -> None:
    """Draw the vehicle, wheels up when overturned."""
    shape, height = _MODELS[vehicle.kind]
    if vehicle.overturned:
        x, y = pen.point(0, -height)
        pen = Pen(pen.canvas, x, y, pen.scale, pen.flip, down=-1)
    shape(pen, vehicle.colour)


def draw_vehicle_fire(pen: Pen, vehicle: Vehicle) -> None:
    """Draw flames on top of the vehicle, and dark smoke."""
    top = -_MODELS[vehicle.kind][1] + (5 if vehicle.kind == "car" else 3)
    draw_smoke(pen, top)
    draw_tongues(pen, -14, 14, top, 15)
    draw_tongues(pen, -20, -12, top + 9, 10)
    draw_tongues(pen, 12, 20, top + 9, 10)
