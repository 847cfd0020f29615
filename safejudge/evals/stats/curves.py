"""Scores against truth: ranking, thresholds, calibration. Pure.

Takes scores in [0, 1] and what is true; gives numbers and curves. Equal scores are one step, so no
figure depends on the order of the rows. What is undefined is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safejudge.evals.stats.intervals import NAN, ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold comes to: called yes is every score at or above it."""

    threshold: float
    """The score from which on a row is called yes."""
    precision: float
    """Share of what is called yes that is."""
    recall: float
    """Share of what is yes that is called so."""
    fpr: float
    """Share of what is no that is called yes."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are, NaN where recall is."""
        total = self.precision + self.recall
        return 0.0 if total == 0 else 2 * self.precision * self.recall / total


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose score lies between two bounds."""

    low: float
    """Lower bound, included."""
    high: float
    """Upper bound, included in the last bin only."""
    count: int
    """Rows in it."""
    mean_score: float
    """Their mean score."""
    share_true: float
    """The share of them that is true."""


def sweep(scores: Sequence[float], targets: Sequence[bool]) -> list[Point]:
    """Every threshold that changes anything, the highest first.

    Raises `ValueError` for NaN and for lists of different length.
    """
    ranked, hits = _ranked(scores, targets)
    hits_until = np.concatenate(([0], np.cumsum(hits)))
    positive, negative = int(hits_until[-1]), len(hits) - int(hits_until[-1])
    points = []
    for end in _steps(ranked):
        true = int(hits_until[end])
        false = end - true
        points.append(
            Point(
                float(ranked[end - 1]),
                ratio(true, end),
                ratio(true, positive),
                ratio(false, negative),
            )
        )
    return points


def average_precision(scores: Sequence[float], targets: Sequence[bool]) -> float:
    """Area under precision and recall as a step function: sum of (R_n - R_(n-1)) P_n.

    NaN without a positive row.
    """
    points = sweep(scores, targets)
    if not any(targets):
        return NAN
    recall = 0.0
    area = 0.0
    for point in points:
        area += (point.recall - recall) * point.precision
        recall = point.recall
    return area


def auroc(scores: Sequence[float], targets: Sequence[bool]) -> float:
    """The chance that a true row outranks a false one, half for equal scores; NaN without both."""
    ranked, hits = _ranked(scores, targets)
    positive = int(hits.sum())
    negative = len(hits) - positive
    won, below = 0.0, negative
    start = 0
    for end in _steps(ranked):
        true = int(hits[start:end].sum())
        false = end - start - true
        below -= false
        won += true * (below + false / 2)
        start = end
    return ratio(won, positive * negative)


def brier(scores: Sequence[float], targets: Sequence[bool]) -> float:
    """Mean squared distance of score and truth (Brier 1950); NaN without rows."""
    ranked, hits = _ranked(scores, targets)
    return float(np.mean((ranked - hits) ** 2)) if len(ranked) else NAN


def reliability(scores: Sequence[float], targets: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Rows by score in equally wide bins; empty ones are left out."""
    ranked, hits = _ranked(scores, targets)
    bin_of = np.minimum((ranked * bins).astype(int), bins - 1)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            int(inside.sum()),
            float(ranked[inside].mean()),
            float(hits[inside].mean()),
        )
        for number in range(bins)
        if (inside := bin_of == number).any()
    ]


def calibration_error(scores: Sequence[float], targets: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: |mean score - share true| over bins, by their rows.

    (Naeini et al. 2015.) NaN without rows.
    """
    intervals = reliability(scores, targets, bins)
    distance = sum(group.count * abs(group.mean_score - group.share_true) for group in intervals)
    return ratio(distance, sum(group.count for group in intervals))


def _ranked(scores: Sequence[float], targets: Sequence[bool]) -> tuple[Floats, Booleans]:
    """Scores from the highest, and the targets beside them."""
    values, hits = np.asarray(scores, dtype=float), np.asarray(targets, dtype=bool)
    if values.shape != hits.shape:
        raise ValueError(f"{len(scores)} scores and {len(targets)} targets; give one of each a row")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("a score is NaN or outside [0, 1]; leave such rows out and count them")
    order = np.argsort(-values, kind="stable")
    return values[order], hits[order]


def _steps(ranked: Floats) -> list[int]:
    """Where a run of equal scores ends."""
    ends = np.flatnonzero(np.diff(ranked)) + 1
    return [*map(int, ends), len(ranked)] if len(ranked) else []
