"""People of the drawn world: bodies in their postures, what they hold, hands that meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safejudge.sketch.drawing.beasts import draw_bicycle, draw_horse
from safejudge.sketch.drawing.dress import (
    SLEEVES,
    TROUSERS,
    Build,
    draw_clothes,
    draw_head,
    draw_headwear,
    draw_mask,
)
from safejudge.sketch.drawing.pen import Pen, Point, Rect
from safejudge.sketch.drawing.props import (
    ITEM_SHAPES,
    blotch,
    draw_bed,
    draw_blaze,
    draw_crate,
    draw_ladder,
    draw_pointed,
    draw_tongues,
)

if TYPE_CHECKING:
    from safejudge.sketch.world.scene import Person, Side

_BUILDS = {
    "adult": Build(hip=-24, shoulder=-41, head=-49, radius=7, half=6.6, limb=4.8, hem=10),
    "child": Build(hip=-11, shoulder=-23, head=-30, radius=6.9, half=5.4, limb=4.2, hem=5),
}
_KNEELING_HIP = {"adult": -13.0, "child": -7.0}
_SUPPORTS = {"bed": (13.0, 0.95), "box": (13.5, 0.9), "ladder": (21.5, 0.86),
             "horse": (27.0, 0.84), "bicycle": (22.0, 0.9)}  # fmt: skip
"""How high a support lifts the person, and the person's scale on it."""
_LYING_SCALE = 0.76


@dataclass(frozen=True, slots=True)
class Figure:
    """A person drawn so far, for what is drawn over all bodies."""

    person: Person
    pen: Pen
    """Of the upper body: the origin is where the feet of a standing body would be."""
    build: Build
    extent: Rect
    """Body in the coordinates of `flames`."""
    flames: Pen
    """Upright pen for flames and held items."""

    def shoulder(self, side: Side) -> Point:
        """In pixels of the finished picture."""
        return self.pen.point(self._sign(side) * self.build.half, self.build.shoulder + 2.5)

    def hand(self, side: Side) -> Point:
        """Of a hanging arm, in pixels of the finished picture."""
        return self.pen.point(self._sign(side) * (self.build.half + 2.2), self.build.hip - 1)

    def _sign(self, side: Side) -> int:
        return 1 if side == self.person.facing else -1


def _rides(person: Person) -> bool:
    return person.on in {"horse", "bicycle"} and person.posture != "lying"


def pose(ground: Pen, person: Person) -> Figure:
    """Place a person on the ground pen, whose `flip` is the side the person faces."""
    build = _BUILDS[person.age]
    tall = build.radius - build.head
    lift, scale = _SUPPORTS[person.on] if person.on else (0.0, 1.0)
    if person.posture == "lying":
        scale *= _LYING_SCALE
        x, y = ground.point(-0.5 * (tall + 2.5) * scale, -lift - 8.5 * scale)
        flat = Pen(ground.canvas, x, y, ground.scale * scale, ground.flip, turned=True)
        flames = ground.at(0, -lift, scale)
        return Figure(person, flat, build, (-tall / 2, -17, tall / 2, 0), flames)
    aside = 0.0 if person.holding is None or person.on in {"horse", "bicycle"} else -1.8
    pen = ground.at(aside - (1.4 if person.pointing else 0), -lift, scale)
    low = 0.0
    if _rides(person):
        low = -build.hip
        build = replace(build, hem=1.5)
    elif person.posture == "kneeling":
        low = _KNEELING_HIP[person.age] - build.hip
        build = replace(build, hem=4)
    return Figure(person, pen.at(0, low), build, (-10, -tall + low, 10, 0), pen)


def draw_support(ground: Pen, person: Person) -> None:
    """Draw what the person rests on or rides."""
    match person.on:
        case "bed":
            draw_bed(ground)
        case "box":
            draw_crate(ground)
        case "ladder":
            draw_ladder(ground, 70)
        case "horse":
            draw_horse(ground)
        case _:
            draw_bicycle(ground, "slate")


