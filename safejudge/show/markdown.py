"""Figures -> text: shares with intervals, and tables in Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def figure(value: float, interval: tuple[float, float] | None = None) -> str:
    """A rate with its interval, if there is one; a dash where it is undefined."""
    if math.isnan(value):
        return "-"
    around = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{value:.3f}{around}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are set right."""
    marks = ["---", *("---:" for _ in header[1:])]
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
