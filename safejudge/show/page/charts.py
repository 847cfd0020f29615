"""A chart -> SVG that stands inside a page: no script, no style sheet, nothing fetched.

Ink is the colour of the text around it. Curves differ in colour and in dashes, because eight
colours are all that everybody can tell apart. Names are untrusted: all text is cleaned and escaped.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from safejudge.show.terminal import shorten
from safejudge.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.show.figures import Bar, Chart

    Points = Sequence[tuple[float, float]]

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c",
)  # fmt: skip
"""Okabe and Ito's, but for yellow and black: these are seen on white and on black."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")
"""Of the first seven curves, of the next seven, and so on."""

_WIDTH = 360
"""So narrow that a phone shows it, letters and all, in its own size."""
_SIDE = 300
"""Of the square that curves are drawn in."""
_LEFT, _TOP = 52, 12
_NAME = 16
"""Height of the name of a group of bars, which stands above them."""
_BARS = 8
"""Where bars begin."""
_BAR = 11
_LETTERS = 48
"""Of a wide font, that fit into the width."""
_SWATCH = 26
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def drawing(chart: Chart) -> str:
    """Draw a chart, and write its legend below as a list, which flows as text does."""
    return f"{svg(chart)}{_legend(chart)}"


def svg(chart: Chart) -> str:
    """Draw a chart without its legend."""
    height, parts = _bars(chart) if chart.kind == "bars" else _lines(chart)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img"'
        f' aria-label="{_safe(chart.title)}" font-size="12" fill="currentColor">'
        f"<title>{_safe(chart.title)}</title>{''.join(parts)}</svg>"
    )


# --- the legend ---------------------------------------------------------------------------------


def _legend(chart: Chart) -> str:
    if chart.kind == "bars":
        swatches = [
            (name, f'<rect x="0" y="2" width="11" height="11" {_look(number)}/>', 11)
            for number, name in enumerate(_bar_names(chart))
        ]
    else:
        swatches = [
            (series.name, f'<line x1="0" y1="7" x2="{_SWATCH}" y2="7" {_stroke(number)}/>', _SWATCH)
            for number, series in enumerate(chart.series)
        ]
    entries = (
        f'<li><svg width="{width}" height="14" aria-hidden="true">{drawn}</svg>'
        f"{_safe(shorten(clean(name), 60))}</li>"
        for name, drawn, width in swatches
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _bar_names(chart: Chart) -> list[str]:
    return list(dict.fromkeys(bar.name for series in chart.series for bar in series.bars))


# --- curves -------------------------------------------------------------------------------------


def _lines(chart: Chart) -> tuple[int, list[str]]:
    right, bottom = _LEFT + _SIDE, _TOP + _SIDE
    middle = _TOP + _SIDE / 2
    parts = []
    for tick in _TICKS:
        x, y = _position((tick, tick))
        parts += [
            _rule(_LEFT, y, right, y),
            _rule(x, _TOP, x, bottom),
            _words(_LEFT - 6, y + 4, f"{tick:g}", "end"),
            _words(x, bottom + 16, f"{tick:g}", "middle"),
        ]
    parts += [
        _words(_LEFT + _SIDE / 2, bottom + 34, chart.x, "middle"),
        f'<g transform="rotate(-90 14 {middle:g})">{_words(14, middle, chart.y, "middle")}</g>',
    ]
    if chart.diagonal:
        parts.append(_rule(_LEFT, bottom, right, _TOP, 'stroke-dasharray="3 4" opacity="0.6"'))
    for number, series in enumerate(chart.series):
        parts += _curve(number, series.name, series.points, marked=chart.marked)
    return bottom + 44, parts


def _curve(number: int, name: str, points: Points, *, marked: bool) -> Iterator[str]:
    """One curve; pointing at it tells its name."""
    positions = [_position(point) for point in points if all(map(math.isfinite, point))]
    yield f"<g><title>{_safe(name)}</title>"
    if positions:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned(positions))
        yield f'<polyline points="{text}" stroke-linejoin="round" {_stroke(number)}/>'
    if marked or len(positions) == 1:
        colour = COLOURS[number % len(COLOURS)]
        for x, y in positions:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    yield "</g>"


def _stroke(number: int) -> str:
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    look = f'fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"'
    return f'{look} stroke-dasharray="{dashes}"' if dashes else look


