"""`order`: how objects that a detector finds stand to one another.

program: {order: [car, left of, tree]}
program: {order: [[cup, plate], below, lamp]}      # a group: the box that holds both
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs.base import Found, Program, is_slot, share, shown
from safejudge.programs.boxes import MOST, SURE, found_objects, objects_of, place
from safejudge.programs.scoring.layout import DIRECTIONS, stands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON, Box, Picture

_EXAMPLE = "`order: [car, left of, tree]`"


class Order(Program):
    """Compares where two things, or groups of things, are; each has to be there exactly once."""

    name = "order"
    version = "1"
    options = ("confidence",)

    def check(self, arguments: JSON) -> JSON:
        """Check the two sides and the direction between them."""
        wanted = arguments["order"]
        if is_slot(wanted):
            checked: JSON = {"order": wanted}
        elif not isinstance(wanted, list | tuple) or len(wanted) != 3:
            raise ArgumentError(f"has {shown(wanted)} where three parts are expected", _EXAMPLE)
        else:
            checked = {"order": _parts(*wanted)}
        if (sure := share(arguments, "confidence", SURE)) != SURE:
            checked["confidence"] = sure
        return checked

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
        found = found_objects(boxes, self.objects(arguments), arguments.get("confidence", SURE))
        kept = tuple(box for own in found.values() for box in own)
        counts = {name: len(own) for name, own in found.items()}
        facts = {"counts": counts}
        odd = [f"{count} x {shown(name)}" for name, count in counts.items() if count != 1]
        if odd:
            # Not there is not to the left of anything; of two nobody says which is meant.
            several = any(count > 1 for count in counts.values()) and 0 not in counts.values()
            said = f"found {', '.join(odd)}, where one of each is compared"
            if several or MOST in counts.values():
                return Found(None, None, said, kept, facts)
            return Found(0.0, False, said, kept, facts)
        sides = [
            [place(box) for name in _names(side) for box in found[name]] for side in (one, other)
        ]
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