def _leg(figure: Figure, points: list[Point]) -> None:
    """Draw one leg down to the shoe, drawn from the hip; bare below shorts."""
    person, pen, b = figure.person, figure.flames, figure.build
    if person.posture == "lying":
        pen = figure.pen
    fill = TROUSERS.get(person.occupation or "", f"skin {person.skin}")
    pen.limb(points, b.limb, fill)
    if person.occupation == "firefighter":
        (ax, ay), (bx, by) = points[-2:]
        x, y = (0.35 * ax + 0.65 * bx), (0.35 * ay + 0.65 * by)
        pen.oval((x, y), (b.limb / 2, 1.2), "yellow", None)
    elif person.occupation == "cook":
        (ax, ay), (bx, by) = points[-2:]
        for k, share in enumerate((0.2, 0.45, 0.7)):
            x = ax + share * (bx - ax) + (0.9 if k % 2 else -0.9)
            y = ay + share * (by - ay)
            pen.rect((x - 0.9, y - 0.9, x + 0.9, y + 0.9), "white", None)
    x, y = points[-1]
    pen.oval((x + 0.8, y - 1.2), (b.limb * 0.66, 1.9), "black")


def _draw_legs(figure: Figure) -> None:
    b, person = figure.build, figure.person
    x = b.half * 0.5
    if _rides(person):
        reach = 14.0 if person.age == "adult" else 9.0
        _leg(figure, [(0.5, -1.5), (6, 0.35 * reach), (3.5, reach)])
    elif person.posture == "kneeling":
        hip = _KNEELING_HIP[person.age]
        for shift in (1.8, -1.4):
            _leg(figure, [(shift, hip - 1), (shift + 6.2, -2.8), (shift - 9, -2)])
    else:
        for side in (-1, 1):
            _leg(figure, [(side * x, b.hip - 2), (side * (x + 0.3), -0.6)])


def _arm(figure: Figure, points: list[Point]) -> None:
    """Draw an arm from the shoulder; short sleeves leave the forearm bare."""
    person, pen = figure.person, figure.pen
    sleeve = SLEEVES.get(person.occupation or "", person.shirt)
    skin = f"skin {person.skin}"
    thick = figure.build.limb * 0.78
    short = person.occupation in {None, "builder", "farmer"}
    pen.limb(points, thick, skin if short else sleeve)
    if short:
        (ax, ay), (bx, by) = points[:2]
        pen.limb([points[0], (0.35 * ax + 0.65 * bx, 0.35 * ay + 0.65 * by)], thick + 0.3, sleeve)
    pen.oval(points[-1], (thick * 0.62, thick * 0.62), skin)


def _hanging(b: Build, sign: int) -> list[Point]:
    middle = (b.shoulder + b.hip) / 2
    x = b.half
    return [(sign * x, b.shoulder + 2), (sign * (x + 2.2), middle), (sign * (x + 2.2), b.hip - 1)]


def draw_body(figure: Figure, entity: int, joined: frozenset[Side]) -> None:
    """Draw the person without held things; arms on the `joined` sides are left for `join_hands`."""
    person, pen, b = figure.person, figure.pen, figure.build
    canvas = pen.canvas
    if person.burning:
        with canvas.part(entity, "fire", "fire"):
            draw_blaze(figure.flames, figure.extent)
    with canvas.part(entity, "person", person.age):
        _draw_legs(figure)
        for side in ("left", "right"):
            sign = 1 if side == person.facing else -1
            if side not in joined and not (sign == 1 and person.holding):
                _arm(figure, _hanging(b, sign))
        draw_clothes(pen, person, b)
        with canvas.part(entity, "head", person.hair):
            draw_head(pen, person, b)
        if person.masked:
            with canvas.part(entity, "mask", "mask"):
                draw_mask(pen, b)
        if person.headwear == "headscarf":
            with canvas.part(entity, "headwear", person.headwear):
                r = b.radius + 1
                pen.mark((-r, b.head - r, r, b.head + r + 5))
        elif person.headwear:
            with canvas.part(entity, "headwear", person.headwear):
                draw_headwear(pen, person.headwear, b)
    _draw_harm(figure, entity)


