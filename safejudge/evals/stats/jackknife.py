"""Intervals of what is no share: computed once without each group of rows. Pure.

The jackknife (Tukey 1958) with Student's t; correlations on Fisher's scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from safejudge.evals.stats.intervals import (
    MIN_GROUPS,
    NONE,
    Codes,
    Estimate,
    Floats,
    Interval,
    codes_of,
    t_quantile,
)

T = TypeVar("T")
Statistic = Callable[..., float]
"""Columns of equal length -> one number."""

_PARTS = 200
"""With more groups, several are left out together."""


def estimate(
    statistic: Statistic,
    *columns: Sequence[float],
    groups: Iterable[Hashable] | None = None,
    correlation: bool = False,
    intervals: bool = True,
) -> Estimate:
    """A statistic of columns side by side; rows of one group are left out together."""
    fisher = ("",) if correlation else ()
    return estimates(
        {"": statistic}, *columns, groups=groups, correlations=fisher, intervals=intervals
    )[""]


def estimates(
    statistics: Mapping[str, Statistic],
    *columns: Sequence[float],
    groups: Iterable[Hashable] | None = None,
    correlations: Collection[str] = (),
    intervals: bool = True,
) -> dict[str, Estimate]:
    """Several statistics of the same rows, by the same jackknife.

    Those named as `correlations` have their intervals on Fisher's scale.
    """
    arrays = [np.asarray(column, dtype=float) for column in columns]
    n = len(arrays[0])
    results = {name: Estimate(statistic(*arrays), n) for name, statistic in statistics.items()}
    defined = [name for name, result in results.items() if not math.isnan(result.value)]
    if not intervals or not defined:
        return results
    without: dict[str, list[float]] = {name: [] for name in defined}
    for kept in _parts_left(codes_of(range(n) if groups is None else groups)):
        part = [array[kept] for array in arrays]
        for name, values in without.items():
            values.append(statistics[name](*part))
    for name, values in without.items():
        value = results[name].value
        interval = _jackknife(value, np.asarray(values), fisher=name in correlations)
        results[name] = Estimate(value, n, *interval)
    return results


def jackknifed(rows: Sequence[T], statistic: Callable[[Sequence[T]], float]) -> Interval:
    """Interval of a statistic of independent rows, whatever they are."""
    without = [
        statistic([row for row, stays in zip(rows, kept, strict=True) if stays])
        for kept in _parts_left(codes_of(range(len(rows))))
    ]
    return _jackknife(statistic(rows), np.asarray(without), fisher=False) if without else NONE


def _parts_left(codes: Codes) -> Iterator[npt.NDArray[np.bool_]]:
    """Which rows stay without each group, or each part of many groups; nothing of few groups."""
    count = int(codes.max(initial=-1)) + 1
    if count < MIN_GROUPS:
        return
    if count > _PARTS:
        codes = np.random.default_rng(0).permutation(count)[codes] % _PARTS
    for part in range(min(count, _PARTS)):
        yield codes != part


def _jackknife(value: float, without: Floats, *, fisher: bool) -> Interval:
    """Interval of a number from those that it is without each part of the rows."""
    if not len(without):
        return NONE
    if fisher:
        bound = 1 - 1e-9
        value = math.atanh(max(-bound, min(bound, value)))
        without = np.arctanh(np.clip(without, -bound, bound))
    count = len(without)
    spread = float(((without - without.mean()) ** 2).sum())
    if not spread > 0:  # also where it is undefined without some part
        return NONE
    half = t_quantile(count - 1) * math.sqrt((count - 1) / count * spread)
    if fisher:
        return math.tanh(value - half), math.tanh(value + half)
    return value - half, value + half
