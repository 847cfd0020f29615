"""Ranks of right candidates, recall among the first k, and pairs of a right and a wrong one. Pure.

Takes scores, of which a higher one is better; gives shares of all queries. Where a right and a
wrong candidate score the same, nobody knows which stands first: recall is given with all ties
against the right one, with all for it, and by the order of the file, which is what most scripts
print. A query with a score that was not read has no rank; it counts as not found, and is told.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.evals.stats.intervals import Estimate, share_of

if TYPE_CHECKING:
    from safejudge.matching.soft_labels import Score


Ties = Literal["ties_against", "ties_for", "by_file_order"]
TIES: tuple[Ties, ...] = ("ties_against", "ties_for", "by_file_order")
CUTS = (1, 5, 10)
"""Among so many of the first."""
Outcome = Literal["right", "tie", "wrong", "unread"]

NO_CANDIDATE = "no candidate"
NO_RIGHT = "no right candidate"
UNREAD = "a score that was not read"


@dataclass(frozen=True, slots=True)
class Rank:
    """At which place the first right candidate of a query stands, from 1; None without a rank."""

    ties_against: int | None = None
    ties_for: int | None = None
    by_file_order: int | None = None
    problem: str = ""
    """Why there is none."""

    def within(self, k: int, ties: Ties) -> bool:
        """Whether a right one is among the first k."""
        place: int | None = getattr(self, ties)
        return place is not None and place <= k


def rank_of(scores: Sequence[Score], right: Sequence[bool]) -> Rank:
    """Rank the best right candidate of one query among all that are wrong."""
    if not len(scores):
        return Rank(problem=NO_CANDIDATE)
    if not any(right):
        return Rank(problem=NO_RIGHT)
    read = [score for score in scores if score is not None and math.isfinite(score)]
    if len(read) < len(scores):
        return Rank(problem=UNREAD)
    best = max(score for score, is_right in zip(read, right, strict=True) if is_right)
    rows = [*zip(read, right, strict=True)]
    above = sum(score > best and not is_right for score, is_right in rows)
    equal = [is_right for score, is_right in rows if score == best]
    before = equal.index(True)
    return Rank(1 + above + equal.count(False), 1 + above, 1 + above + before)


def recall_at(
    ranks: Sequence[Rank], k: int, groups: Sequence[Hashable] | None = None
) -> dict[Ties, Estimate]:
    """Share of all queries with a right candidate among the first k, by what ties count.

    `groups` says which queries are about one thing, such as captions of one picture.
    """
    return {ties: share_of([rank.within(k, ties) for rank in ranks], groups) for ties in TIES}


# --- pairs ----------------------------------------------------------------------------------------


def outcome(right: Score, wrong: Score) -> Outcome:
    """Say which of a pair scores higher; equal scores are a tie, and no win."""
    if right is None or wrong is None or not (math.isfinite(right) and math.isfinite(wrong)):
        return "unread"
    return "right" if right > wrong else "tie" if right == wrong else "wrong"


def pair_shares(
    outcomes: Sequence[Outcome], groups: Sequence[Hashable] | None = None
) -> dict[str, Estimate]:
    """Shares of all pairs: `strict` (a tie is wrong), `ties_half`, `ties` and `unread`."""
    worth = {"strict": {"right": 1.0}, "ties_half": {"right": 1.0, "tie": 0.5},
             "ties": {"tie": 1.0}, "unread": {"unread": 1.0}}  # fmt: skip
    return {
        name: share_of([values.get(said, 0.0) for said in outcomes], groups)
        for name, values in worth.items()
    }
