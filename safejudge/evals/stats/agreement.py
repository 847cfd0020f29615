"""How far two sides agree: correlations, accuracy, rankings, repeats, score probabilities. Pure.

Takes two columns side by side, one row an item; gives one number, or an `Estimate`. What is
undefined (a constant column, no rows) is NaN, never 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from safejudge.evals.stats.intervals import NAN, Estimate, H, ratio, share_of

if TYPE_CHECKING:
    from safejudge.evals.stats.intervals import Codes, Floats

    Column = Sequence[float] | Floats

Mark = Literal["right", "wrong", "tie", "unread"]
"""What came of one choice; a tie is the judge's, where people had none."""

# --- correlation --------------------------------------------------------------------------------


def pearson(left: Column, right: Column) -> float:
    """Linear correlation, in [-1, 1]."""
    a, b = _sides(left, right)
    a, b = _centred(a), _centred(b)
    below = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / below)) if below > 0 else NAN


def spearman(left: Column, right: Column) -> float:
    """Correlation of ranks; equal values share the middle of theirs."""
    a, b = _sides(left, right)
    return NAN if np.isnan(a).any() or np.isnan(b).any() else pearson(ranks(a), ranks(b))


def kendall(left: Column, right: Column) -> float:
    """Tau-b: (concordant - discordant) / sqrt(pairs untied left x pairs untied right)."""
    a, b = _sides(left, right)
    if np.isnan(a).any() or np.isnan(b).any():
        return NAN
    x, y = _codes(a), _codes(b)
    discordant = _inversions(y[np.lexsort((y, x))])
    pairs = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = _tied(x), _tied(y)
    tied_both = _tied(x * (int(y.max(initial=0)) + 1) + y)
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    return ratio(concordant - discordant, math.sqrt((pairs - tied_x) * (pairs - tied_y)))


def ranks(values: Column) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, code, counts = np.unique(
        np.asarray(values, dtype=float), return_inverse=True, return_counts=True
    )
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[code], dtype=float)


def _sides(left: Column, right: Column) -> tuple[Floats, Floats]:
    a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"{len(a)} values and {len(b)}; give one of each a row")
    return a, b


def _centred(values: Floats) -> Floats:
    """Deviations from the mean, the largest 1; zeros for what has no spread or is no number."""
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    # A constant would be divided by 0; a NaN anywhere is in both bounds.
    if not math.isfinite(low) or not math.isfinite(high) or low == high:
        return np.zeros(len(values))
    values = values / max(-low, high)
    values = values - values.sum() / len(values)
    return np.asarray(values / np.abs(values).max(), dtype=float)


def _codes(values: Floats) -> Codes:
    """Numbers from 0 in the order of the values."""
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.intp)


