"""A number, of how many rows it is, and its 95 % interval. Pure.

Rows that are about one thing (an image, an occupation) form a group: they are no independent
evidence. A share has Wilson's interval, of as many independent rows as the grouped ones are worth
by how the groups differ (the design effect, Kish 1965; Korn and Graubard 1998), with Student's t.
What is neither share nor mean: `jackknife.py`. Nothing is drawn by lot.

Where nothing varies, what varies between groups cannot be seen, so groups count as one row each. No
interval is better than a narrow one: there is none from fewer than `MIN_GROUPS` groups of several
rows. What is undefined is NaN, never 0. How often these intervals hold what they should:
`benchmarks/coverage_intervals.py`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from safejudge.show.markdown import figure

if TYPE_CHECKING:
    from safejudge.types import JSON

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
H = TypeVar("H", bound=Hashable)
Interval = tuple[float, float]
"""Lower and upper bound."""

NAN = float("nan")
NONE: Interval = (NAN, NAN)
"""No interval."""
Z = 1.959964
"""Standard deviations on either side of the middle 95 % of a normal distribution."""
MIN_GROUPS = 10
"""Fewer groups than this say nothing about how groups differ."""
FEW = (
    f"[-] is no interval: there are fewer than {MIN_GROUPS} groups of rows that belong together, "
    "or nothing varies."
)
"""What tables say of a number that has none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, of how many rows it is, and between which bounds it lies (95 %)."""

    value: float
    """NaN where it is undefined."""
    n: int
    """Rows that it is of."""
    low: float = NAN
    """Lower bound; NaN where there is none."""
    high: float = NAN
    """Upper bound."""

    @property
    def interval(self) -> Interval | None:
        """Both bounds, where there are any."""
        return None if math.isnan(self.low) else (self.low, self.high)

    def cell(self) -> str:
        """For a table in which numbers have intervals: a dash stands for one that cannot be had."""
        text = figure(self.value, self.interval)
        return f"{text} [-]" if self.interval is None and not math.isnan(self.value) else text

    def json(self) -> JSON:
        """For a file: null where JSON has no number."""
        numbers = {"value": self.value, "n": self.n, "low": self.low, "high": self.high}
        return {name: None if math.isnan(number) else number for name, number in numbers.items()}

    def text(self, n: int | None = None) -> str:
        """For people; how many rows is left out where it is the `n` that stands beside anyhow."""
        text = figure(self.value, self.interval)
        return text if n == self.n else f"{text} n={self.n}"


def ratio(part: float, total: float) -> float:
    """Divide; NaN where there is nothing to divide by."""
    return part / total if total else NAN


def grouped(keys: Iterable[H]) -> dict[H, list[int]]:
    """Row numbers by key, in the order in which keys first appear."""
    rows: dict[H, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def t_quantile(freedom: float) -> float:
    """Where the middle 95 % of Student's t end; right to 0.005 from 6 degrees of freedom on.

    Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5).
    """
    z = Z
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


# --- shares of independent rows -------------------------------------------------------------------


def wilson(hits: float, n: float, z: float = Z) -> Interval:
    """95 % interval of a share of independent rows (Wilson 1927); (0, 1) without data.

    Both may be fractions, of rows that are worth less than one each.
    """
    if not n:
        return 0.0, 1.0
    share = hits / n
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(max(0.0, share * (1 - share)) / n + z * z / (4 * n**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def corrected(hits: float, n: float, z: float = Z) -> Interval:
    """Wilson's interval with a correction for continuity (Newcombe 1998, method 4).

    Of few rows, or a share near 0 or 1, the plain one holds the truth too seldom: at 19 rows and a
    true share of 0.974 in 92 %.
    """
    if not n:
        return 0.0, 1.0
    share, square = hits / n, z * z
    below = square - 2 - 1 / n + 4 * share * (n * (1 - share) + 1)
    above = square + 2 - 1 / n + 4 * share * (n * (1 - share) - 1)
    low = (2 * hits + square - 1 - z * math.sqrt(max(0.0, below))) / (2 * (n + square))
    high = (2 * hits + square + 1 + z * math.sqrt(max(0.0, above))) / (2 * (n + square))
    return 0.0 if hits <= 0 else max(0.0, low), 1.0 if hits >= n else min(1.0, high)


def share(hits: int, n: int) -> Estimate:
    """A share of independent rows, with Wilson's interval, corrected."""
    return Estimate(ratio(hits, n), n, *(corrected(hits, n) if n else NONE))


# --- rows in groups -------------------------------------------------------------------------------


def codes_of(groups: Iterable[Hashable]) -> Codes:
    """The number of each row's group, from 0, in the order in which groups first appear."""
    numbers: dict[Hashable, int] = {}
    codes = (numbers.setdefault(group, len(numbers)) for group in groups)
    return np.fromiter(codes, dtype=np.intp)


def sums_of(codes: Codes, values: npt.NDArray[Any] | Sequence[float]) -> Floats:
    """The sum of the values of each group."""
    return np.bincount(codes, weights=np.asarray(values, dtype=float)).astype(float)


def share_of(
    hits: Sequence[float] | npt.NDArray[Any],
    groups: Iterable[Hashable] | None = None,
    counts: Sequence[float] | npt.NDArray[Any] | None = None,
    *,
    intervals: bool = True,
) -> Estimate:
    """A share over rows in groups: which of those that count are hits.

    Hits may be fractions of a row; without `counts` every row counts, without `groups` each row
    stands alone.
    """
    total = np.ones(len(hits)) if counts is None else np.asarray(counts, dtype=float)
    part = np.asarray(hits, dtype=float) * total
    n, value = int(total.sum()), ratio(float(part.sum()), float(total.sum()))
    if not intervals or not n:
        return Estimate(value, n)
    codes = codes_of(range(len(hits)) if groups is None else groups)
    whole = bool(np.isin(part, (0.0, 1.0)).all())
    return Estimate(value, n, *share_interval(sums_of(codes, part), sums_of(codes, total), whole))


