"""The binomial distribution, exactly: tails, and the bounds of Clopper and Pearson. Pure.

Takes hits among independent rows; gives probabilities and one-sided bounds of the share behind
them. `upper` is B^-1(confidence; k + 1, n - k), the quantile of a beta distribution (Clopper and
Pearson 1934). It is found from the tail that defines it: the share at which so few hits have the
chance 1 - confidence.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

_HALVINGS = 60
"""Of an interval of length 1: beyond the last digit."""


def at_most(hits: int, n: int, share: float) -> float:
    """Return the chance of at most `hits` among `n` independent rows of which `share` are hits.

    Raises `ValueError` for a share outside [0, 1] and for a negative `n`.
    """
    if not 0 <= share <= 1 or n < 0:
        raise ValueError(f"a share of {share} of {n} rows; give 0 to 1, of 0 rows or more")
    if hits < 0:
        return 0.0
    if hits >= n or share == 0.0:
        return 1.0
    if share == 1.0:
        return 0.0
    count = np.arange(hits + 1)
    logs = _log_factorials(n)
    chances = logs[n] - logs[count] - logs[n - count]
    chances = chances + count * math.log(share) + (n - count) * math.log1p(-share)
    return min(1.0, float(np.exp(chances).sum()))


def at_least(hits: int, n: int, share: float) -> float:
    """Return the chance of at least `hits` among `n` independent rows."""
    return at_most(n - hits, n, 1.0 - share)


def upper(hits: int, n: int, confidence: float) -> float:
    """Bound a share from above: with this confidence it is no larger. 1 without rows."""
    if hits >= n:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(hits, n, middle) > 1 - confidence else (low, middle)
    return high


def lower(hits: int, n: int, confidence: float) -> float:
    """Bound a share from below: with this confidence it is no smaller. 0 without rows."""
    return 1.0 - upper(n - hits, n, confidence)


def needed(share: float, delta: float, hits: int = 0) -> int:
    """Return the fewest rows of which `hits` still bound the share by `share`, but for `delta`."""
    n = hits + 1
    while at_most(hits, n, share) > delta:
        n += 1
    return n


@lru_cache(maxsize=64)
def allowed(most: int, share: float, delta: float) -> Integers:
    """Return, for 0 to `most` rows, the most hits that bound the share by `share`, but for `delta`.

    The bound is `upper(hits, n, 1 - delta) <= share`; -1 where even no hit would be too many.
    """
    found = np.full(most + 1, -1, dtype=np.int64)
    hits = -1
    for n in range(1, most + 1):
        while hits + 1 < n and at_most(hits + 1, n, share) <= delta:
            hits += 1
        found[n] = hits
    found.flags.writeable = False
    return found


def _log_factorials(most: int) -> Floats:
    """Logarithms of 0! to at least `most`!."""
    return _table(1 << max(10, most.bit_length()))


@lru_cache(maxsize=4)
def _table(size: int) -> Floats:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, size + 1)))))