def _tied(codes: Codes) -> int:
    """Pairs of equal codes."""
    counts = np.unique(codes, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _inversions(codes: Codes) -> int:
    """Pairs of which the larger comes first.

    Such a pair differs first, from the highest bit, in one bit that the earlier has and the later
    has not. So per bit: among codes that are equal above it, count the set bits before each
    unset one.
    """
    inversions = 0
    for bit in range(int(codes.max(initial=0)).bit_length()):
        above = codes >> (bit + 1)
        order = np.argsort(above, kind="stable")
        above, bits = above[order], (codes[order] >> bit) & 1
        preceding = np.cumsum(bits) - bits
        first = np.searchsorted(above, above, side="left")
        inversions += int((preceding - preceding[first])[bits == 0].sum())
    return inversions


def footrule_consistency(left: Column, right: Column) -> float:
    """1 - (sum of differences of ranks) / floor(n^2 / 2), in [0, 1]; NaN for fewer than two rows.

    Spearman's footrule over its largest value, as ArtifactsBench (arXiv 2507.04952) reports it.
    """
    a, b = _sides(left, right)
    if len(a) < 2 or np.isnan(a).any() or np.isnan(b).any():
        return NAN
    return 1 - float(np.abs(ranks(a) - ranks(b)).sum()) / (len(a) ** 2 // 2)


# --- errors of scores ---------------------------------------------------------------------------


def signed_error(human: Column, judge: Column) -> float:
    """Mean of judge - human: above 0 for a judge that is kinder than people."""
    a, b = _sides(human, judge)
    return float((b - a).mean()) if len(a) else NAN


def absolute_error(human: Column, judge: Column) -> float:
    """Mean of |judge - human|."""
    a, b = _sides(human, judge)
    return float(np.abs(b - a).mean()) if len(a) else NAN


def within(human: Column, judge: Column, steps: float = 0) -> float:
    """Share of rows that lie no more than so many steps apart."""
    a, b = _sides(human, judge)
    return float((np.abs(b - a) <= steps).mean()) if len(a) else NAN


def mean(values: Column) -> float:
    """Mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else NAN


def terciles(lengths: Sequence[float]) -> list[Literal["short", "middle", "long"]]:
    """Which third each length is in; equal lengths are in the same one."""
    quantile = (ranks(lengths) - 0.5) / max(1, len(lengths))
    return ["short" if p < 1 / 3 else "long" if p > 2 / 3 else "middle" for p in quantile]


# --- choices ------------------------------------------------------------------------------------


def mark(human: H, answer: H | None, tie: H | None = None) -> Mark:
    """What came of one choice; with `tie`, a judge's tie against people's choice is one."""
    if answer is None:
        return "unread"
    if answer == human:
        return "right"
    return "tie" if tie is not None and answer == tie else "wrong"


def accuracy(
    marks: Sequence[Mark],
    open_as: float | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Estimate:
    """Share right. Ties and unread answers count as `open_as`, or are left out where it is None."""
    worth = {"right": 1.0, "wrong": 0.0}
    if open_as is not None:
        worth |= {"tie": open_as, "unread": open_as}
    rows = [row for row, mark in enumerate(marks) if mark in worth]
    values = [worth[marks[row]] for row in rows]
    return share_of(values, None if groups is None else [groups[row] for row in rows])


# --- rankings and repeats -----------------------------------------------------------------------


def edit_distance(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """Levenshtein: the fewest insertions, deletions and replacements between the two."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row = row, [i]
        for j, b in enumerate(right, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def ranking_distance(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Edit distance over the longer length, in [0, 1]; NaN for two empty rankings.

    A metric among rankings of one length; not across lengths, where the triangle can break.
    """
    return ratio(edit_distance(left, right), max(len(left), len(right)))


def majority(answers: Sequence[H | None]) -> H | None:
    """The answer that comes more than half of the time (more than three of six), if one does.

    None is an unread answer: it is asked but is no answer, so it can only prevent a majority.
    """
    counts = Counter(answer for answer in answers if answer is not None)
    best, times = counts.most_common(1)[0] if counts else (None, 0)
    return best if 2 * times > len(answers) else None


def consistency(
    repeats: Iterable[Sequence[Hashable | None]], groups: Iterable[Hashable] | None = None
) -> Estimate:
    """Majority consistency: share of items, asked at least twice, with a majority answer."""
    items = list(repeats)
    repeated = [len(answers) > 1 for answers in items]
    return share_of([majority(answers) is not None for answers in items], groups, repeated)


# --- a score from the probabilities of its tokens -----------------------------------------------

LEVELS = (1, 2, 3, 4, 5)
"""The scores of these benchmarks."""
FLOOR = math.log(1e-5)
"""Where a token stands that was not among those returned: a bound, and marked as one."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """What the five tokens say together."""

    score: float
    """Mean of the levels by probability; NaN where no token was returned at all."""
    probabilities: tuple[float, ...]
    """Of the levels, adding up to 1; even where no token was returned."""
    missing: int
    """Tokens that stand at the floor."""


def weighted_score(logprobs: Sequence[float | None], floor: float = FLOOR) -> Weighted:
    """Score from the log-probabilities of "1" to "5"; a missing one stands at the floor, never 0.

    Missing is None, NaN or minus infinity, and the floor itself: files write it in its place.
    Raises `ValueError` for what can be no log-probability.
    """
    if len(logprobs) != len(LEVELS):
        raise ValueError(f"{len(logprobs)} log-probabilities for {len(LEVELS)} levels")
    if any(lp is not None and lp > 1e-3 for lp in logprobs):
        raise ValueError(f"a log-probability above 0 in {list(logprobs)}")
    returned = [lp if lp is not None and lp > -math.inf and abs(lp - floor) > 1e-5 else None
            for lp in logprobs]  # fmt: skip
    heights = [floor if lp is None else lp for lp in returned]
    parts = [math.exp(height - max(heights)) for height in heights]
    probabilities = tuple(part / sum(parts) for part in parts)
    missing = returned.count(None)
    score = sum(level * p for level, p in zip(LEVELS, probabilities, strict=True))
    return Weighted(NAN if missing == len(LEVELS) else score, probabilities, missing)
