"""A checklist: the points that one item is marked by. It belongs to the item, not to the rules."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from safejudge.types.base import Record


class Point(Record):
    """One point of a checklist."""

    id: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1)]
    """What is asked; a short question or statement."""
    description: str = ""
    """What earns how much."""
    most: Annotated[float, Field(gt=0)] = 10
    """What it is worth when it is met in full; 0 is none of it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What a checklist comes to."""

    values: Mapping[str, float | None]
    """By point, in [0, its most]; None where it was not read."""
    sum_of_read: float
    """Sum of the points that were read; 0 where none was."""
    unread: int
    """How many were not."""

    @property
    def sum(self) -> float | None:
        """Sum of all points; None where one was not read: a point is no 0 for that."""
        return None if self.unread else self.sum_of_read


class Checklist(Record):
    """The points of one item, each with an id of its own."""

    points: Annotated[tuple[Point, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        counts = Counter(point.id for point in self.points)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"two points have the id {twice[0]!r}; give each its own")
        return self

    @property
    def most(self) -> float:
        """Sum where every point is met in full."""
        return math.fsum(point.most for point in self.points)

    def marked(self, values: Mapping[str, float | None]) -> Marks:
        """Add up what was read of each point.

        A point without a value, or with one outside [0, its most], is unread. Raises `ValueError`
        for a value of no point of this checklist.
        """
        known = {point.id: point.most for point in self.points}
        if strange := [name for name in values if name not in known]:
            raise ValueError(f"no point has the id {strange[0]!r}")
        read = {name: _within(values.get(name), most) for name, most in known.items()}
        found = [value for value in read.values() if value is not None]
        return Marks(read, math.fsum(found), len(read) - len(found))


def _within(value: float | None, most: float) -> float | None:
    """The value; None where it is none, or lies outside (NaN does)."""
    return value if value is not None and 0 <= value <= most else None