def share_interval(parts: Floats, totals: Floats, whole: bool) -> Interval:
    """Interval of sum(parts) / sum(totals), each by group; `whole`: rows are hits or none.

    The variance between groups, over that of as many independent rows, is the design effect; the
    rows are worth so many times less. Seen in few groups only, it is itself uncertain, and drawn
    towards what it would be if every group were one row.
    """
    parts, totals = parts[totals > 0], totals[totals > 0]
    count, n = len(totals), float(totals.sum())
    if whole and count and (totals == 1).all():
        return corrected(float(parts.sum()), count)
    if count < MIN_GROUPS:
        return NONE
    value = float(parts.sum()) / n
    one_each = float((totals**2).sum()) / n  # rows over as many equal groups as these are worth
    alone = value * (1 - value) / n
    effect = _variance(parts, totals) / alone if alone > 0 else one_each
    if whole:
        effect = max(effect, 1.0)
    seen = min(int((parts > 0).sum()), int((parts < totals).sum()))
    effect = max(effect, (seen * effect + one_each) / (seen + 1))
    return corrected(value * n / effect, n / effect, t_quantile(max(2.0, n / one_each - 1)))


def _variance(parts: Floats, totals: Floats) -> float:
    """Of sum(parts) / sum(totals), by how each group differs from the rest.

    CR3 (MacKinnon and White 1985; Bell and McCaffrey 2002): a large group pulls the whole to
    itself, so it is held against what the others say.
    """
    n = float(totals.sum())
    rests = (parts - parts.sum() / n * totals) / (n - totals)
    return float((rests**2).sum())


def mean_of(
    values: Sequence[float] | Floats,
    groups: Iterable[Hashable] | None = None,
    weights: Sequence[float] | Floats | None = None,
    *,
    intervals: bool = True,
) -> Estimate:
    """A mean of values over rows in groups, by Student's t over the groups.

    Of values that are never below 0, such as distances, on the scale of logarithms. Their groups
    lie askew: at a kurtosis of 4 in place of 3, how they vary is known as from 2/3 as many.
    """
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    part = np.asarray(values, dtype=float) * weight
    total = float(weight.sum())
    value = ratio(float(part.sum()), total)
    if not intervals or math.isnan(value):
        return Estimate(value, len(values))
    codes = codes_of(range(len(values)) if groups is None else groups)
    parts, totals = sums_of(codes, part), sums_of(codes, weight)
    parts, totals = parts[totals > 0], totals[totals > 0]
    count = len(totals)
    if count < MIN_GROUPS:
        return Estimate(value, len(values))
    error = math.sqrt(_variance(parts, totals))
    if not error > 0:
        return Estimate(value, len(values))
    if (part >= 0).all():
        times = math.exp(t_quantile((count - 1) * 2 / 3) * error / value)
        return Estimate(value, len(values), value / times, value * times)
    half = t_quantile(count - 1) * error
    return Estimate(value, len(values), value - half, value + half)


# --- two shares together --------------------------------------------------------------------------

_SHRINK = 3
"""So many groups without correlation are thought beside those that show one."""


def combined(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], sign: int, scale: float
) -> Interval:
    """Interval of scale * (first + sign * second), two shares of the same groups (parts, totals).

    Put together from their own intervals (MOVER, Zou and Donner 2008), with the correlation that
    the groups show.
    """
    bounds = [share_interval(*side, whole=True) for side in (first, second)]
    if any(math.isnan(low) for low, _ in bounds):
        return NONE
    values = [float(part.sum() / total.sum()) for part, total in (first, second)]
    rests = [
        part - value * total for (part, total), value in zip((first, second), values, strict=True)
    ]
    spread = math.sqrt(float((rests[0] ** 2).sum()) * float((rests[1] ** 2).sum()))
    both = int(((first[1] > 0) & (second[1] > 0)).sum())
    rho = sign * float((rests[0] * rests[1]).sum()) / spread if spread > 0 else 0.0
    rho *= both / (both + _SHRINK)
    down = [values[0] - bounds[0][0], _arm(values[1], bounds[1], -sign)]
    up = [bounds[0][1] - values[0], _arm(values[1], bounds[1], sign)]
    middle = values[0] + sign * values[1]
    return scale * (middle - _joined(down, rho)), scale * (middle + _joined(up, rho))


def _arm(value: float, bounds: Interval, side: int) -> float:
    return bounds[1] - value if side > 0 else value - bounds[0]


def _joined(arms: Sequence[float], rho: float) -> float:
    first, second = arms
    return math.sqrt(max(0.0, first**2 + second**2 + 2 * rho * first * second))


def gained(before: Sequence[bool], after: Sequence[bool], groups: Iterable[Hashable]) -> Estimate:
    """The share of rows that became right, less that of those that were and are no more."""
    was, now = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if not len(was):
        return Estimate(NAN, 0)
    codes = codes_of(groups)
    totals = sums_of(codes, np.ones(len(was)))
    won, lost = sums_of(codes, now & ~was), sums_of(codes, was & ~now)
    value = float((won.sum() - lost.sum()) / len(was))
    return Estimate(value, len(was), *combined((won, totals), (lost, totals), -1, 1.0))
