"""Digits with their centres, or cell by cell -> how much of a number puzzle is solved right.

`by_cell` is ours: a cell of each picture's own size, so a solution drawn larger is as right.
`published_share` is GIR-Bench's (arXiv 2510.11026): digits by their distance in pixels, without
resizing, so an answer of another size, or a grid whose cells are smaller than the limit, breaks it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Rows: TypeAlias = tuple[tuple[int, ...], ...]
"""A square of numbers, row by row; 0 is an empty cell."""
Digit: TypeAlias = tuple[str, float, float]
"""What was read, and the centre of it: x, y in pixels."""

_NEAREST, _OF_CELL = 60.0, 0.6


@dataclass(frozen=True, slots=True)
class Solved:
    """How much of a puzzle is right."""

    empty: int
    """Cells that the puzzle leaves empty."""
    right: int
    """Of these, how many hold the right number."""
    givens: int
    """Cells that the puzzle fills."""
    kept: int
    """Of these, how many still hold that number."""

    @property
    def share(self) -> float:
        """`right / empty`; 1 where nothing was to be done."""
        return self.right / self.empty if self.empty else 1.0

    @property
    def givens_kept(self) -> float:
        """`kept / givens`; 1 where nothing was given."""
        return self.kept / self.givens if self.givens else 1.0


def by_cell(question: Rows, answer: Rows, drawn: Rows) -> Solved:
    """Compare squares of one size cell by cell. Raises `ValueError` for other sizes."""
    size = len(answer)
    if any(len(row) != size for rows in (question, answer, drawn) for row in (*rows, rows)):
        raise ValueError("the three squares are not of one size")
    cells = [(question[y][x], answer[y][x], drawn[y][x]) for y in range(size) for x in range(size)]
    return Solved(
        empty=sum(asked == 0 for asked, _, _ in cells),
        right=sum(asked == 0 and right == found for asked, right, found in cells),
        givens=sum(asked != 0 for asked, _, _ in cells),
        kept=sum(asked != 0 and asked == found for asked, _, found in cells),
    )


_LONG = 10
"""Digits of what is no number of a cell."""


def in_cells(digits: Iterable[Digit], side: float, size: int) -> Rows:
    """Put digits into the cells that their centres lie in; of two in one cell the first counts.

    `side` is that of the picture, in pixels, `size` the number of cells in a row. What is no whole
    number, or lies outside, is left out.
    """
    rows = [[0] * size for _ in range(size)]
    for text, x, y in digits:
        across, down = x / side * size, y / side * size
        if not (0 <= across < size and 0 <= down < size):
            continue
        column, row = math.floor(across), math.floor(down)
        if text.isdecimal() and len(text) < _LONG and rows[row][column] == 0:
            rows[row][column] = int(text)
    return tuple(map(tuple, rows))


def published_share(
    question: Sequence[Digit], answer: Sequence[Digit], drawn: Sequence[Digit], cell: float
) -> float:
    """Right digits where the question has none / (digits that it lacks + givens spoiled).

    `cell` is a cell's side in the answer, in pixels; digits no further apart than the larger of
    0.6 of it and 60 pixels stand at one place, and of several the first listed counts. A given is
    spoiled by every other digit that was drawn there; one that is gone is not.
    """
    limit = max(_OF_CELL * cell, _NEAREST)
    empty = [digit for digit in answer if _first_at(digit, question, limit) is None]
    right = spoiled = 0
    for digit in drawn:
        given = _first_at(digit, question, limit)
        if given is not None:
            spoiled += given[0] != digit[0]
            continue
        meant = _first_at(digit, empty, limit)
        right += meant is not None and meant[0] == digit[0]
    total = len(empty) + spoiled
    return right / total if total else 1.0


def _first_at(digit: Digit, others: Sequence[Digit], limit: float) -> Digit | None:
    """Return the first of the others that stands where a digit does."""
    _, x, y = digit
    near = (other for other in others if math.hypot(other[1] - x, other[2] - y) <= limit)
    return next(near, None)
