"""Rates of yes and no. Pure.

Takes (target, called) pairs; a call is yes, no or undecided, and undecided is always on the wrong
side: a miss where the target is yes, a false alarm where it is no. How many were decided at all
stands beside, as coverage. An undefined rate is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from safejudge.evals.stats import intervals
from safejudge.evals.stats.intervals import Estimate, ratio, share_of
from safejudge.types import Outcome

Call = tuple[bool, Outcome]
"""What is true, and what was said."""

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
        positive = [called for target, called in calls if target]
        negative = [called for target, called in calls if not target]
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


def rates_of(calls: Sequence[Call], groups: Iterable[Hashable]) -> dict[str, Estimate]:
    """Precision, recall, F1 and FPR with their intervals, over calls in groups.

    F1 = 2 J / (1 + J), J the share of hits among all calls that are yes or should be: so F1 has the
    interval of a share, turned the same way.
    """
    groups = list(groups)
    target = np.array([target for target, _ in calls], dtype=bool)
    # Undecided is on the wrong side: a yes where the target is no.
    no = [called is Outcome.NO or (called is Outcome.UNDECIDED and t) for t, called in calls]
    called = ~np.array(no, dtype=bool)
    jaccard = share_of(target & called, groups, target | called)
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return {
        "precision": share_of(target & called, groups, called),
        "recall": share_of(target & called, groups, target),
        "F1": Estimate(value, int(target.sum() + called.sum()), low, high),
        "FPR": share_of(~target & called, groups, ~target),
    }


def share(hits: int, n: int) -> str:
    """A share with its 95 % interval and its count, for people."""
    return intervals.share(hits, n).text() if n else "no data"
