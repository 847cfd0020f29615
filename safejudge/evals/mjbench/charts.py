"""MJ-Bench's figures -> charts of bars for the page; `results.json` holds every number in them.

A folder can hold more judges than anybody can look at: a chart shows a handful, chosen by what it
is about, and says how many it leaves out. What is undefined is a dash, never a bar of length 0.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from safejudge.evals.mjbench.tables import BOTH, bare_name, by_perspective
from safejudge.evals.stats.fairness import METRICS
from safejudge.show.figures import Bar, Chart, Series

if TYPE_CHECKING:
    from safejudge.evals.mjbench.cells import BiasCell, Options, PairCell
    from safejudge.evals.stats.fairness import Fairness
    from safejudge.evals.stats.intervals import Estimate

GROUPS = 12
"""Groups of bars in a chart."""
VALUES = 8
"""Values of an attribute in a chart: bars of a group."""
MIN_RATINGS = 10
"""A value with fewer ratings has no mean that is worth a look."""
_WHISKERS = "Whiskers are intervals of 95 %, as in the table; a dash is a rate without any row."


class _Row(NamedTuple):
    """One judge as it would stand in a chart."""

    judge: str
    scale: str
    bars: tuple[Bar, ...]
    rank: float
    """Of those that are too many, the lowest are shown; NaN comes last."""


def charts(
    pairs: Sequence[PairCell], bias: Sequence[BiasCell], options: Options
) -> tuple[Chart, ...]:
    """Draw what both kinds of data come to; a chart without a judge is left out."""
    candidates = (*_pairs(pairs), *_metrics(bias), *_flagged(bias), *_values(bias, options))
    return tuple(chart for chart in candidates if chart.series)


# --- pairs --------------------------------------------------------------------------------------


def _pairs(cells: Sequence[PairCell]) -> Iterator[Chart]:
    for perspective, group in by_perspective(cells):
        totals = [cell for cell in group if cell.name.startswith("all")]
        yield _chart(
            f"Pairs, {perspective}: accuracy",
            "share that is right",
            [_accuracy(cell) for cell in totals],
            "with the highest balanced accuracy",
            f"Balanced: a judge that does not look reaches 0.5. {_WHISKERS}",
        )
        yield _chart(
            f"Pairs, {perspective}: does the order matter?",
            "share that is right, with ties",
            [_position(cell) for cell in totals],
            "in which both bars differ most",
            f"Bars of one judge that differ show one that answers by position. {_WHISKERS}",
        )


def _accuracy(cell: PairCell) -> _Row:
    result = cell.result
    bars = (_bar("with ties", result.acc_with_tie), _bar("balanced", result.balanced))
    return _Row(cell.run.judge, _scale(cell), bars, -result.balanced.value)


def _position(cell: PairCell) -> _Row:
    first, second = cell.result.acc_first, cell.result.acc_second
    bars = (_bar("better first", first), _bar("better second", second))
    return _Row(cell.run.judge, _scale(cell), bars, -abs(first.value - second.value))


def _scale(cell: PairCell) -> str:
    """The scale, and in which direction labels are read where there are two."""
    return cell.run.scale + cell.name.removeprefix("all")


# --- bias ---------------------------------------------------------------------------------------


def _metrics(cells: Sequence[BiasCell]) -> Iterator[Chart]:
    """Everything in one chart, or one per scale where there are too many judges for one."""
    parts: dict[str, list[BiasCell]] = defaultdict(list)
    for cell in cells:
        parts[f", {cell.run.scale}" if len(cells) > GROUPS else ""].append(cell)
    for suffix, group in parts.items():
        rows = [
            _Row(
                cell.run.judge, cell.run.scale,
                tuple(_bar(m.upper(), cell.result.means[m]) for m in METRICS),
                cell.result.means["ges"].value,
            )
            for cell in group
        ]  # fmt: skip
        yield _chart(
            f"Bias{suffix}",
            "evenness",
            rows,
            "with the lowest GES",
            "A judge that rates everybody of an occupation alike has 1 everywhere. Whiskers are "
            "intervals of 95 % over the groups; a dash is undefined.",
        )


def _flagged(cells: Sequence[BiasCell]) -> Iterator[Chart]:
    """One chart per metric; judges without flagged rows are left out."""
    flags = sorted({flag for cell in cells for flag in cell.result.by_attribute})
    for metric in METRICS:
        rows = [
            _Row(
                cell.run.judge, cell.run.scale,
                tuple(_bar(flag, _mean(cell.result.by_attribute, flag, metric)) for flag in flags),
                cell.result.means[metric].value,
            )
            for cell in cells
            if cell.result.by_attribute
        ]  # fmt: skip
        yield _chart(
            f"{metric.upper()} by flagged attribute",
            metric.upper(),
            rows,
            f"with the lowest {metric.upper()}",
            "Over the rows that the data set flags with the attribute. That does not say whether "
            "that attribute made the difference.",
        )


def _values(cells: Sequence[BiasCell], options: Options) -> Iterator[Chart]:
    """One chart per attribute: who is rated lower."""
    stretched = [
        (cell, cell.result if options.normalise == "minmax" else cell.otherwise) for cell in cells
    ]
    # A flat judge's ratings have no range: stretched, all of them would be 0.
    uneven = [(cell, result) for cell, result in stretched if result.spread > 0]
    for attribute in sorted({name for _, result in uneven for name in result.by_value}):
        values, left_out = _common(attribute, [result for _, result in uneven])
        rows = []
        for cell, result in uneven:
            means = [_mean(result.by_value, attribute, value) for value in values]
            defined = [mean.value for mean in means if _enough(mean)]
            if len(defined) > 1:
                bars = tuple(
                    _bar(value, mean if _enough(mean) else None)
                    for value, mean in zip(values, means, strict=True)
                )
                apart = max(defined) - min(defined)
                rows.append(_Row(cell.run.judge, cell.run.scale, bars, -apart))
        rarer = f" {left_out} rarer values are left out." if left_out else ""
        yield _chart(
            f"Mean rating by {attribute}",
            "mean rating, from the run's lowest (0) to its highest (1)",
            rows,
            "whose values lie furthest apart",
            "Every occupation in which at least two values are rated counts once; a dash has fewer "
            f"than {MIN_RATINGS} ratings. Judges that give everybody the same rating are left out."
            f"{rarer}",
        )


def _enough(mean: Estimate | None) -> TypeGuard[Estimate]:
    return mean is not None and mean.n >= MIN_RATINGS and math.isfinite(mean.value)


def _common(attribute: str, results: Sequence[Fairness]) -> tuple[list[str], int]:
    """The values with most ratings, in order of the alphabet, and how many others there are."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update({v: mean.n for v, mean in result.by_value.get(attribute, {}).items()})
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    return sorted(ordered[:VALUES]), max(0, len(ordered) - VALUES)


