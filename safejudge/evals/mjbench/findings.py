"""MJ-Bench's figures -> what stands out in them, as sentences with their numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from safejudge.evals.mjbench.recorded.names import largest
from safejudge.evals.mjbench.tables import bias_name, by_perspective, name_of, percent
from safejudge.evals.stats.fairness import METRICS
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.mjbench.cells import BiasCell, Options, PairCell
    from safejudge.evals.stats.intervals import Estimate

_FLAT = 0.005
"""Half a point of percent: smaller changes are not worth a sentence."""
_LEAK = 0.6
"""Pairs are called lopsided if the better image stands on one side in so many of them."""
_POSITION = 0.2
"""A judge is called out for its order if its accuracy differs by more, and this often seen:"""
_MIN_PAIRS = 10


def findings(
    pairs: Sequence[PairCell], bias: Sequence[BiasCell], options: Options
) -> tuple[str, ...]:
    """What stands out, as sentences with their numbers."""
    lines = [
        *_order_leak(pairs), *_position(pairs), *_direction(pairs, options), *_said_twice(pairs),
        *_refusals(bias, options), *_normalisation(bias), *_tolerance(bias, options),
        *_unusable(bias), *_flags(bias),
    ]  # fmt: skip
    return tuple(lines)


def _order_leak(cells: Sequence[PairCell]) -> Iterator[str]:
    for perspective, group in by_perspective(cells):
        totals = [cell for cell in group if cell.name == "all"]
        sets: dict[int, list[PairCell]] = defaultdict(list)
        for cell in totals:  # judges were asked slightly different sets of pairs
            if cell.result.always_first.n:
                sets[round(1000 * cell.result.always_first.value)].append(cell)
        for permille, members in sets.items():
            best = max(permille, 1000 - permille) / 1000
            if best < _LEAK:
                continue
            side = "first" if permille >= 500 else "second"
            n = sorted({c.result.always_first.n for c in members})
            winners = [name_of(c) for c in members if c.result.acc_with_tie.value > best]
            top = max(members, key=lambda c: c.result.acc_with_tie.value)
            beaten = (
                f"more than every judge here (best: {name_of(top)}, "
                f"{percent(top.result.acc_with_tie, interval=False)} %)"
                if not winners
                else f"and is beaten by {', '.join(winners)}"
            )
            yield (
                f"{perspective}: the better image comes {side} in {100 * best:.1f} % of "
                f"{' or '.join(map(str, n))} pairs, "
                f"so a judge that always answers the {side} image scores {100 * best:.1f} % with "
                f"ties, {beaten}."
            )


def _position(cells: Sequence[PairCell]) -> Iterator[str]:
    for cell in cells:
        r = cell.result
        enough = min(r.acc_first.n, r.acc_second.n) >= _MIN_PAIRS
        if (
            cell.name == "all"
            and enough
            and abs(r.acc_first.value - r.acc_second.value) > _POSITION
        ):
            yield (
                f"{name_of(cell)}, {cell.run.perspective}: right in {percent(r.acc_first)} % where "
                f"the better image came first (n={r.acc_first.n}) and in {percent(r.acc_second)} % "
                f"where it came second (n={r.acc_second.n}); balanced {percent(r.balanced)} %."
            )


def _direction(cells: Sequence[PairCell], options: Options) -> Iterator[str]:
    percents: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.name.startswith("nsfw"):
            percents[name_of(cell)].append(percent(cell.result.acc_without_tie, interval=False))
    if percents:
        turned = "turned round by an option" if "nsfw" in options.flip else "as the files say"
        text = ", ".join(
            f"{judge} {' against '.join(values)}" for judge, values in percents.items()
        )
        yield (
            "safety: the labels of the nsfw pairs are unreliable. The released files prefer the "
            "original picture over the one whose unsafe region was painted over, against the "
            f"paper's own description. Labels here are {turned}; percent without ties, that way "
            f"against the other: {text}. Give no safety number with one direction alone."
        )


def _said_twice(cells: Sequence[PairCell]) -> Iterator[str]:
    for cell in cells:
        if cell.name == "all" and cell.differs:
            yield (
                f"{name_of(cell)}, {cell.run.perspective}: what it chose and what its ratings say "
                f"differ in {cell.differs} of {cell.result.pairs} pairs."
            )


def _refusals(cells: Sequence[BiasCell], options: Options) -> Iterator[str]:
    for cell in cells:
        if cell.filled is None:
            continue
        counted, left = (
            (cell.result, cell.filled) if options.refusals else (cell.filled, cell.result)
        )
        fillers = counted.n - left.n
        if not fillers:
            yield f"{bias_name(cell)}: {cell.result.refused} of {cell.result.rows} refused."
            continue
        yield (
            f"{bias_name(cell)}: {fillers} of {counted.n} ratings are fillers beside a refusal. "
            f"ACC/NDS/GES are {_three(counted.means)} if they count as equal ratings, as they do "
            f"in the published numbers, and {_three(left.means)} without them (n={left.n})."
        )


def _normalisation(cells: Sequence[BiasCell]) -> Iterator[str]:
    moved = []
    for cell in cells:
        for metric in METRICS:
            result, otherwise = cell.result.means[metric], cell.otherwise.means[metric]
            if not math.isnan(apart := abs(result.value - otherwise.value)):
                moved.append((apart, metric, cell))
    for metric in METRICS:
        moves = [(a, c) for a, m, c in moved if m == metric]
        if not moves:
            continue
        apart, cell = max(moves, key=lambda move: move[0])
        if apart > _FLAT:
            result, otherwise = cell.result.means[metric], cell.otherwise.means[metric]
            yield (
                f"Normalisation moves {metric.upper()} by up to {100 * apart:.1f} points "
                f"({bias_name(cell)}: {percent(result, interval=False)} and "
                f"{percent(otherwise, interval=False)}, n={result.n}); by more than half a point "
                f"in {sum(a > _FLAT for a, _ in moves)} of {len(moves)} runs."
            )


def _tolerance(cells: Sequence[BiasCell], options: Options) -> Iterator[str]:
    for cell in cells:
        ours, theirs = cell.result.means["acc"], cell.other_tolerance.means["acc"]
        bare, kind = (theirs, ours) if options.acc_tolerance else (ours, theirs)
        if abs(ours.value - theirs.value) > _FLAT:
            yield (
                f"{bias_name(cell)}: ACC is {percent(bare, interval=False)} % if 0.4 - 0.3 counts "
                f"as more than 0.1, as floats have it and the published code, and "
                f"{percent(kind, interval=False)} % if it counts as 0.1 (n={ours.n})."
            )


def _unusable(cells: Sequence[BiasCell]) -> Iterator[str]:
    for cell in cells:
        r = cell.result
        if r.n and r.spread == 0:
            yield (
                f"{bias_name(cell)}: {counted(r.n, 'rating')}, all the same; such a judge has ACC "
                "100 and NDS and GES 100 or undefined, whatever it saw."
            )
        high = largest(cell.run.scale)
        beyond = sum(
            row.rating is not None and not 0 <= row.rating <= high for row in cell.run.rows
        ) if high else 0  # fmt: skip
        if beyond:
            yield (
                f"{bias_name(cell)}: {beyond} of {r.n} ratings lie outside the scale; they count, "
                "and min-max normalisation stretches over them."
            )
        if r.rows and r.unparsed > 0.05 * r.rows:
            yield f"{bias_name(cell)}: {r.unparsed} of {r.rows} answers hold no readable rating."
    holes = [
        f"{bias_name(cell)} ({count} of {len(cell.result.groups)})"
        for cell in cells
        if cell.result.spread and (count := max(m.undefined for m in cell.result.means.values()))
    ]
    if holes:
        yield (
            "ACC, NDS or GES is undefined in some groups (fewer than two ratings, or a mean of 0), "
            f"which enter no average: {', '.join(holes)}."
        )


def _flags(cells: Sequence[BiasCell]) -> Iterator[str]:
    """Attributes that rows are flagged with although their group does not vary them."""
    if not cells:
        return
    cell = max(cells, key=lambda cell: (len(cell.result.groups), cell.result.n))
    wrong: dict[str, list[int]] = defaultdict(list)
    for group in cell.result.groups:
        varied = {gap.attribute for gap in group.gaps if gap.values > 1}
        for flag, n in group.flags.items():
            if varied and flag not in varied:
                wrong[flag].append(n)
    for flag, rows in sorted(wrong.items()):
        yield (
            f"bias: {len(rows)} of {len(cell.result.groups)} groups "
            f"({counted(sum(rows), 'rating')}) are flagged {flag} and do not vary it; the numbers "
            "by attribute count them there."
        )


def _three(means: Mapping[str, Estimate]) -> str:
    return " / ".join(percent(means[m], interval=False) for m in METRICS)
