"""`order`: how objects that a detector finds stand to one another.

program: {order: [car, left of, tree]}
program: {order: [[cup, plate], below, lamp]}      # a group: the box that holds both
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs.base import Found, Program, is_slot, shown
from safejudge.programs.boxes import all_boxes, objects_of, place, seen_objects, thresholds
from safejudge.programs.scoring.layout import DIRECTIONS, stands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON, Box, Picture

_EXAMPLE = "`order: [car, left of, tree]`"


class Order(Program):
    """Compares where two things, or groups of things, are; each has to be there exactly once."""

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
        kept = all_boxes(seen)
        facts = {"counts": {n: [len(own.sure), len(own.faint)] for n, own in seen.items()}}
        if odd := [f"{own.text} x {shown(n)}" for n, own in seen.items() if len(own.sure) != 1]:
            # What is not there stands nowhere; which of two is meant, nobody says.
            absent = any(not own.sure and not own.faint for own in seen.values())
            said = f"found {', '.join(odd)}, where one of each is compared"
            return Found(0.0 if absent else None, False if absent else None, said, kept, facts)
        sides = [[place(seen[n].sure[0]) for n in _names(side)] for side in (one, other)]
        holds = stands(DIRECTIONS[direction], *sides)
        is_so = "is" if holds else "is not"
        said = f"{_listed(one)} {is_so} {direction} {_listed(other)}"
        return Found(float(holds), holds, said, kept, facts)


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
