"""Rates and their intervals. Pure.

Takes (truth, called) pairs; a call is yes, no or undecided, and undecided is always on the wrong
side: a miss where the truth is yes, a false alarm where it is no. How many were decided at all
stands beside, as coverage. An undefined rate is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from safejudge.types import Outcome

Floats = npt.NDArray[np.float64]
T = TypeVar("T")
Call = tuple[bool, Outcome]
"""What is true, and what was said."""

NAN = float("nan")

CALLED = {
    "safe": Outcome.NO, "unsafe": Outcome.YES, "undecided": Outcome.UNDECIDED,
    "violated": Outcome.YES, "not_violated": Outcome.NO, "not_relevant": Outcome.NO,
}  # fmt: skip
"""What a label of an image, or the outcome of a rule, says."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A confusion matrix, and how many calls it took."""

    tp: int
    fp: int
    fn: int
    tn: int
    decided: int

    @staticmethod
    def of(calls: Sequence[Call]) -> Counts:
        """Count; undecided falls on the wrong side."""
        positive = [called for truth, called in calls if truth]
        negative = [called for truth, called in calls if not truth]
        tp, tn = positive.count(Outcome.YES), negative.count(Outcome.NO)
        undecided = positive.count(Outcome.UNDECIDED) + negative.count(Outcome.UNDECIDED)
        return Counts(tp, len(negative) - tn, len(positive) - tp, tn, len(calls) - undecided)

    @property
    def asked(self) -> int:
        """All calls."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def precision(self) -> float:
        """Share of what was called yes that is: tp / (tp + fp)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of what is yes that was called so: tp / (tp + fn)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of both: 2 tp / (2 tp + fp + fn)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def fpr(self) -> float:
        """Share of what is no that was not called so: fp / (fp + tn)."""
        return ratio(self.fp, self.fp + self.tn)

    @property
    def coverage(self) -> float:
        """Share of calls that were yes or no."""
        return ratio(self.decided, self.asked)


def ratio(part: float, whole: float) -> float:
    """Divide; NaN where there is nothing to divide by."""
    return part / whole if whole else NAN


def wilson(right: int, asked: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) without data."""
    if not asked:
        return 0.0, 1.0
    z = 1.959964
    share = right / asked
    scale = 1 + z * z / asked
    middle = (share + z * z / (2 * asked)) / scale
    half = z * math.sqrt(share * (1 - share) / asked + z * z / (4 * asked**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(
    rows: Sequence[T], statistic: Callable[[Sequence[T]], float], draws: int = 1000
) -> tuple[float, float]:
    """95 % percentile interval of a statistic over resampled rows (seeded).

    A row is what was drawn independently: an image, with all its rules.
    """
    rng = np.random.default_rng(0)
    values = [
        statistic([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(draws)
    ]
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_sums(
    rows: Sequence[Sequence[float]],
    clusters: Sequence[int],
    statistics: Callable[[Floats], Floats],
    draws: int = 1000,
) -> list[tuple[float, float]]:
    """95 % percentile intervals of statistics of column sums, over resampled clusters (seeded).

    Rows of one cluster share what they are about, so they are drawn together. `statistics` turns
    the sums of all draws (draws x columns) into values (draws x statistics) at once, which is what
    makes many intervals affordable; NaN marks a draw in which one is undefined. Without data or
    draws there are no intervals; one that is undefined in all draws is NaN.
    """
    if not rows or draws < 1:
        return []
    members, place = np.unique(np.asarray(clusters), return_inverse=True)
    table = np.asarray(rows, dtype=float)
    sums = np.zeros((len(members), table.shape[1]))
    np.add.at(sums, place, table)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
    intervals = []
    for values in statistics(drawn @ sums).T:
        known = values[~np.isnan(values)]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (NAN, NAN)
        intervals.append((float(low), float(high)))
    return intervals


def share(right: int, asked: int) -> str:
    """A share with its 95 % interval and its count."""
    if not asked:
        return "no data"
    low, high = wilson(right, asked)
    return f"{right / asked:.3f} [{low:.3f}, {high:.3f}] n={asked}"
