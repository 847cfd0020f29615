"""What a benchmark makes of recorded outputs: tables, charts, findings, numbers, samples.

A benchmark's reader takes a folder in which somebody's judges left their outputs and finds out
which judges and files are there; nothing is judged anew. What it returns is written and printed
in one way for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Table:
    """One table for people."""

    title: str
    """What it shows, as a heading."""
    columns: tuple[str, ...]
    """Headings; the first column names the row."""
    rows: tuple[tuple[str, ...], ...]
    """Cells as they are printed."""
    note: str = ""
    """What a reader has to know to read it right; a sentence or two."""
    keys: tuple[str, ...] = ()
    """Headings of the columns that matter most: where there is no room for all, these stay beside
    the first, and the others stand under their row. Without any, those to the left stay."""
    bias: bool = False
    """Whether it compares how groups of people are judged."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a group."""

    name: str
    """What it shows; bars of one name have one colour in all groups."""
    value: float
    """Its length, in [0, 1]; NaN where it is undefined."""
    low: float | None = None
    """Where its whisker begins; None without an interval."""
    high: float | None = None
    """Where its whisker ends."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve, or one group of bars."""

    name: str
    """What it is about."""
    points: tuple[tuple[float, float], ...] = ()
    """Of a curve, in drawing order; both numbers in [0, 1]. One that is not finite is left out."""
    bars: tuple[Bar, ...] = ()
    """Of a group."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing; every axis goes from 0 to 1."""

    title: str
    """What it shows, as a heading."""
    kind: Literal["line", "bars"]
    """Curves (`Series.points`), or groups of bars (`Series.bars`), which lie."""
    x: str
    """What is counted to the right; for bars, what their length is."""
    y: str
    """What is counted upward; for bars, what the groups are."""
    series: tuple[Series, ...]
    """In the order of the legend, or from the top."""
    note: str = ""
    """What a reader has to know to read it right."""
    diagonal: bool = False
    """Whether a line from (0, 0) to (1, 1) means something."""
    marked: bool = False
    """Whether every point is a measurement of its own, and drawn as a dot."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong verdict, to be looked at."""

    title: str
    """What was judged, as a heading."""
    images: tuple[str, ...]
    """Paths of its pictures in the folder of pictures; none where they are not at hand."""
    answer: str
    """What the judge said."""
    target: str
    """What is true."""
    reason: str
    """What it hangs on; a sentence."""
    trace: tuple[str, ...]
    """How the verdict came about, a line per step."""
