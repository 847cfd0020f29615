r"""Where to cut scores so that a promise about errors holds: the fixed-sequence test. Pure.

Takes scores of independent labelled rows, and which of them are errors if they are acted on; gives
the loosest cut for which "at most a share `alpha` of what lies above is an error" can be promised,
with the chance `delta` that the promise is broken. Blocking acts on high scores, and errs where no
rule is violated; passing acts on low ones (turned round), and errs where one is.

**Test.** Cut at a score v of the sample: n rows lie strictly above, k of them are errors. The cut
is promised where the upper bound of Clopper and Pearson, B^-1(1 - delta; k + 1, n - k), is at most
alpha; that is where k or fewer errors among n have a chance of delta or less if the share is alpha.
Cuts are tried from the highest score down, and the first that fails ends it; so no correction for
many tests is paid (fixed-sequence testing: Maurer, Hothorn and Lehmacher 1995; for the risk of a
model by Angelopoulos et al., "Learn then Test", 2021; selective risk: Geifman and El-Yaniv 2017).

**Why it holds, though the cuts are scores of the sample.** Let r(t) be the share of errors among
all images with a score above t. Assume that a higher score never makes an error likelier, so r(t)
only grows as t falls. Let T be the region of high scores at whose lower end r first reaches alpha
(with equal scores: the smallest region with r >= alpha; it may end with a score that many share).
T hangs on no sample. The first bad cut that the sequence can meet is the highest score of the
sample below T: what lies strictly above it is exactly the sample in T. Its rows are independent,
and each is an error with a chance of at least alpha, so k is at least binomial(n, alpha), for every
n; the chance that it is accepted is at most delta. A bad cut further down is reached only through
it. That is why rows at the cut itself do not count, neither here nor when the cut is used: equal
scores stand on one side of it, and the row whose score is the cut is no part of the test.

**Where it begins.** Cuts with too few rows above can only fail, so the sequence begins at the first
with at least `start` rows, which is a number fixed before any label is seen. If T holds fewer, the
first cut is itself bad; above it lie the sample of T and rows below T, each of them an error with a
chance of at least alpha whatever lies above, so the same bound holds. Together: at most delta.

Without the assumption (errors that grow likelier again at the highest scores) the bound is no
theorem; `tests/test_promises.py` and `benchmarks/promises.py` simulate such cases too. The promise
is about each cut by itself, and about images like those labelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safejudge.evals.stats import binomial

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised: at most this share of errors, but for this chance."""

    share: float
    """Alpha: the largest share of errors among what is acted on; in (0, 1)."""
    delta: float
    """The chance that a calibration breaks it; in (0, 1)."""

    @property
    def fewest(self) -> int:
        """How many rows, all without an error, the promise takes."""
        return binomial.needed(self.share, self.delta)


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut that is promised, and the sample that speaks for it."""

    at: float
    """Scores strictly beyond it are acted on."""
    n: int
    """Rows beyond it."""
    errors: int
    """How many of them are errors."""

    def bound(self, delta: float) -> float:
        """Return the upper bound of their share, at most what was promised."""
        return binomial.upper(self.errors, self.n, 1 - delta)


@dataclass(frozen=True, slots=True)
class NoCut:
    """Why nothing can be promised."""

    n: int
    """Rows beyond the first cut that was tried; 0 where there were too few for any."""
    errors: int
    """How many of them are errors."""
    missing: int
    """So many further rows are needed at least: without an error, and beyond every other."""


PASSING = 0.25
"""Share of all rows below the first cut for passing, where that is more than the fewest."""


def start(n: int, promise: Promise, room: float = 0.0) -> int:
    """Return how many rows have to lie beyond the first cut that is tried, of `n` in all.

    With the fewest, a single error among the outermost scores ends the sequence. Where rows abound,
    as those do that violate nothing, a share `room` of all is given to allow for some. It hangs on
    no score and no label.
    """
    errors = int(
        binomial.allowed(max(promise.fewest, int(n * room)), promise.share, promise.delta)[-1]
    )
    return binomial.needed(promise.share, promise.delta, errors)


def above(
    scores: Sequence[float] | Floats,
    errors: Sequence[bool] | Booleans,
    promise: Promise,
    room: float = 0.0,
) -> Cut | NoCut:
    """Find the lowest cut whose promise holds for scores above it; `room` as in `start`.

    Raises `ValueError` for scores that are not finite, and lists of different length.
    """
    values, wrong = np.asarray(scores, dtype=float), np.asarray(errors, dtype=bool)
    if values.shape != wrong.shape or not np.isfinite(values).all():
        raise ValueError("give a finite score and a truth for every row")
    order = np.argsort(-values, kind="stable")
    values, wrong = values[order], wrong[order]
    ends = np.flatnonzero(np.diff(values)) + 1  # rows strictly above each score of the sample
    found = np.concatenate(([0], np.cumsum(wrong)))
    ends = ends[ends >= start(len(values), promise, room)]
    right = len(values) - int(wrong.sum())
    if not len(ends) or right < promise.fewest:
        return NoCut(0, 0, max(1, promise.fewest + 1 - right))
    kept = found[ends] <= binomial.allowed(len(values), promise.share, promise.delta)[ends]
    if not kept[0]:
        n, k = int(ends[0]), int(found[ends[0]])
        return NoCut(n, k, max(1, binomial.needed(promise.share, promise.delta, k) - n))
    last = int(np.argmin(kept)) - 1 if not kept.all() else len(kept) - 1
    n = int(ends[last])
    return Cut(float(values[n]), n, int(found[n]))


def below(
    scores: Sequence[float] | Floats, errors: Sequence[bool] | Booleans, promise: Promise
) -> Cut | NoCut:
    """Find the highest cut whose promise holds for scores below it; raises as `above` does."""
    found = above(-np.asarray(scores, dtype=float), errors, promise, PASSING)
    return Cut(-found.at, found.n, found.errors) if isinstance(found, Cut) else found


def met(block: float, passed: float) -> float:
    """Return one cut for both sides, where they overlap (`block` below `passed`).

    What is violated and what is not lie so far apart that every cut between the two keeps both
    promises: acting on less, from the far end on, makes no error likelier. The nearest to 1/2 is
    taken, where the judge itself turns.
    """
    return min(max(block, 0.5), passed)


def labels_for(n: int, errors: int, of: int, promise: Promise) -> int | None:
    """Estimate how many labels would promise a cut with this share of errors among this share.

    `n` of `of` labelled rows lie beyond it, with `errors` among them. None where that share of
    errors is no smaller than what is promised: no number of labels would do.
    """
    if n <= 0 or errors >= promise.share * n:
        return None
    rows = promise.fewest
    while True:
        expected = math.ceil(errors / n * rows)
        needed = binomial.needed(promise.share, promise.delta, expected)
        if needed <= rows:
            return math.ceil(rows * of / n)
        rows = max(needed, rows + rows // 50 + 1)
