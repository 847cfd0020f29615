"""`count`: how many of some objects a detector finds.

program: {count: {traffic light: 2}}                        # exactly two
program: {count: {person: {at_least: 3}}}
program: {count: {helmet: {at_least: person}, person: {at_least: 1}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.errors import ArgumentError
from safejudge.programs.base import Found, Program, is_slot, number_of, share, shown, text_of
from safejudge.programs.boxes import MOST, MOST_OBJECTS, SURE, found_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.types import JSON, Box, Picture

_EXAMPLE = "`count: {traffic light: 2}` or `count: {person: {at_least: 3}}`"
_LIMITS = ("at_least", "at_most")


class Count(Program):
    """Counts the boxes of each object; all counts have to fit."""

    name = "count"
    version = "1"
    options = ("confidence",)

    def check(self, arguments: JSON) -> JSON:
        """Check the objects, and for each a number, or `at_least` and `at_most`.

        A limit is a number, or another object: as many as there are of it.
        """
        wanted = arguments["count"]
        if is_slot(wanted):
            checked: JSON = {"count": wanted}
        elif not isinstance(wanted, dict) or not 0 < len(wanted) <= MOST_OBJECTS:
            raise ArgumentError(f"has {shown(wanted)} where counts are expected", _EXAMPLE)
        else:
            names = {name: text_of(name, "an object", _EXAMPLE) for name in wanted}
            checked = {"count": {names[name]: _limit(wanted[name]) for name in wanted}}
        if (sure := share(arguments, "confidence", SURE)) != SURE:
            checked["confidence"] = sure
        return checked

    def objects(self, arguments: JSON) -> tuple[str, ...]:
        """Name what is counted, and what it is compared with."""
        wanted = arguments["count"]
        if not isinstance(wanted, dict):
            return ()
        others = (
            limit
            for limits in wanted.values()
            if isinstance(limits, dict)
            for limit in limits.values()
            if isinstance(limit, str)
        )
        return tuple(dict.fromkeys((*wanted, *others)))

    def holds_of_nothing(self, arguments: JSON) -> bool:
        """Whether all counts may be 0."""
        wanted = arguments["count"]
        if not isinstance(wanted, dict) or any(map(is_slot, wanted.values())):
            return False
        none = dict.fromkeys(self.objects(arguments), 0)
        return all(_fits(none, name, limits) for name, limits in wanted.items())

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Compare every count; the value is the share of objects whose count fits."""
        del picture
        wanted, names = arguments["count"], self.objects(arguments)
        found = found_objects(boxes, names, arguments.get("confidence", SURE))
        counts = {name: len(own) for name, own in found.items()}
        said = ", ".join(f"{count} x {shown(name)}" for name, count in counts.items())
        kept = tuple(box for own in found.values() for box in own)
        fits = [_fits(counts, name, limits) for name, limits in wanted.items()]
        value = sum(map(bool, fits)) / len(fits)
        if any(fit is False for fit in fits):
            return Found(value, False, f"counted {said}", kept, {"counts": counts})
        if None in fits:
            said = f"counted {said}; a detector tells no more than {MOST}, so there may be more"
            return Found(None, None, said, kept, {"counts": counts})
        return Found(value, True, f"counted {said}", kept, {"counts": counts})


def _limit(value: Any) -> Any:
    """Read a number, or the limits of one."""
    if is_slot(value):
        return value
    if not isinstance(value, dict):
        return _number(value)
    if not value or not value.keys() <= set(_LIMITS):
        raise ArgumentError(f"has {shown(value)} where a number is expected", _EXAMPLE)
    return {name: _number(value[name], named=True) for name in _LIMITS if name in value}


def _number(value: Any, *, named: bool = False) -> int | str:
    number = number_of(value)
    if number is not None and number == int(number) and 0 <= number < MOST:
        return int(number)
    if number is None and named and isinstance(value, str):
        return text_of(value, "an object", _EXAMPLE)
    problem = f"has {shown(value)} where a whole number from 0 to {MOST - 1} is expected"
    raise ArgumentError(problem, _EXAMPLE)


def _fits(counts: Mapping[str, int], name: str, limits: Any) -> bool | None:
    """Compare a count; None where a detector that tells no more makes it unknown."""
    bounds = limits if isinstance(limits, dict) else {"at_least": limits, "at_most": limits}
    least, most = (bounds.get(limit) for limit in _LIMITS)
    low, high = _interval(counts, name)
    floor = (0, 0) if least is None else _interval(counts, least)
    ceiling = (MOST * MOST, MOST * MOST) if most is None else _interval(counts, most)
    if high < floor[0] or low > ceiling[1]:
        return False
    return True if low >= floor[1] and high <= ceiling[0] else None


def _interval(counts: Mapping[str, int], limit: int | str) -> tuple[int, int]:
    count = limit if isinstance(limit, int) else counts[limit]
    return count, count if isinstance(limit, int) or count < MOST else MOST * MOST
