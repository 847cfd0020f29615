"""Boxes of objects -> how many there are, and how they stand to one another.

A box is (left, top, right, bottom) in pixels; y grows downwards. The rules are those of GIR-Bench
(arXiv 2510.11026), but for what is said of counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Place: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Direction = Literal["left", "right", "above", "below"]

DIRECTIONS: dict[str, Direction] = {
    "left": "left", "left of": "left", "to the left of": "left",
    "right": "right", "right of": "right", "to the right of": "right",
    "above": "above", "up": "above", "over": "above", "on top of": "above",
    "below": "below", "down": "below", "under": "below", "underneath": "below",
}  # fmt: skip
"""How people and data sets call a direction."""

SLACK = 0.25
"""Of both sizes' sum: centres that are no further apart than this stand in no direction."""
ALONG = 0.5
"""An offset points into a direction if more of its unit vector than this does."""
SAME = 0.5
"""Two boxes of one word that overlap by more than this share of their union are one object."""


def counts_right(
    expected: Mapping[str, int], found: Mapping[str, int], missing: Iterable[str] = ()
) -> bool:
    """Whether every count is as expected and nothing that should be there is listed as missing.

    An object that nothing was found of has the count 0, and an expected 0 can be met.
    """
    lacking = {name for name in missing if expected.get(name, 0) > 0}
    return not lacking and all(found.get(name, 0) == count for name, count in expected.items())


def published_counts_right(
    expected: Mapping[str, int], found: Mapping[str, int], missing: Iterable[str] = ()
) -> bool:
    """Whether GIR-Bench calls the counts right: one expected 0 makes that impossible."""
    return all(expected.values()) and not list(missing) and counts_right(expected, found)


def union_of(boxes: Sequence[Place]) -> Place:
    """Return the smallest box that holds all of these; there is at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def stands(direction: Direction, subject: Sequence[Place], other: Sequence[Place]) -> bool:
    """Whether a thing, or a group of things, stands in this direction from another.

    A group's box is the union of its boxes; a group without a box stands nowhere. On a diagonal
    two directions hold. GIR-Bench hands over things that were found exactly once, and calls every
    relation of another thing wrong.
    """
    if not subject or not other:
        return False
    one, two = union_of(subject), union_of(other)
    across = (one[0] + one[2] - two[0] - two[2]) / 2
    down = (one[1] + one[3] - two[1] - two[3]) / 2
    wide = SLACK * (one[2] - one[0] + two[2] - two[0])
    high = SLACK * (one[3] - one[1] + two[3] - two[1])
    if abs(across) <= wide and abs(down) <= high:
        return False
    length = math.hypot(across, down)
    along = {"left": -across, "right": across, "above": -down, "below": down}[direction]
    return along / length > ALONG


def overlap_of(one: Place, two: Place) -> float:
    """Return the shared area of two boxes over that of their union; 0 where both are empty."""
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, wide) * max(0.0, high)
    both = _area(one) + _area(two) - shared
    return shared / both if both > 0 else 0.0


def distinct(boxes: Sequence[Place]) -> list[int]:
    """Return the places in the list of the boxes that are objects of their own.

    The boxes come with the surest first; one that mostly repeats an earlier one is left out.
    """
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if all(overlap_of(box, boxes[earlier]) <= SAME for earlier in kept):
            kept.append(index)
    return kept


def _area(box: Place) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
