"""Hard negatives by a judge's soft scores (UniME-V2, arXiv 2510.13515, sec. 3.2). Pure.

Takes how near each candidate is and how well it meets the query; gives ten that are near and yet
do not meet it. A candidate that scores about as high as the positive is no negative, and is left
out. Where none stays, the published code takes ten at random and calls them matches (score 1.0):
that teaches that strangers match, so here there are none, unless a source of chance is handed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from safejudge.matching.soft_labels import Score

MARGIN = 0.01
"""A negative scores at least so much below the positive."""
NEAREST = 50
"""So many of the nearest candidates are looked at."""
WANTED = 10
"""Negatives of a query."""
STRIDE = 5
"""Every so manieth of what stays is taken, wrapping round, so that not all are of the nearest."""
TOLERANCE = 1e-12
"""The positive less the margin is a float: 0.0187 may stand as 0.018699999999999998."""
STRANGER = 1.0
"""What the published code says of a negative that it took at random."""


@dataclass(frozen=True, slots=True)
class Mined:
    """The negatives of one query."""

    picked: tuple[int, ...] = ()
    """Places of the candidates, `WANTED` of them or none; some repeat where too few stay."""
    scores: tuple[float, ...] = ()
    """What each scores; `STRANGER` for all where they were taken at random."""
    near: int = 0
    """Candidates that were near enough to be looked at."""
    kept: int = 0
    """Of them, those that may be negatives."""
    padded: int = 0
    """How many of those picked are repeats."""
    unread: int = 0
    """Near candidates without a score, and candidates that nobody knows the distance of."""
    problem: str = ""
    """Why there are none; empty where there are."""


def nearest(similarities: Sequence[Score], delta: float, most: int = NEAREST) -> list[int]:
    """Places of the candidates whose similarity is below delta, the nearest first.

    At `delta` and above lie duplicates of the positive. Equal ones stay in their order; one without
    a similarity (None or NaN) is nowhere.
    """
    known = [(place, s) for place, s in enumerate(similarities) if s is not None and s < delta]
    return [place for place, _ in sorted(known, key=lambda pair: -pair[1])[:most]]


def kept(near: Sequence[int], scores: Sequence[Score], positive: float) -> list[int]:
    """Those of the near places that score below the positive, by the margin at least."""
    limit = positive - MARGIN + TOLERANCE
    return [p for p in near if (score := scores[p]) is not None and score <= limit]


def spread(places: Sequence[int], wanted: int = WANTED, stride: int = STRIDE) -> list[int]:
    """Every fifth place, then every fifth from the second on, and so on; repeated until enough."""
    order = [place for start in range(stride) for place in places[start::stride]]
    return [order[turn % len(order)] for turn in range(wanted)] if order else []


def mine(
    similarities: Sequence[Score],
    scores: Sequence[Score],
    positive: Score,
    delta: float = 1.0,
    *,
    strangers: Random | None = None,
) -> Mined:
    """Mine the negatives of one query, of all its candidates but the positive.

    `similarities` and `scores` go by candidate; only those of `nearest` need a score. `strangers`
    draws as the published code does where none stays; None (ours): then there are none.
    """
    near = nearest(similarities, delta)
    lost = sum(s is None or math.isnan(s) for s in similarities)
    lost += sum(not _is_read(scores[place]) for place in near)
    if positive is None or math.isnan(positive):
        return Mined(near=len(near), unread=lost, problem="the positive has no score")
    places = kept(near, scores, positive)
    if not places and strangers is not None and near:
        drawn = strangers.sample(near, min(WANTED, len(near)))
        picked = [drawn[turn % len(drawn)] for turn in range(WANTED)]
        return Mined((*picked,), (STRANGER,) * WANTED, len(near), 0, WANTED - len(drawn), lost)
    if not places:
        return Mined(near=len(near), unread=lost, problem=_why(similarities, near, positive))
    picked = spread(places)
    values = tuple(value for place in picked if (value := scores[place]) is not None)
    repeats = WANTED - len(set(picked))
    return Mined((*picked,), values, len(near), len(places), repeats, lost)


def _is_read(score: Score) -> bool:
    return score is not None and not math.isnan(score)


def _why(similarities: Sequence[Score], near: Sequence[int], positive: float) -> str:
    if not similarities:
        return "there is no candidate"
    if not near:
        return "no candidate is below delta"
    if positive < MARGIN:
        return f"the positive scores below {MARGIN:g}, so nothing can score less"
    return "no candidate near it scores below the positive"