def _position(point: tuple[float, float]) -> tuple[float, float]:
    x, y = (min(1.0, max(0.0, value)) for value in point)
    return _LEFT + _SIDE * x, _TOP + _SIDE * (1 - y)


def _thinned(positions: Points) -> Points:
    """Leave out what nobody could see: of points in one row or column, all between the ends."""
    visible: list[tuple[float, float]] = []
    for exact in positions:
        position = (round(exact[0], 1), round(exact[1], 1))
        if len(visible) > 1 and _between(visible[-2], visible[-1], position):
            visible.pop()
        if not visible or visible[-1] != position:
            visible.append(position)
    return visible if len(visible) > 1 else visible * 2


def _between(
    first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]
) -> bool:
    """Whether the second lies on the way from the first to the third, along one axis."""
    return any(
        first[1 - axis] == second[1 - axis] == third[1 - axis]
        and min(first[axis], third[axis]) <= second[axis] <= max(first[axis], third[axis])
        for axis in (0, 1)
    )


# --- bars ---------------------------------------------------------------------------------------


def _bars(chart: Chart) -> tuple[int, list[str]]:
    """Lying bars, each group below its name, so that names of any length have room."""
    names = _bar_names(chart)
    y, drawn = 4, []
    for series in chart.series:
        name = _safe(series.name)
        drawn += [f"<g><title>{name}</title>", _words(0, y + 12, _fitted(series.name)), "</g>"]
        y += _NAME
        for row, bar in enumerate(series.bars):
            drawn += _bar(bar, y + 4 + row * _BAR, _look(names.index(bar.name)))
        y += _BAR * len(series.bars) + 8
    parts = []
    for tick in _TICKS:
        x = _along(tick)
        parts += [_rule(x, 4, x, y), _words(x, y + 16, f"{tick:g}", "middle")]
    parts.append(_words(_WIDTH / 2, y + 34, _fitted(chart.x), "middle"))
    return y + 44, parts + drawn


def _fitted(text: str) -> str:
    """Cut a text to what fits into the width, in a wide font."""
    return shorten(clean(text), _LETTERS)


def _bar(bar: Bar, y: int, look: str) -> Iterator[str]:
    """One bar with its whisker; a dash where there is no number, words where it has no length."""
    if not math.isfinite(bar.value):
        yield _words(_BARS + 4, y + 9, "-")
        return
    if bar.value < 0:
        yield _words(_BARS + 4, y + 9, f"below 0 ({bar.value:.2f})")
        return
    interval = _interval(bar)
    around = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    width = _along(bar.value) - _BARS
    yield f"<g><title>{_safe(bar.name)}: {bar.value:.3f}{around}</title>"
    yield f'<rect x="{_BARS}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" {look}/>'
    if interval is not None:
        low, high = map(_along, interval)
        middle = y + (_BAR - 2) / 2
        yield _rule(low, middle, high, middle, 'stroke-width="1.5"', strong=True)
        for end in (low, high):
            yield _rule(end, middle - 3, end, middle + 3, 'stroke-width="1.5"', strong=True)
    yield "</g>"


def _interval(bar: Bar) -> tuple[float, float] | None:
    if bar.low is None or bar.high is None:
        return None
    return (bar.low, bar.high) if math.isfinite(bar.low) and math.isfinite(bar.high) else None


def _along(value: float) -> float:
    return _BARS + (_WIDTH - _BARS - 16) * min(1.0, max(0.0, value))


def _look(number: int) -> str:
    """Colours begin again, paler, where there are more bars than colours."""
    pale = ' fill-opacity="0.5"' if number // len(COLOURS) % 2 else ""
    return f'fill="{COLOURS[number % len(COLOURS)]}"{pale}'


# --- pieces -------------------------------------------------------------------------------------


def _safe(text: str) -> str:
    return escape(clean(text))


def _words(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_safe(text)}</text>'


def _rule(  # noqa: PLR0913 - two ends and a look
    x1: float, y1: float, x2: float, y2: float, attributes: str = "", *, strong: bool = False
) -> str:
    faint = "" if strong or attributes else ' opacity="0.15"'
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="currentColor"{faint} {attributes}/>'


def drawings(charts: Iterable[Chart]) -> list[tuple[Chart, str]]:
    """Draw charts that have anything in them."""
    return [(chart, drawing(chart)) for chart in charts if chart.series]
