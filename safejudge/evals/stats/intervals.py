"""A number, of how many rows it is, and its 95 % interval: shares, and what resampling gives. Pure.

Rows that are about one thing (an image, an occupation) form a cluster: they are no independent
evidence, so they are drawn together. Draws are seeded, so the same rows have the same interval.
What is undefined is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from safejudge.show.markdown import figure

if TYPE_CHECKING:
    from safejudge.types import JSON

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
H = TypeVar("H", bound=Hashable)
T = TypeVar("T")
Interval = tuple[float, float]
"""Lower and upper bound."""
Statistic = Callable[..., float]
"""Columns of equal length -> one number."""

NAN = float("nan")
Z = 1.959964
"""Standard deviations on either side of the middle 95 % of a normal distribution."""
MIN_CLUSTERS = 10
"""With fewer clusters than this, resampling them says nothing about the spread."""


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

    def json(self) -> JSON:
        """For a file: null where JSON has no number."""
        numbers = {"value": self.value, "n": self.n, "low": self.low, "high": self.high}
        return {name: None if math.isnan(number) else number for name, number in numbers.items()}

    def text(self, n: int | None = None) -> str:
        """For people; how many rows is left out where it is the `n` that stands beside anyhow."""
        text = figure(self.value, self.interval)
        return text if n == self.n else f"{text} n={self.n}"


# --- shares -------------------------------------------------------------------------------------


def ratio(part: float, total: float) -> float:
    """Divide; NaN where there is nothing to divide by."""
    return part / total if total else NAN


def wilson(hits: int, n: int) -> Interval:
    """95 % interval of a share of independent rows (Wilson 1927); (0, 1) without data."""
    if not n:
        return 0.0, 1.0
    share = hits / n
    scale = 1 + Z * Z / n
    middle = (share + Z * Z / (2 * n)) / scale
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, n: int) -> Estimate:
    """A share of independent rows, with Wilson's interval."""
    return Estimate(ratio(hits, n), n, *(wilson(hits, n) if n else (NAN, NAN)))


# --- resampling ---------------------------------------------------------------------------------


class Clusters:
    """Rows that are drawn together, cluster by cluster; as many clusters as there are.

    Both ways to draw are the same bootstrap. `rows` serves any statistic; `sums` one that is made
    of sums of columns, for which a thousand draws are a single product of matrices.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        """Of every row, the number of its cluster."""
        codes = np.fromiter(numbers, dtype=np.intp)
        names, self._of_row = np.unique(codes, return_inverse=True)
        self._sizes = np.bincount(self._of_row, minlength=len(names))

    @classmethod
    def by(cls, keys: Iterable[Hashable]) -> Clusters:
        """Rows of one key are a cluster."""
        numbers: dict[Hashable, int] = {}
        return cls(numbers.setdefault(key, len(numbers)) for key in keys)

    def __len__(self) -> int:
        return len(self._sizes)

    def rows(self, draws: int) -> Iterator[Codes]:
        """The row numbers of each resample."""
        rng = np.random.default_rng(0)
        members = np.argsort(self._of_row, kind="stable")
        starts = np.cumsum(self._sizes) - self._sizes
        for _ in range(draws):
            picked = rng.integers(0, len(self), len(self))
            sizes = self._sizes[picked]
            shift = starts[picked] - (np.cumsum(sizes) - sizes)
            yield members[np.repeat(shift, sizes) + np.arange(sizes.sum())]

    def sums(self, table: Floats, draws: int) -> Floats:
        """The sums of the columns over each resample (draws x columns)."""
        totals = np.zeros((len(self), table.shape[1]))
        np.add.at(totals, self._of_row, table)
        rng = np.random.default_rng(0)
        counts = rng.multinomial(len(self), np.full(len(self), 1 / len(self)), size=draws)
        return np.asarray(counts @ totals, dtype=float)


def percentiles(values: Iterable[float]) -> Interval:
    """The middle 95 % of what resamples came to; NaN where it was undefined in all of them."""
    defined = [value for value in values if not math.isnan(value)]  # a resample may be constant
    low, high = np.percentile(defined, (2.5, 97.5)) if defined else (NAN, NAN)
    return float(low), float(high)


def bootstrap(
    rows: Sequence[T], statistic: Callable[[Sequence[T]], float], draws: int = 1000
) -> Interval:
    """Interval of a statistic over resampled rows.

    A row is what was drawn independently: an image, with all its rules.
    """
    resamples = Clusters(range(len(rows))).rows(draws)
    return percentiles(statistic([rows[row] for row in numbers]) for numbers in resamples)


def bootstrap_sums(
    rows: Sequence[Sequence[float]],
    clusters: Iterable[int],
    statistics: Callable[[Floats], Floats],
    draws: int = 1000,
) -> list[Interval]:
    """Intervals of statistics of column sums, over resampled clusters.

    `statistics` turns the sums of all draws (draws x columns) into values (draws x statistics) at
    once, which is what makes many intervals affordable; NaN marks a draw in which one is undefined.
    Without data or draws there are no intervals; one that is undefined in all draws is NaN.
    """
    if not rows or draws < 1:
        return []
    sums = Clusters(clusters).sums(np.asarray(rows, dtype=float), draws)
    return [percentiles(column) for column in statistics(sums).T]


def estimate(
    statistic: Statistic,
    *columns: Sequence[float],
    groups: Iterable[Hashable] | None = None,
    draws: int = 1000,
) -> Estimate:
    """A statistic of columns side by side; rows of one group are drawn together."""
    return estimates({"": statistic}, *columns, groups=groups, draws=draws)[""]


def estimates(
    statistics: Mapping[str, Statistic],
    *columns: Sequence[float],
    groups: Iterable[Hashable] | None = None,
    draws: int = 1000,
) -> dict[str, Estimate]:
    """Several statistics of the same rows, over the same resamples of them."""
    arrays = [np.asarray(column, dtype=float) for column in columns]
    n = len(arrays[0])
    results = {name: Estimate(statistic(*arrays), n) for name, statistic in statistics.items()}
    clusters = Clusters.by(range(n) if groups is None else groups)
    drawn: dict[str, list[float]] = {
        name: [] for name, result in results.items() if not math.isnan(result.value)
    }
    if not drawn or len(clusters) < MIN_CLUSTERS:
        return results
    for rows in clusters.rows(draws):
        resampled = [array[rows] for array in arrays]
        for name, values in drawn.items():
            values.append(statistics[name](*resampled))
    for name, values in drawn.items():
        results[name] = Estimate(results[name].value, n, *percentiles(values))
    return results


def grouped(keys: Iterable[H]) -> dict[H, list[int]]:
    """Row numbers by key, in the order in which keys first appear."""
    rows: dict[H, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows
