"""Small bars in SVG, for a page whose policy allows no style within markup: classes give colours.

Takes numbers; gives markup that is escaped, with what it shows in words for whoever cannot see it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEP, _BAR, _HEIGHT = 14, 10, 48
_LEFT, _TOP = 14, 5
"""Room for the numbers of the scale."""


class Part(NamedTuple):
    """A part of a lying bar."""

    name: str
    images: int


class Column(NamedTuple):
    """One standing bar."""

    title: str
    """What it is of, and its number in words."""
    value: float
    """In [0, 1]; NaN: there is nothing to show."""
    marked: bool = False
    """Whether something changed then."""


def stacked(parts: Sequence[Part]) -> Markup:
    """Draw parts of a whole beside each other; the class of a part is its name."""
    total = sum(part.images for part in parts)
    if not total:
        return Markup("")
    x = 0.0
    drawn = []
    for part in parts:
        width = 100 * part.images / total
        drawn.append(
            Markup('<rect class="{}" x="{}%" width="{}%" height="14"><title>{}: {}</title></rect>')
            .format(part.name, f"{x:.2f}", f"{width:.2f}", part.name.replace("_", " "), part.images)
        )  # fmt: skip
        x += width
    known = [part for part in parts if part.images]
    told = ", ".join(f"{part.images} {part.name.replace('_', ' ')}" for part in known)
    return Markup('<svg class="stack" role="img" aria-label="{}">{}</svg>').format(
        told, Markup("").join(drawn)
    )


def columns(bars: Sequence[Column], label: str) -> Markup:
    """Draw bars from left to right, each as high as its value; a dot where there is none."""
    drawn = [_column(_LEFT + place * _STEP, bar) for place, bar in enumerate(bars)]
    right, bottom = _LEFT + max(1, len(bars)) * _STEP, _TOP + _HEIGHT
    scale = [
        Markup('<line{} x1="{}" x2="{}" y1="{}" y2="{}"/><text x="0" y="{}">{}</text>').format(
            Markup(' class="grid"') if number else "", _LEFT, right, y, y, y + 3, number
        )
        for number, y in ((0, bottom), (1, _TOP))
    ]
    return Markup(
        '<svg class="weeks" role="img" aria-label="{}" viewBox="0 0 {} {}">{}{}</svg>'
    ).format(label, right, bottom + 10, Markup("").join(scale), Markup("").join(drawn))


def _column(x: int, bar: Column) -> Markup:
    bottom = _TOP + _HEIGHT
    if math.isnan(bar.value):
        shape = Markup('<circle class="none" cx="{}" cy="{}" r="1.5"/>').format(
            x + _BAR / 2, bottom - 2
        )
    else:
        height = max(1.0, _HEIGHT * min(1.0, max(0.0, bar.value)))
        shape = Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
            x, bottom - height, _BAR, height
        )
    mark = (
        Markup('<path class="mark" d="M{} {}l4 6h-8z"/>').format(x + _BAR / 2, bottom + 3)
        if bar.marked
        else ""
    )
    return Markup("<g><title>{}</title>{}{}</g>").format(bar.title, shape, mark)