# --- pieces -------------------------------------------------------------------------------------


def _chart(title: str, x: str, rows: Sequence[_Row], chosen: str, note: str) -> Chart:
    """One group of bars per judge. What all groups share is said below and not in their names."""
    rows = _apart(rows)
    drawn = list(rows)
    if len(rows) > GROUPS:
        order = sorted(range(len(rows)), key=lambda i: (math.isnan(rows[i].rank), rows[i].rank))
        drawn = [rows[i] for i in sorted(order[:GROUPS])]
        note = f"The {GROUPS} of {len(rows)} {chosen}; results.json holds all. {note}"
    judges, scales = {row.judge for row in drawn}, {row.scale for row in drawn}
    names = [f"{row.judge}, {row.scale}" for row in drawn]
    if len(judges) == 1:
        names = [row.scale for row in drawn]
        note = f"Judge: {drawn[0].judge}. {note}"
    elif len(scales) == 1:
        names = [row.judge for row in drawn]
        note = f"Scale: {drawn[0].scale}. {note}"
    series = tuple(Series(name, bars=row.bars) for name, row in zip(names, drawn, strict=True))
    return Chart(title, "bars", x, "judge", series, note)


def _apart(rows: Sequence[_Row]) -> list[_Row]:
    """Make one row of two that differ in nothing but in how an answer was read."""
    kept: dict[tuple[object, ...], _Row] = {}
    for row in rows:
        key = (row.judge, bare_name(row.scale), repr(row.bars))  # NaN is not itself
        earlier = kept.setdefault(key, row)
        if earlier.scale != row.scale:
            kept[key] = row._replace(scale=f"{bare_name(row.scale)}{BOTH}")
    return list(kept.values())


def _bar(name: str, estimate: Estimate | None) -> Bar:
    if estimate is None:
        return Bar(name, math.nan)
    return Bar(name, estimate.value, *(estimate.interval or ()))


def _mean(means: Mapping[str, Mapping[str, Estimate]], group: str, name: str) -> Estimate | None:
    return means.get(group, {}).get(name)
