"""Numbers of pairs of picture and rule -> below which number a rule may be skipped. Pure.

The threshold keeps a share of the pairs that the judge finds violated. How sure that share is
hangs on how many such pairs there were, so every share goes with its interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from safejudge.errors import InputError
from safejudge.evals.stats.intervals import share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.evals.stats.intervals import Estimate

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold keeps and drops."""

    threshold: float
    violated: Estimate
    """Share of the violated pairs above it; `n` is how many there are."""
    dropped: float
    """Share of all pairs that are not above it."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of picture and rule of held-out images, in one order."""

    rules: Sequence[str]
    images: Sequence[str]
    """Pairs of one image are no independent evidence."""
    violated: Flags
    """Whether the judge finds the rule violated."""
    numbers: Floats
    """Of a filter: NaN where it has none, so that the rule is asked."""

    def kept_above(self, threshold: float, rule: str | None = None) -> Kept:
        """Say what a threshold keeps; of one rule, or of all."""
        chosen = np.array([rule in (None, name) for name in self.rules], dtype=bool)
        above = ~(self.numbers <= threshold)
        hits = (above & chosen)[self.violated & chosen]
        pairs = zip(self.images, self.violated & chosen, strict=True)
        images = [image for image, counts in pairs if counts]
        dropped = float((~above[chosen]).mean()) if chosen.any() else math.nan
        return Kept(threshold, share_of(hits, images), dropped)

    def threshold(self, keep: float) -> float:
        """Return the highest number above which the share `keep` of the violated pairs lies.

        Raises `InputError` where no pair is violated.
        """
        numbers = np.sort(self.numbers[self.violated & ~np.isnan(self.numbers)])
        if not len(numbers):
            raise InputError("no held-out image violates a rule, so no threshold can be found")
        lost = math.floor((1 - keep) * int(self.violated.sum()) + 1e-9)
        if lost >= len(numbers):
            return float(numbers[-1])
        return _just_below(float(numbers[lost]), self.numbers)

    def dropping(self, share: float) -> float:
        """Return the threshold that drops this share of all pairs, or a little less."""
        numbers = np.sort(np.where(np.isnan(self.numbers), np.inf, self.numbers))
        return float(numbers[max(0, math.floor(share * len(numbers)) - 1)])


def _just_below(number: float, numbers: Floats) -> float:
    """The middle between a number and the next smaller one: rounding must not lose the pair."""
    smaller = numbers[numbers < number]
    return (number + float(smaller.max())) / 2 if len(smaller) else math.nextafter(number, -1.0)


def enough(keep: float) -> int:
    """How many violated pairs tell a share `keep` from a worse one, if none of them is lost.

    By the rule of three: 3 / n is the upper bound (95 %) of what was not seen in n rows.
    """
    return math.ceil(3 / (1 - keep) - 1e-9)  # 1 - 0.9 is a little less than a tenth