def _draw_harm(figure: Figure, entity: int) -> None:
    person, pen, b = figure.person, figure.pen, figure.build
    if person.bloody:
        with pen.canvas.part(entity, "blood", "blood"):
            blotch(pen, -2, b.shoulder + 6, 4.2)
            blotch(pen, 3, b.hip - 4, 3.4)
            blotch(pen, 2.6, b.head - 2.4, 2.7)
            if not _rides(person) and person.posture != "kneeling":
                blotch(pen, -3.2, 0.5 * b.hip, 2.7)
            else:
                blotch(figure.flames, 4, -4 if person.posture == "kneeling" else 3, 2.7)
    if person.burning:
        with pen.canvas.part(entity, "fire", "fire"):
            x0, _, x1, y1 = figure.extent
            if _rides(person):
                y1 -= 2
            draw_tongues(figure.flames, x0 - 1, x1 + 1, y1, 8)


def draw_held(figure: Figure, entity: int, *, low: bool) -> None:
    """Draw the arm on the facing side with the held item; `low` avoids a neighbour's item."""
    person, b = figure.person, figure.build
    item = person.holding
    if item is None:
        return
    x, top = b.half, b.shoulder
    if low and person.posture != "lying":
        top += 0.45 * (b.hip - b.shoulder)
    with figure.pen.canvas.part(entity, "held", item):
        pointing = person.pointing and item in ("knife", "gun")
        if item == "cigarette":
            _arm(figure, [(x, b.shoulder + 2), (x + 3.5, b.shoulder + 7), (x + 1, b.head + 6.5)])
            at = figure.pen.point(4, b.head + 3.8)
        elif pointing and person.posture == "lying":
            _arm(figure, [(x - 1, top + 3), (x + 7, top + 1)])
            at = figure.pen.point(x + 7, top + 1)
        elif pointing:
            _arm(figure, [(x - 2, b.shoulder + 3.5), (x + 2, top + 3.5), (x + 5.5, top + 3.5)])
            at = figure.pen.point(x + 6, top + 3.5)
        else:
            _arm(figure, [(x, b.shoulder + 2), (x + 1.4, top + 12), (x + 3, top + 9)])
            at = figure.pen.point(x + 3, top + 8)
        pen = Pen(figure.pen.canvas, *at, figure.flames.scale, figure.flames.flip)
        if pointing:
            draw_pointed(pen, item)
        else:
            ITEM_SHAPES[item](pen.at(1, 0))


def join_hands(left: Figure, right: Figure) -> None:
    """Draw two arms that meet between the columns, sloping between people of different height."""
    start, end = left.shoulder("right"), right.shoulder("left")
    hands = left.hand("right")[1], right.hand("left")[1]
    meet = ((start[0] + end[0]) / 2, sum(hands) / 2)
    pen = Pen(left.pen.canvas, 0, 0)
    for figure, shoulder in ((left, start), (right, end)):
        person = figure.person
        thick = 0.82 * figure.build.limb * figure.pen.scale
        sleeve = SLEEVES.get(person.occupation or "", person.shirt)
        middle = ((shoulder[0] + meet[0]) / 2, (shoulder[1] + meet[1]) / 2)
        pen.limb([shoulder, meet], thick, f"skin {person.skin}")
        pen.limb([shoulder, middle], thick, sleeve)
    pen.oval(meet, (3, 3), f"skin {left.person.skin}")


def ground_pen(pen: Pen, person: Person) -> Pen:
    """Mirror the pen for people who face left."""
    return Pen(pen.canvas, pen.x, pen.y, pen.scale, 1 if person.facing == "right" else -1)
