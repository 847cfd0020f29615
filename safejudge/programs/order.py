"""`order`: how objects that a detector finds stand to one another.

program: {order: [car, left of, tree]}
program: {order: [[cup, plate], below, lamp]}      # a group: the box that holds both
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs.base import Found, Program, is_slot, shown
from safejudge.programs.boxes import all_boxes, objects_of, place, seen_objects, thresholds
from safejudge.programs.scoring.layout import DIRECTIONS, stands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.programs.boxes import Seen
    from safejudge.programs.scoring.layout import Direction
    from safejudge.types import JSON, Box, Picture

MOST_CHOICES = 4096
"""Of boxes that may be meant; more are not gone through."""
_EXAMPLE = "`order: [car, left of, tree]`"


class Order(Program):
    """Compares where two things, or groups of things, are."""

    name = "order"
    version = "1"
    options = ("confidence", "faint")

    def check(self, arguments: JSON) -> JSON:
        """Check the two sides and the direction between them."""
        wanted = arguments["order"]
        if is_slot(wanted):
            checked: JSON = {"order": wanted}
        elif not isinstance(wanted, list | tuple) or len(wanted) != 3:
            raise ArgumentError(f"has {shown(wanted)} where three parts are expected", _EXAMPLE)
        else:
            checked = {"order": _parts(*wanted)}
        return checked | thresholds(arguments)

    def objects(self, arguments: JSON) -> tuple[str, ...]:
        """Name both sides."""
        if is_slot(arguments["order"]):
            return ()
        one, _, other = arguments["order"]
        return tuple(dict.fromkeys((*_names(one), *_names(other))))

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Say whether the direction holds."""
        del picture
        one, direction, other = arguments["order"]
        seen = seen_objects(boxes, self.objects(arguments), arguments)
        found = ", ".join(f"{own.text} x {shown(name)}" for name, own in seen.items())
        facts = {"counts": {n: [len(own.sure), len(own.faint)] for n, own in seen.items()}}
        holds = _holds(seen, _names(one), DIRECTIONS[direction], _names(other))
        is_so = {True: "is", False: "is not", None: "may be, or not,"}[holds]
        said = f"{_listed(one)} {is_so} {direction} {_listed(other)}; found {found}"
        value = None if holds is None else float(holds)
        return Found(value, holds, said, all_boxes(seen), facts)


def _holds(
    seen: Mapping[str, Seen], one: list[str], direction: Direction, other: list[str]
) -> bool | None:
    """Say whether it holds whichever boxes are meant; None where that makes a difference.

    What is not there stands nowhere, and a box that may not be there may stand nowhere.
    """
    choices = [(*seen[name].sure, *seen[name].faint) for name in (*one, *other)]
    if math.prod(map(len, choices)) > MOST_CHOICES:
        return None
    outcomes = set()
    for boxes in product(*choices):
        places = list(map(place, boxes))
        outcomes.add(stands(direction, places[: len(one)], places[len(one) :]))
    if not all(own.sure for own in seen.values()):
        outcomes.add(False)
    return outcomes.pop() if len(outcomes) == 1 else None


def _parts(one: object, direction: object, other: object) -> list[object]:
    where = " ".join(str(direction).split()).casefold()
    if where not in DIRECTIONS:
        raise ArgumentError(
            f"has the direction {shown(str(direction))}",
            f"{_EXAMPLE}; directions are left of, right of, above, below",
        )
    sides = [objects_of(side, "an object", _EXAMPLE) for side in (one, other)]
    if both := {name.casefold() for name in sides[0]} & {name.casefold() for name in sides[1]}:
        raise ArgumentError(f"has {shown(both.pop())} on both sides", _EXAMPLE)
    first, second = (side[0] if len(side) == 1 else side for side in sides)
    return [first, where, second]


def _names(side: object) -> list[str]:
    return [str(name) for name in side] if isinstance(side, list | tuple) else [str(side)]


def _listed(side: object) -> str:
    return shown(" and ".join(_names(side)))
