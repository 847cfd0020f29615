"""What a benchmark makes of a folder of recorded outputs: tables, findings, numbers, samples.

A benchmark's reader takes a folder in which somebody's judges left their outputs and finds out
which judges and files are there; nothing is judged anew. What it returns is written and printed
in one way for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safejudge.types import JSON


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


@dataclass(frozen=True, slots=True)
class Scored:
    """What recorded outputs come to."""

    tables: tuple[Table, ...]
    """For people."""
    findings: tuple[str, ...]
    """What stands out, as sentences with their numbers."""
    numbers: JSON
    """Every figure under a stable name, unrounded: {judge: {metric: {"value": ..., "n": ...}}}."""
    samples: tuple[JSON, ...]
    """One record per output: what was asked, what was read, what is true, what came of it."""
    unread: tuple[str, ...] = ()
    """Files that were looked at and not understood, with the reason."""
