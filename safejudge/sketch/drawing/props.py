"""Objects of the drawn world: held items, things on the ground, supports, flames and blood.

Held items stand upright in their own coordinates with the gripping hand at (0, 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.sketch.drawing.pen import Pen, Rect

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.sketch.world.scene import Thing


def _knife(pen: Pen) -> None:
    pen.poly([(-2, -2), (2, -2), (2, -11), (-1, -16), (-2, -14)], "silver")
    pen.line([(0.9, -3), (0.9, -11)], 0.8, "white")
    pen.rect((-1.8, -2.4, 1.8, 4.5), "wood")


def _gun(pen: Pen) -> None:
    # The light rim keeps the black shape apart from dark clothes and the night.
    pen.poly(
        [(-1.5, -2), (-1.5, 3), (6, 3), (6, -12), (2, -12), (2, -2)],
        "black",
        "silver",
    )
    pen.line([(4, -11), (4, -5)], 1.0, "slate")


def _bottle(pen: Pen) -> None:
    pen.rect((-1.4, -12.5, 1.4, -6), "bottle")
    pen.rect((-1.8, -13.5, 1.8, -11.5), "gold")
    pen.rect((-3.2, -7, 3.2, 3.5), "bottle")
    pen.rect((-3.2, -4, 3.2, 0), "white", None)


def ball(pen: Pen, radius: float, fill: str) -> None:
    """Draw a ball standing on (0, 0)."""
    pen.oval((0, -radius), (radius, radius), fill)
    pen.line([(-radius, -radius), (radius, -radius)], 1.1, "black")
    pen.line([(0, -2 * radius), (0, 0)], 1.1, "black")


def _ball(pen: Pen) -> None:
    ball(pen.at(1, 2), 5.2, "ball")


def _flower(pen: Pen) -> None:
    pen.line([(0, 4), (0, -8)], 1.6, "stem")
    pen.oval((2.2, -2.5), (2.2, 1.3), "stem", None)
    for x, y in ((-3, -9.5), (3, -9.5), (0, -12.6), (-1.9, -6.6), (1.9, -6.6)):
        pen.oval((x, y), (2.5, 2.5), "petal")
    pen.oval((0, -9.6), (2, 2), "yellow", None)


def _phone(pen: Pen) -> None:
    pen.rect((-3.4, -9.5, 3.8, 3.5), "black")
    pen.rect((-2.2, -8, 2.6, 1.2), "screen", None)


def _hammer(pen: Pen) -> None:
    pen.rect((-1.5, -11, 1.5, 4.5), "wood")
    pen.poly([(-5, -14), (4, -14), (5.5, -13), (5.5, -9.5), (-5, -9.5)], "steel")


def _cigarette(pen: Pen) -> None:
    pen.rect((-2, -1.3, 5, 1.3), "white")
    pen.rect((4.4, -1.4, 7, 1.4), "red")
    for x, y, r in ((6, -4.5, 2), (4.8, -8.4, 2.6), (5.6, -13, 3)):
        pen.oval((x, y), (r, r), "puff", "grey")


ITEM_SHAPES: dict[str, Callable[[Pen], None]] = {
    "knife": _knife,
    "gun": _gun,
    "bottle": _bottle,
    "ball": _ball,
    "flower": _flower,
    "phone": _phone,
    "hammer": _hammer,
    "cigarette": _cigarette,
}


def draw_pointed(pen: Pen, item: str) -> None:
    """Draw a knife or gun held horizontally, its end away from the hand at (0, 0)."""
    if item == "gun":
        pen.poly([(-2, 4), (-2, -3), (10, -3), (10, 1), (2, 1), (2, 4)], "black", "silver")
        pen.line([(3, -1), (9, -1)], 1.0, "slate")
        return
    pen.poly([(2, -2), (2, 2), (9, 2), (12, 0), (11, -2)], "silver")
    pen.rect((-3, -1.8, 2.4, 1.8), "wood")


def blotch(pen: Pen, x: float, y: float, size: float) -> None:
    """Draw an irregular blood stain with drips."""
    k = size
    shape = (
        (-1.0, -0.5), (-0.3, -1.0), (0.5, -0.7), (1.0, -0.9), (1.1, 0.1), (0.7, 0.4),
        (0.65, 1.6), (0.3, 1.5), (0.25, 0.5), (-0.2, 0.6), (-0.3, 1.1), (-0.6, 1.0), (-0.7, 0.3),
    )  # fmt: skip
    pen.poly([(x + k * a, y + k * b) for a, b in shape], "blood", "blood edge")


def _spikes(rect: Rect, reach: float) -> list[tuple[float, float]]:
    """Outline a rectangle with flame tongues that reach out of it, upwards."""
    x0, y0, x1, y1 = rect
    points: list[tuple[float, float]] = []
    sides = max(2, round((y1 - y0) / 12))
    tops = max(3, 2 * round((x1 - x0) / 10) + 1)
    for k in range(sides):
        y = y1 - (y1 - y0) * k / sides
        points += [(x0 + 1.5, y), (x0 - 0.4 * reach, y - 0.8 * (y1 - y0) / sides)]
    for k in range(tops):
        x = x0 + (x1 - x0) * k / tops
        step = (x1 - x0) / tops
        tip = reach * (1.0 if k % 2 else 0.65)
        points += [(x, y0 + 1), (x + step / 2, y0 - tip)]
    for k in reversed(range(sides)):
        y = y1 - (y1 - y0) * k / sides
        points += [(x1 + 0.4 * reach, y - 0.8 * (y1 - y0) / sides), (x1 - 1.5, y)]
    return points


def draw_blaze(pen: Pen, rect: Rect) -> None:
    """Flames around a body of extent `rect`; drawn before the body."""
    x0, y0, x1, y1 = rect
    pen.poly(_spikes(rect, 9), "flame", "flame edge")
    pen.poly(_spikes((x0 + 1.5, y0 + 1, x1 - 1.5, y1), 5), "flame core", None)


def draw_tongues(pen: Pen, x0: float, x1: float, y: float, height: float) -> None:
    """Draw a row of flames standing on the line from (x0, y) to (x1, y)."""
    count = max(2, round((x1 - x0) / 6))
    step = (x1 - x0) / count
    for k in range(count):
        x = x0 + k * step
        tip = height * (1.0 if k % 2 == 0 else 0.75)
        base = [(x - 0.2 * step, y), (x + step / 2, y - tip), (x + 1.2 * step, y)]
        pen.poly(base, "flame", "flame edge")
        core = [(x + 0.15 * step, y), (x + step / 2, y - 0.6 * tip), (x + 0.85 * step, y)]
        pen.poly(core, "flame core", None)


def draw_smoke(pen: Pen, y: float) -> None:
    """Dark smoke above a burning vehicle whose top is at `y`."""
    for x, dy, r in ((-4, -10, 5), (3, -16, 6), (-3, -23, 6.5)):
        pen.oval((x, y + dy), (r, r * 0.9), "smoke")


def _fire(pen: Pen) -> None:
    draw_tongues(pen, -8, 8, -3, 17)
    pen.poly([(-4.5, -2), (0, -25), (4.5, -2)], "flame", "flame edge")
    pen.poly([(-2.6, -2), (0, -15), (2.6, -2)], "flame core", None)
    pen.limb([(-10, -1), (9, -5)], 3.2, "dark wood")
    pen.limb([(10, -1), (-9, -5)], 3.2, "wood")


def _blood(pen: Pen) -> None:
    pen.oval((0, -3.6), (11, 3.8), "blood", "blood edge")
    pen.oval((-5, -7), (4, 2), "blood", "blood edge")
    pen.oval((-2, -4.5), (7, 2.6), "blood", None)
    pen.oval((8, -8.6), (2, 1.3), "blood", "blood edge")
    pen.oval((-9, 1), (2.2, 1.2), "blood", "blood edge")


def _tree(pen: Pen) -> None:
    pen.poly([(-4, 0), (-2.6, -26), (2.6, -26), (4, 0)], "wood")
    for x, y, r in ((-4.5, -30, 8), (4.5, -31, 8), (0, -45, 10), (0, -36, 10)):
        pen.oval((x, y), (r, r), "crown")
    pen.oval((0, -37), (8.4, 12), "crown", None)


def draw_bed(pen: Pen) -> None:
    """Draw a bed, its head on the pen's right, lying surface 13 above the ground."""
    for x in (-21, 19):
        pen.rect((x, -6, x + 3, 0), "dark wood")
    pen.rect((20, -24, 23.5, -2), "wood")
    pen.rect((-23, -15, -20, -2), "wood")
    pen.rect((-20.5, -13, 20.5, -8.5), "white")
    pen.rect((-20.5, -9.5, 20.5, -3), "blanket")
    pen.oval((15, -14.2), (6, 2.8), "pillow")


