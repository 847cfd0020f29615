"""Scores -> soft labels, and how far two of them lie apart (UniME-V2, arXiv 2510.13515). Pure.

The published loss is named after Jensen and Shannon. Its code takes half the sum of both
Kullback-Leibler distances, which has no upper bound: 4.655 where the distance of that name is
0.276 and can never exceed log 2. Both are here under names of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from safejudge.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Score = float | None
"""P(yes) / (P(yes) + P(no)), in [0, 1]; None where it was not read."""
TEMPERATURE = 0.02
"""Of the published training."""
EPSILON = 1e-8
"""What the published code adds to every probability before a logarithm."""


def soft_labels(scores: Sequence[float] | Floats, temperature: float = TEMPERATURE) -> Floats:
    """Softmax of the scores of one query's candidates, which sums to 1.

    Raises `InputError` for no score, one that is no finite number, and a temperature of 0 or less.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise InputError(
            f"soft labels of {values.tolist()!r:.80}: give at least one score, all finite; leave "
            "out what was not read"
        )
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"temperature {temperature}: give a number above 0")
    weights = np.exp((values - values.max()) / temperature)
    labels: Floats = weights / weights.sum()
    return labels


def two_way_kullback_leibler(first: Floats, second: Floats) -> float:
    """(KL(first, second) + KL(second, first)) / 2, as the published loss has it; in nats."""
    p, q = _alike(first, second)
    p, q = p + EPSILON, q + EPSILON
    # Both sums share their logarithm, up to the sign.
    return float(((p - q) * np.log(p / q)).sum() / 2)


def jensen_shannon(first: Floats, second: Floats) -> float:
    """Mean distance of both from their middle; in nats, in [0, log 2]."""
    p, q = _alike(first, second)
    middle = (p + q) / 2
    return (_kullback_leibler(p, middle) + _kullback_leibler(q, middle)) / 2


def _kullback_leibler(p: Floats, q: Floats) -> float:
    there = p > 0  # what has no probability adds nothing
    return float((p[there] * np.log(p[there] / q[there])).sum())


def _alike(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    p, q = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if p.shape != q.shape:
        raise InputError(f"labels of {p.size} and of {q.size} candidates cannot be compared")
    return p, q
