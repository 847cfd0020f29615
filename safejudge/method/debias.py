"""Probabilities of several views -> yes / no / undecided, as CLUE does it. Pure.

Takes numbers read from the full view or a crop (`M`), from the question without any image (`p0`,
the language prior) and from the picture without the central object; gives an outcome, a score in
[0, 1] and a margin. Knows no model and no picture.

**Tests** (arXiv 2501.00192, sec. 3.4 and 3.6; r = 0.3, a = 0.8, b = 0.6 as published), in this
order:

    reject  if  M - p0 < -r * p0           that is  M < low,   low  = (1 - r) * p0
    accept  if  M - p0 >  a * (1 - p0)     that is  M > high,  high = p0 + a * (1 - p0)
    region  (accept)  if  M of the full view - M without the central object > b
    open    otherwise

Without a prior (`Policy.prior` off) p0 is 1/2 for every statement. So it is where a model that is
asked to compare a picture it does not have says neither yes nor no (label mass under
`Policy.minimum_label_mass`): the answer about the picture may be clear all the same.

**Score.** Two pictures of one statement share p0, but two statements do not: M = 0.5 may be a clear
yes for one and a clear no for another. The score is M measured against the statement's own bounds:
the line through (0, 0), (low, 1/4), (high, 3/4), (1, 1). So it grows with M, a reject scores at
most 1/4, an accept at least 3/4, and what is open lies between. The region test or reasoning then
moves an open score s to the side it found: 1/2 + s/2 for yes, s/2 for no, s for neither; what could
not be read at all counts as s = 1/2. So an outcome and its score never contradict each other.

**Margin.** logit(score). Near the ends it is the model's own log-odds, shifted: for M > high,

    1 - score = (1 - M) / (4 * (1 - high)),   so
    logit(score) = log(score / (1 - score)) ~ log(1 / (1 - M)) + log(4 * (1 - high))
                 ~ logit(M) + log(4 * (1 - a) * (1 - p0))

and for M < low likewise logit(M) - log(4 * (1 - r) * p0). It is clipped to +-20, because a score
of exactly 0 or 1 is a rounding of the model, not certainty, and JSON knows no infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from safejudge.types import Outcome, Read

if TYPE_CHECKING:
    from safejudge.policy import Policy

MARGIN_LIMIT = 20.0
"""Margins are clipped to this size."""

REJECTED = 0.25
"""What is rejected scores at most so much."""

DECIDED = math.log(3.0)
"""Margin of a score of 3/4: what the first two tests decide has at least so much, or so little."""

UNREAD_SCORE = 0.5
"""Score where nothing could be read."""

NO_PRIOR = 0.5
"""The prior of a statement where the policy asks for none, or the model gives none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the numbers say of one precondition."""

    outcome: Outcome
    """yes, no or undecided."""
    test: Literal["reject", "accept", "open", "label_mass", "unreadable"]
    """The test that decided, or why none did (`unreadable`: the caller had nothing to test)."""
    score: float
    """In [0, 1]; see the module."""
    note: str | None = None
    """Which read could not be used, and why."""


def decide(read: Read, prior: Read | None, policy: Policy) -> Decision:
    """Put what was seen (full view or crop) and the language prior to the first two tests.

    `prior` None means that the policy asks for none. A read of the picture that is missing or whose
    label mass is too low is no number: the outcome is then undecided. For a prior of too low label
    mass 1/2 is taken, and the note says so; one that is missing is never taken for a number.
    """
    m = _number(read, policy)
    spoken = prior is None or prior.label_mass >= policy.minimum_label_mass
    p0 = _number(prior, policy) if prior is not None and spoken else NO_PRIOR
    if m is None or p0 is None:
        bad = read if m is None or prior is None else prior
        return Decision(Outcome.UNDECIDED, "label_mass", UNREAD_SCORE, _low_mass(bad, policy))
    decision = weigh(m, p0, policy)
    if prior is None or spoken:
        return decision
    return replace(decision, note=f"{_low_mass(prior, policy)}; 1/2 stands for the prior")


def _low_mass(read: Read, policy: Policy) -> str:
    return (
        f"P(yes) + P(no) of the view {read.view} is {read.label_mass:.3g}, the policy asks for "
        f"{policy.minimum_label_mass:g}; the likeliest answer was {read.top!r}"
    )


def hangs_on_region(full: Read, removed: Read, policy: Policy) -> bool:
    """Whether the answer falls with the central object: the test that can only accept."""
    m, without = _number(full, policy), _number(removed, policy)
    return m is not None and without is not None and m - without > policy.region_margin


def _number(read: Read, policy: Policy) -> float | None:
    return None if read.label_mass < policy.minimum_label_mass else read.score


def weigh(m: float, p0: float, policy: Policy) -> Decision:
    """Decide by two numbers in [0, 1]: M of the full view and the prior p0."""
    low = (1.0 - policy.reject_factor) * p0
    high = p0 + policy.accept_factor * (1.0 - p0)
    score = _position(m, low, high)
    # The inequalities as printed decide; the score is held to their side of the bounds, where
    # rounding may differ in the last digit.
    if m - p0 < -policy.reject_factor * p0:
        return Decision(Outcome.NO, "reject", min(score, 0.25))
    if m - p0 > policy.accept_factor * (1.0 - p0):
        return Decision(Outcome.YES, "accept", max(score, 0.75))
    return Decision(Outcome.UNDECIDED, "open", min(max(score, 0.25), 0.75))


def _position(m: float, low: float, high: float) -> float:
    """Map m by the line through (0, 0), (low, 1/4), (high, 3/4), (1, 1); needs low <= high.

    Where two points share an m (p0 = 0 or 1, or factors of 0 or 1) the line jumps; no division
    by zero is reached, because m < low needs low > 0 and m > high needs high < 1.
    """
    if m < low:
        return 0.25 * (m / low)
    if m > high:
        return 0.75 + 0.25 * ((m - high) / (1.0 - high))
    if low == high:
        return 0.5
    return 0.25 + 0.5 * ((m - low) / (high - low))


def moved(score: float, outcome: Outcome) -> float:
    """Move the score of an open read (0.25 to 0.75) to the side that a later step found."""
    match outcome:
        case Outcome.YES:
            return 0.5 + score / 2.0
        case Outcome.NO:
            return score / 2.0
        case Outcome.UNDECIDED:
            return score


def score_of(margin: float) -> float:
    """Score in [0, 1] of these log-odds; `margin` the other way round."""
    return 1.0 / (1.0 + math.exp(-margin))


def certain(outcome: Outcome) -> float:
    """Return the score of what a program found: 1 for yes, 0 for no, 1/2 where it knows nothing."""
    return {Outcome.YES: 1.0, Outcome.NO: 0.0, Outcome.UNDECIDED: UNREAD_SCORE}[outcome]


def margin(score: float) -> float:
    """Log-odds of a score in [0, 1], clipped to +-20."""
    if score <= 0.0:
        return -MARGIN_LIMIT
    if score >= 1.0:
        return MARGIN_LIMIT
    odds = math.log(score) - math.log1p(-score)
    return max(-MARGIN_LIMIT, min(MARGIN_LIMIT, odds))
