"""Rows of a trainer's data -> images, and ratings of images -> ratings of rows.

A row's cell holds one image or several, as data sets and rollouts leave them. A row with several
is worth its worst one; a row without any has no reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from safejudge.errors import InputError
from safejudge.rewards.arithmetic import Rating
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.images.load import ImageSource

T = TypeVar("T")

COLUMNS = ("image", "images")
"""Where images are looked for, unless the caller names a column."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The images of some rows, one after the other."""

    sources: list[ImageSource]
    """Every image."""
    rows: list[int]
    """The row of each image."""
    count: int
    """How many rows there are."""

    @staticmethod
    def of(cells: Sequence[Any]) -> Cells:
        """Take cells apart: an image, a list of images, `{"bytes": ..., "path": ...}`, or None."""
        images = [(row, image) for row, cell in enumerate(cells) for image in _images(cell)]
        return Cells([image for _, image in images], [row for row, _ in images], len(cells))

    def spread(self, texts: Sequence[T]) -> list[T]:
        """Put each row's text beside each of its images. Raises `InputError` for other counts."""
        if len(texts) != self.count:
            raise InputError(
                f"{counted(self.count, 'row')} of images but {counted(len(texts), 'text')}; they "
                "must match"
            )
        return [texts[row] for row in self.rows]

    def worst(self, ratings: Sequence[Rating]) -> list[Rating]:
        """Return one rating per row: the worst of its images', or one without a reward."""
        of_row: dict[int, list[Rating]] = {row: [] for row in range(self.count)}
        for row, rating in zip(self.rows, ratings, strict=True):
            of_row[row].append(rating)
        return [_worst(row, row_ratings) for row, row_ratings in of_row.items()]


def image_column(columns: Mapping[str, Any], chosen: str | None) -> Any:
    """Return the column of images. Raises `InputError`, naming the columns that there are."""
    for name in COLUMNS if chosen is None else (chosen,):
        if name in columns:
            return columns[name]
    looked = " or ".join(COLUMNS) if chosen is None else chosen
    raise InputError(
        f"there is no column {looked} with images to judge, only {', '.join(columns) or 'none'}; "
        "name the one that holds them (column=...)"
    )


def _images(cell: Any) -> list[Any]:
    """Every image of a cell; nulls are none."""
    if cell is None:
        return []
    if isinstance(cell, np.ndarray) and cell.dtype == object:  # a list that was in Parquet
        cell = cell.tolist()
    if isinstance(cell, list | tuple):
        return [image for item in cell for image in _images(item)]
    if isinstance(cell, Mapping):
        return _undecoded(cell)
    return [cell]


def _undecoded(cell: Mapping[str, Any]) -> list[Any]:
    """Take bytes, or else paths, out of what `datasets` left undecoded; further fields are theirs.

    A list of images may be one mapping of lists there. A mapping without either is handed on, to be
    refused with its type.
    """
    if not {"bytes", "path"} & set(cell):
        return [cell]
    columns = [cell.get("bytes"), cell.get("path")]
    lists = [column for column in columns if isinstance(column, list)]
    if not lists:
        return _images(columns[1] if columns[0] is None else columns[0])
    count = max(map(len, lists))
    rows = [column if isinstance(column, list) else [None] * count for column in columns]
    pairs = zip_longest(*rows)
    return [image for data, path in pairs if (image := path if data is None else data) is not None]


def _worst(row: int, ratings: Sequence[Rating]) -> Rating:
    if not ratings:
        return Rating(None, reason="missing", problem=f"row {row} holds no image")

    def badness(rating: Rating) -> float:
        return float("-inf") if rating.reward is None else rating.reward

    return min(ratings, key=badness)
