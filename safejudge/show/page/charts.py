"""A chart -> SVG that stands inside a page: no script, no style sheet, nothing fetched.

Ink is the colour of the text around it. Curves differ in colour and in dashes, because eight
colours are all that everybody can tell apart. Names are untrusted: all text is cleaned and escaped.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from rich.cells import cell_len

from safejudge.show.terminal import shorten
from safejudge.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from safejudge.show.figures import Bar, Chart, Series

    Points = Sequence[tuple[float, float]]

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c",
)  # fmt: skip
"""Okabe and Ito's, but for yellow and black: these are seen on white and on black."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")
"""Of the first seven curves, of the next seven, and so on."""

_WIDTH = 640
_SIDE = 300
"""Of the square that curves are drawn in."""
_LEFT, _TOP = 52, 12
_LEGEND = _LEFT + _SIDE + 24
_ROW = 17
"""Height of a line of the legend."""
_NAMES = 180
"""Width of the names of groups of bars."""
_LETTERS = 23
"""Of a wide font, that fit there."""
_BAR = 11
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def svg(chart: Chart) -> str:
    """Draw a chart."""
    height, parts = _bars(chart) if chart.kind == "bars" else _lines(chart)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img"'
        f' aria-label="{_safe(chart.title)}" font-size="12" fill="currentColor">'
        f"<title>{_safe(chart.title)}</title>{''.join(parts)}</svg>"
    )


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
    return max(bottom + 44, _TOP + _ROW * len(chart.series) + 12), parts


def _curve(number: int, name: str, points: Points, *, marked: bool) -> Iterator[str]:
    """One curve and its line in the legend."""
    colour = COLOURS[number % len(COLOURS)]
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    look = f'fill="none" stroke="{colour}" stroke-width="2"'
    look += f' stroke-dasharray="{dashes}"' if dashes else ""
    positions = [_position(point) for point in points if all(map(math.isfinite, point))]
    yield f"<g><title>{_safe(name)}</title>"
    if positions:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned(positions))
        yield f'<polyline points="{text}" stroke-linejoin="round" {look}/>'
    if marked or len(positions) == 1:
        for x, y in positions:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    y = _TOP + 8 + number * _ROW
    yield f'<line x1="{_LEGEND}" y1="{y}" x2="{_LEGEND + 26}" y2="{y}" {look}/>'
    yield _words(_LEGEND + 34, y + 4, shorten(clean(name), 32)) + "</g>"


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
    """Lying bars: names of any length stand beside them."""
    names = list(dict.fromkeys(bar.name for series in chart.series for bar in series.bars))
    top, parts = _legend(names)
    y = top
    drawn = []
    for series in chart.series:
        middle = y + 8 + _BAR * len(series.bars) / 2
        drawn += [f"<g><title>{_safe(series.name)}</title>", *_group(series, middle), "</g>"]
        for row, bar in enumerate(series.bars):
            drawn += _bar(bar, y + 4 + row * _BAR, _look(names.index(bar.name)))
        y += _BAR * len(series.bars) + 8
    for tick in _TICKS:
        x = _along(tick)
        parts += [_rule(x, top, x, y), _words(x, y + 16, f"{tick:g}", "middle")]
    parts.append(_words(_along(0.5), y + 34, chart.x, "middle"))
    return y + 44, parts + drawn


def _legend(names: Sequence[str]) -> tuple[int, list[str]]:
    """The names of bars, in as many lines as they need, and where what is below begins."""
    parts, x, y = [], _NAMES, 4
    for number, name in enumerate(names):
        width = 28 + 7 * cell_len(short := shorten(clean(name), 20))
        if x > _NAMES and x + width > _WIDTH:
            x, y = _NAMES, y + _ROW
        parts.append(f'<rect x="{x}" y="{y}" width="11" height="11" {_look(number)}/>')
        parts.append(_words(x + 16, y + 10, short))
        x += width
    return y + 26, parts


def _group(series: Series, middle: float) -> Iterator[str]:
    """The name of a group; a long one in two lines, where two find room."""
    lines = [clean(series.name)]
    if cell_len(lines[0]) > _LETTERS and len(series.bars) > 1:
        lines = lines[0].rsplit(", ", 1)
    for row, line in enumerate(lines):
        y = middle + 14 * (row - (len(lines) - 1) / 2)
        yield _words(_NAMES - 8, y, shorten(line, _LETTERS), "end")


def _bar(bar: Bar, y: int, look: str) -> Iterator[str]:
    """One bar with its whisker; a dash where there is no number, words where it has no length."""
    if not math.isfinite(bar.value):
        yield _words(_NAMES + 4, y + 9, "-")
        return
    if bar.value < 0:
        yield _words(_NAMES + 4, y + 9, f"below 0 ({bar.value:.2f})")
        return
    interval = _interval(bar)
    around = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    width = _along(bar.value) - _NAMES
    yield f"<g><title>{_safe(bar.name)}: {bar.value:.3f}{around}</title>"
    yield f'<rect x="{_NAMES}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" {look}/>'
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
    return _NAMES + (_WIDTH - _NAMES - 20) * min(1.0, max(0.0, value))


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
    return [(chart, svg(chart)) for chart in charts if chart.series]