def _bed(pen: Pen) -> None:
    draw_bed(pen)
    pen.poly([(-20.5, -3), (-20.5, -15), (6, -15), (9, -13), (9, -3)], "blanket")


def draw_crate(pen: Pen) -> None:
    """Draw a wooden crate 14 high."""
    pen.rect((-11, -14, 11, 0), "crate")
    pen.line([(-10, -13), (10, -1)], 2.2, "wood")
    pen.line([(-10, -1), (10, -13)], 2.2, "wood")
    pen.rect((-11, -14, 11, -11.2), "wood")
    pen.rect((-11, -2.8, 11, 0), "wood")


def draw_ladder(pen: Pen, height: float) -> None:
    """Draw a ladder `height` tall."""
    for k in range(1, round(height / 7)):
        pen.limb([(-9, -7.0 * k), (9, -7.0 * k)], 1.5, "crate")
    for x in (-9.5, 9.5):
        pen.limb([(x, 0), (x * 0.92, -height)], 2.0, "crate")


def _ground_item(pen: Pen, item: str) -> None:
    if item == "gun":
        draw_pointed(pen.at(-6, -6, 1.5), "gun")
        return
    x, low = {"knife": (-6.6, -2.6), "bottle": (-5.8, -4.0)}[item]
    lying = Pen(pen.canvas, *pen.point(x, low), pen.scale * 1.15, pen.flip, turned=True)
    ITEM_SHAPES[item](lying)


def draw_thing(pen: Pen, entity: Thing) -> None:
    """Draw a thing on the ground."""
    match entity.kind:
        case "fire":
            _fire(pen)
        case "blood":
            _blood(pen)
        case "tree":
            _tree(pen)
        case "bed":
            _bed(pen)
        case "box":
            draw_crate(pen)
        case "ladder":
            draw_ladder(pen, 62)
        case "ball":
            ball(pen, 8, entity.colour)
        case _:
            _ground_item(pen, entity.kind)
