"""MJ-Bench's figures -> tables for people."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from safejudge.evals.mjbench.cells import ALL_PAIRS
from safejudge.evals.stats.fairness import METRICS
from safejudge.evals.stats.intervals import FEW
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.evals.mjbench.cells import BiasCell, Options, PairCell
    from safejudge.evals.stats.intervals import Estimate
    from safejudge.evals.stats.preference import Preference


CONSTITUTION = "constitution score"
"""The protocol that the constitution has its say by; see `protocols`."""


def percent(estimate: Estimate, *, interval: bool = True) -> str:
    """A share in percent with its interval; a dash where it is undefined."""
    if math.isnan(estimate.value):
        return "-"
    if estimate.interval is None or not interval:
        return f"{100 * estimate.value:.1f}"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _cell(estimate: Estimate, *, interval: bool = True) -> str:
    """The same in a column of intervals: a dash stands for one that cannot be had."""
    text = percent(estimate, interval=interval)
    lacking = interval and estimate.interval is None and not math.isnan(estimate.value)
    return f"{text} [-]" if lacking else text


def headline(pairs: Sequence[PairCell], bias: Sequence[BiasCell]) -> str:
    """What the constitution gets right; without one the best judge on the first perspective."""
    for _, group in by_perspective(pairs):
        totals = [c for c in group if c.name == ALL_PAIRS and c.result.acc_with_tie.n]
        ruled = [c for c in totals if c.run.scale == CONSTITUTION]
        best = max(ruled or totals, key=lambda c: c.result.acc_with_tie.value, default=None)
        if best is not None:
            which = "" if ruled or len(totals) == 1 else f", the best of {len(totals)}"
            judges = {cell.run.judge for cell in pairs}
            name = best.run.scale if len(judges) == 1 else name_of(best)
            return (
                f"{best.run.perspective}: {percent(best.result.acc_with_tie)} % of "
                f"{counted(best.result.pairs, 'pair')} right ({name}{which})"
            )
    even = max(bias, key=lambda cell: cell.result.means["ges"].value, default=None)
    if even is None:
        return ""
    return f"bias: GES {percent(even.result.means['ges'])} % ({bias_name(even)})"


def tables(
    pairs: Sequence[PairCell], bias: Sequence[BiasCell], options: Options
) -> tuple[Table, ...]:
    """Everything, as it is printed; tables without rows are left out."""
    candidates = (
        _preferences(pairs), _subsets(pairs), _orders(pairs), _bias(bias, options),
        _attributes(bias), _differences(bias, options),
    )  # fmt: skip
    return tuple(table for table in candidates if table.rows)


def _preferences(cells: Sequence[PairCell]) -> Table:
    rows: list[tuple[str, ...]] = []
    for perspective, group in by_perspective(cells):
        constant: dict[tuple[str, str, int], tuple[str, ...]] = {}
        for cell in group:
            if not cell.name.startswith("all"):
                continue
            part = perspective + cell.name.removeprefix("all")
            rows.append(_preference(name_of(cell), part, cell.result))
            for side, result in cell.constant.items():
                name = f"(always the {side} image)"
                # Judges of the same pairs share these two rows.
                row = _preference(name, part, result, intervals=False)
                constant[part, side, result.acc_first.n] = row
        rows += constant.values()
    return Table(
        "Pairs: which image is better (percent)",
        ("judge", "perspective", "n", "with ties", "without ties", "tie", "refused", "unparsed",
         "better first", "better second", "balanced", "chose first"),
        same_readings(rows),
        "With ties, whatever is not a right choice counts as wrong; without, only pairs count in "
        "which an image was chosen. Balanced is the mean of both orders of the label; a judge "
        "that does not look reaches 50. Intervals are for 95 %; pairs that share a caption or an "
        f"image belong together. {FEW}",
        keys=("perspective", "with ties", "balanced", "n"),
    )  # fmt: skip


def _preference(name: str, part: str, r: Preference, *, intervals: bool = True) -> tuple[str, ...]:
    return (
        name, part, str(r.pairs),
        *(_cell(x, interval=intervals) for x in (r.acc_with_tie, r.acc_without_tie)),
        *(percent(x, interval=False) for x in (r.ties, r.refused, r.unparsed)),
        f"{percent(r.acc_first, interval=False)} (n={r.acc_first.n})",
        f"{percent(r.acc_second, interval=False)} (n={r.acc_second.n})",
        _cell(r.balanced, interval=intervals), percent(r.chosen_first, interval=False),
    )  # fmt: skip


def _subsets(cells: Sequence[PairCell]) -> Table:
    rows = [
        (
            name_of(cell), f"{perspective}: {cell.name}", str(cell.result.pairs),
            _cell(cell.result.acc_with_tie), _cell(cell.result.acc_without_tie),
            percent(cell.result.balanced, interval=False),
            percent(cell.result.always_first, interval=False),
        )
        for perspective, group in by_perspective(cells)
        for cell in group
        if not cell.name.startswith("all")
    ]  # fmt: skip
    return Table(
        "Pairs by sub-category (percent)",
        ("judge", "sub-category", "n", "with ties", "without ties", "balanced", "always first"),
        same_readings(rows),
        f"Always first is what a judge reaches that looks at nothing. {FEW}",
        keys=("sub-category", "with ties"),
    )


def _orders(cells: Sequence[PairCell]) -> Table:
    rows = [
        (
            name_of(cell), f"{cell.run.perspective}: {cell.name}", str(cell.orders.agreement.n),
            _cell(cell.orders.chosen_first), _cell(cell.orders.rejected_first),
            _cell(cell.orders.mean), _cell(cell.orders.agreement),
        )
        for cell in cells
        if cell.orders is not None
    ]  # fmt: skip
    return Table(
        "Pairs shown in both orders (percent)",
        ("judge", "sub-category", "n", "better first", "better second", "mean", "same answer"),
        same_readings(rows),
        f"With ties. {FEW}",
        keys=("sub-category", "mean", "same answer"),
    )


def _bias(cells: Sequence[BiasCell], options: Options) -> Table:
    raw = "raw" if options.normalise == "minmax" else "min-max"
    rows = [
        (
            cell.run.judge, cell.run.scale, str(cell.result.n), str(cell.result.refused),
            str(cell.result.unparsed), str(len(cell.result.groups)),
            *(_cell(cell.result.means[m]) for m in METRICS),
            *(percent(cell.otherwise.means[m], interval=False) for m in METRICS),
            str(max(cell.result.means[m].undefined for m in METRICS)),
        )
        for cell in cells
    ]  # fmt: skip
    treatment = "taken as ratings" if options.refusals else "left out"
    return Table(
        "Bias (percent)",
        ("judge", "scale", "ratings", "refused", "unparsed", "groups", "ACC", "NDS", "GES",
         f"ACC, {raw}", f"NDS, {raw}", f"GES, {raw}", "undefined"),
        same_readings(rows),
        f"Refusals are {treatment}. Intervals are over the groups. A judge that rates everybody "
        f"alike has 100 everywhere. Groups in which a metric is undefined enter no average. {FEW}",
        keys=("scale", "GES", "ACC"),
        bias=True,
    )  # fmt: skip


def _attributes(cells: Sequence[BiasCell]) -> Table:
    flags = sorted({flag for cell in cells for flag in cell.result.by_attribute})
    rows = [
        (
            f"{cell.run.judge}, {cell.run.scale}",
            *(
                " / ".join(percent(means[m], interval=False) for m in METRICS)
                if (means := cell.result.by_attribute.get(flag))
                else "-"
                for flag in flags
            ),
        )
        for cell in cells
        if cell.result.by_attribute
    ]
    return Table(
        "Bias by flagged attribute (ACC / NDS / GES, percent)",
        ("judge, scale", *flags),
        tuple(rows),
        "Averages over the rows that the data set flags with the attribute, of metrics that "
        "compare all rows of a group: they do not say whether that attribute made the difference.",
        bias=True,
    )


def _differences(cells: Sequence[BiasCell], options: Options) -> Table:
    varied = sorted({attribute for cell in cells for attribute in cell.result.gaps})
    hundred = options.normalise == "minmax"
    rows = []
    for cell in cells:
        gaps = []
        for attribute in varied:
            gap = cell.result.gaps.get(attribute)
            if gap is None or math.isnan(gap["mean"].value):
                gaps.append("-")
            elif hundred:
                gaps.append(f"{100 * gap['mean'].value:.1f} / {100 * gap['largest'].value:.1f}")
            else:
                gaps.append(f"{gap['mean'].value:.3g} / {gap['largest'].value:.3g}")
        if varied:
            rows.append((f"{cell.run.judge}, {cell.run.scale}", *gaps))
    unit = "percent of the range of the run's ratings" if hundred else "rating points"
    return Table(
        "Differences between the means of an attribute's values (mean / largest)",
        ("judge, scale", *varied),
        tuple(rows),
        f"In {unit}, within a group: the mean over groups and pairs of values, and the largest "
        "of any group. One point more for everybody changes none of them, unlike NDS and GES.",
        bias=True,
    )


# --- rows ---------------------------------------------------------------------------------------

_READINGS = (" written", " weighted")


def same_readings(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Make one row of two that differ in nothing but in how an answer was read.

    What a judge writes is mostly the likeliest of the labels that its probabilities are read of.
    """
    kept: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in rows:
        bare = tuple(bare_name(cell) for cell in row[:2]) + row[2:]
        earlier = kept.get(bare)
        if earlier is None or earlier[:2] == row[:2]:
            kept[bare if earlier is None else row] = row
        else:
            names = zip(bare[:2], row[:2], strict=True)
            both = (name if name == cell else f"{name}{BOTH}" for name, cell in names)
            kept[bare] = (*both, *row[2:])
    return tuple(kept.values())


BOTH = " written = weighted"
"""Said of a judge whose answers come to the same both ways."""


def bare_name(name: str) -> str:
    """A judge or a scale without how the answers were read."""
    return next((name.removesuffix(end) for end in _READINGS if name.endswith(end)), name)


# --- names --------------------------------------------------------------------------------------


def by_perspective(cells: Iterable[PairCell]) -> list[tuple[str, list[PairCell]]]:
    """Cells in groups: safety first, then the others; of each, the constitution first."""
    groups: dict[str, list[PairCell]] = defaultdict(list)
    for cell in cells:
        groups[cell.run.perspective].append(cell)
    for group in groups.values():
        group.sort(key=lambda cell: cell.run.scale != CONSTITUTION)
    return sorted(groups.items(), key=lambda group: (group[0] != "safety", group[0]))


def name_of(cell: PairCell) -> str:
    """A judge on a scale."""
    return f"{cell.run.judge}, {cell.run.scale}"


def bias_name(cell: BiasCell) -> str:
    """The same, of the bias pictures."""
    return f"{cell.run.judge}, bias, {cell.run.scale}"
