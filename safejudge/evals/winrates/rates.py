"""Votes -> wins, ties and losses, how far raters agree, and whether the side decides. Pure.

A rater who saw a pair in both orders and liked the same picture twice likes it; else the pair is a
tie of theirs. Over all raters the majority decides, and no majority is a tie. An unread answer is
no tie: it is counted, and enters no rate.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from safejudge.evals.stats import order_bias
from safejudge.evals.stats.intervals import Estimate, share_of
from safejudge.evals.stats.raters import cohen_kappa, krippendorff_alpha

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from safejudge.evals.stats.order_bias import Choice
    from safejudge.evals.winrates.study import Pair, Study, Vote

Outcome: TypeAlias = Literal["win", "tie", "loss"]
"""Of the first generator."""
ALL = "all, by majority"
_SLOTS: dict[str, Choice] = {"left": "A", "right": "B", "tie": "C", "unread": None}


@dataclass(frozen=True, slots=True)
class Rates:
    """What the first generator comes to against the second."""

    wins: Estimate
    ties: Estimate
    losses: Estimate
    rate: Estimate
    """Wins, and half of the ties."""
    unread: int
    """Pairs of which an answer was none."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whether the place of a picture decides."""

    chosen_left: Estimate
    """The first picture as shown, among all choices of one."""
    both: Mapping[str, Estimate] | None
    """Of pairs that were shown in both orders (`order_bias`); None where there are none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the votes of a study say."""

    rates: Mapping[str, Rates]
    """By rater; where there are several, `ALL` at last."""
    kappas: Mapping[tuple[str, str], Estimate]
    """Cohen's, of each two raters."""
    alpha: Estimate
    """Krippendorff's, of all."""
    orders: Mapping[str, Order]
    """By rater."""
    unknown: int
    """Votes on pairs that the study does not have."""
    repeated: int
    """Votes that a rater gave twice; the first counts."""


def compare(study: Study, votes: Sequence[Vote]) -> Comparison:
    """Compare the two generators of a study by votes."""
    pairs = {pair.id: pair for pair in study.pairs}
    kept: dict[str, dict[str, dict[bool, Vote]]] = defaultdict(lambda: defaultdict(dict))
    unknown = repeated = 0
    for vote in votes:
        if vote.pair not in pairs:
            unknown += 1
        elif vote.turned in kept[vote.rater][vote.pair]:
            repeated += 1
        else:
            kept[vote.rater][vote.pair][vote.turned] = vote
    raters = sorted(rater for rater, given in kept.items() if given)
    outcomes = {
        rater: {key: _outcome(pairs[key], shown) for key, shown in kept[rater].items()}
        for rater in raters
    }
    rates = {rater: _rates(list(of_pairs.values())) for rater, of_pairs in outcomes.items()}
    if len(raters) > 1:
        rates[ALL] = _rates(_majorities([of.get(key) for of in outcomes.values()] for key in pairs))
    return Comparison(
        rates=rates,
        kappas={
            (one, two): cohen_kappa(_answered(outcomes[one], outcomes[two]))
            for one, two in itertools.combinations(raters, 2)
        },
        alpha=krippendorff_alpha([of.get(key) for of in outcomes.values()] for key in pairs),
        orders={rater: _order(kept[rater]) for rater in raters},
        unknown=unknown,
        repeated=repeated,
    )


def _outcome(pair: Pair, shown: Mapping[bool, Vote]) -> Outcome | None:
    """What a rater says of a pair; None: an answer was none."""
    choices = {vote.choice for vote in shown.values()}
    if "unread" in choices:
        return None
    if choices in ({"left"}, {"right"}):
        chosen = pair.left if "left" in choices else 1 - pair.left
        return "win" if chosen == 0 else "loss"
    return "tie"


def _majorities(pairs: Iterable[Sequence[Outcome | None]]) -> list[Outcome | None]:
    """What most raters say of each pair that somebody judged."""
    found: list[Outcome | None] = []
    for said in pairs:
        counts = Counter(outcome for outcome in said if outcome is not None)
        if not counts:
            continue
        (best, most), *others = counts.most_common()
        alone = not others or others[0][1] < most
        found.append(best if alone else "tie")
    return found


def _rates(outcomes: Sequence[Outcome | None]) -> Rates:
    read = [outcome for outcome in outcomes if outcome is not None]
    wins, ties, losses = (
        share_of([outcome == name for outcome in read]) for name in ("win", "tie", "loss")
    )
    worth = {"win": 1.0, "tie": 0.5, "loss": 0.0}
    rate = share_of([worth[outcome] for outcome in read])
    return Rates(wins, ties, losses, rate, len(outcomes) - len(read))


def _answered(
    one: Mapping[str, Outcome | None], two: Mapping[str, Outcome | None]
) -> list[tuple[Outcome, Outcome]]:
    both = ((one[key], two[key]) for key in one if key in two)
    return [(a, b) for a, b in both if a is not None and b is not None]


def _order(votes: Mapping[str, Mapping[bool, Vote]]) -> Order:
    slots = [_slot(vote) for shown in votes.values() for vote in shown.values()]
    pairs = [key for key, shown in votes.items() for _ in shown]
    chose = [slot in {"A", "B"} for slot in slots]
    left = share_of([slot == "A" for slot in slots], pairs, chose)
    twice = {key: (_slot(shown[False]), _slot(shown[True]))
             for key, shown in votes.items() if len(shown) == 2}  # fmt: skip
    if not twice:
        return Order(left, None)
    marks = [("tie", "tie")] * len(twice)  # nobody knows which picture is the better one
    both = order_bias.estimates(list(twice.values()), marks, {"C", None}, list(twice))  # type: ignore[arg-type]
    del both["right_in_both"]
    return Order(left, both)


def _slot(vote: Vote) -> Choice:
    """Which picture was chosen, as shown: A the first."""
    slot = _SLOTS[vote.choice]
    return order_bias.TURNED[slot] if vote.turned else slot
