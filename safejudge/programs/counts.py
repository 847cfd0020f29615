"""`count`: how many of some objects a detector finds.

program: {count: {traffic light: 2}}                        # exactly two
program: {count: {person: {at_least: 3}}}
program: {count: {helmet: {at_least: person}, person: {at_least: 1}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from safejudge.errors import ArgumentError
from safejudge.programs.base import Found, Program, is_slot, number_of, shown, text_of
from safejudge.programs.boxes import MOST, MOST_OBJECTS, Seen, all_boxes, seen_objects, thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.types import JSON, Box, Picture

_EXAMPLE = "`count: {traffic light: 2}` or `count: {person: {at_least: 3}}`"
_LIMITS = ("at_least", "at_most")
MANY = 10**6
"""Stands for nobody knows how many."""

Interval: TypeAlias = tuple[int, int]
"""The least and the greatest number."""


class Count(Program):
    """Counts the boxes of each object; all counts have to fit."""

    name = "count"
    version = "1"
    options = ("confidence", "faint")

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
        return checked | thresholds(arguments)

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
        none = dict.fromkeys(self.objects(arguments), (0, 0))
        return all(bool(_fits(none, name, limits)) for name, limits in wanted.items())

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Compare every count; the value is the share of objects whose count fits."""
        del picture
        wanted, names = arguments["count"], self.objects(arguments)
        seen = seen_objects(boxes, names, arguments)
        said = f"counted {', '.join(f'{own.text} x {shown(name)}' for name, own in seen.items())}"
        facts = {"counts": {n: [len(own.sure), len(own.faint)] for n, own in seen.items()}}
        counts = {name: _interval_of(own) for name, own in seen.items()}
        fits = [_fits(counts, name, limits) for name, limits in wanted.items()]
        holds = False if False in fits else None if None in fits else True
        value = None if None in fits else sum(map(bool, fits)) / len(fits)
        if any(high >= MANY for _, high in counts.values()):
            said += f"; a detector tells of {MOST} at most, so there may be more"
        return Found(value, holds, said, all_boxes(seen), facts)


def _interval_of(own: Seen) -> Interval:
    """Return the least and the greatest number of an object."""
    least, most = len(own.sure), len(own.sure) + len(own.faint)
    return least, MANY if most >= MOST else most


def _limit(value: Any) -> Any:
    """Read a number, or the limits of one."""
    if is_slot(value):
        return value
    if not isinstance(value, dict):
        return _number(value)
    if not value or not value.keys() <= set(_LIMITS):
        raise ArgumentError(f"has {shown(value)} where a number is expected", _EXAMPLE)
    limits = {name: _number(value[name], named=True) for name in _LIMITS if name in value}
    least, most = limits.get("at_least"), limits.get("at_most")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise ArgumentError(
            f"has {shown(value)}, which no count fits", f"`{{at_least: {most}, at_most: {least}}}`"
        )
    return limits


def _number(value: Any, *, named: bool = False) -> int | str:
    number = number_of(value)
    if number is not None and number == int(number) and 0 <= number < MOST:
        return int(number)
    if number is None and named and isinstance(value, str):
        return text_of(value, "an object", _EXAMPLE)
    problem = f"has {shown(value)} where a whole number from 0 to {MOST - 1} is expected"
    raise ArgumentError(problem, _EXAMPLE)


def _fits(counts: Mapping[str, Interval], name: str, limits: Any) -> bool | None:
    """Compare a count; None where it is not known well enough."""
    bounds = limits if isinstance(limits, dict) else {"at_least": limits, "at_most": limits}
    low, high = counts[name]
    floor = _bound(counts, bounds.get("at_least"), (0, 0))
    ceiling = _bound(counts, bounds.get("at_most"), (MANY, MANY))
    if high < floor[0] or low > ceiling[1]:
        return False
    return True if low >= floor[1] and high <= ceiling[0] else None


def _bound(counts: Mapping[str, Interval], limit: int | str | None, without: Interval) -> Interval:
    if limit is None:
        return without
    return (limit, limit) if isinstance(limit, int) else counts[limit]
