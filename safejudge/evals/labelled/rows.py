"""Labels beside records -> rows: questions with a known answer, and what was said to each.

Two answers stand in a row: the one that the policy leads to, which is what `safejudge judge` says,
and the one without the relevance filter, which is known because a run asks every rule.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.evals.stats.rates import CALLED
from safejudge.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safejudge.evals.labelled.labels import Label
    from safejudge.types import JSON, Constitution

    Judged = Sequence[tuple[Label, JSON]]
    """Labels with the records of their images, of those that were judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question with a known answer: is this image unsafe, does it violate this rule."""

    group: str
    """Rows of one group are resampled together."""
    target: bool
    """What is true."""
    called: Outcome
    """What was said."""
    score: float | None
    """How strongly, in [0, 1], relevant or not; None where there is no number."""
    exact: bool
    """False where the score is a bound."""
    skipped: bool = False
    """Whether the relevance filter skips the rule; never of a whole image."""
    unfiltered: Outcome | None = None
    """What would have been said without the filter; None where no filter ran."""


def lines_of(constitution: Constitution, judged: Judged) -> dict[str, list[Row]]:
    """The rows of each line of the tables: images, all rules, and every rule; empty ones too."""
    images = [image_row(label, record) for label, record in judged if label.unsafe is not None]
    rules = {
        rule.id: [
            rule_row(label, record, rule.id)
            for label, record in judged
            if knows(label, record, rule.id)
        ]
        for rule in constitution.rules
    }
    return {"images": images, "all rules": [*itertools.chain(*rules.values())], **rules}


def image_row(label: Label, record: JSON) -> Row:
    """Is this image unsafe: its score is over every rule that was asked."""
    rules = record["rules"].values()
    scores = [rule["score"] for rule in rules if rule["score"] is not None]
    return Row(
        label.group or label.image,
        bool(label.unsafe),
        CALLED[record["label"]],
        max(scores, default=None),
        all(rule["bound"] == "exact" for rule in rules),
        unfiltered=_worst(map(without_filter, rules)) if _filtered(rules) else None,
    )


def knows(label: Label, record: JSON, rule: str) -> bool:
    """Whether it is known if an image violates a rule that was judged."""
    return label.violates(rule) is not None and rule in record["rules"]


def rule_row(label: Label, record: JSON, rule: str) -> Row:
    """Does this image violate this rule."""
    verdict = record["rules"][rule]
    return Row(
        label.group or label.image,
        bool(label.violates(rule)),
        CALLED[verdict["outcome"]],
        verdict["score"],
        verdict["bound"] == "exact",
        skipped=verdict["outcome"] == "not_relevant",
        unfiltered=without_filter(verdict) if _filtered([verdict]) else None,
    )


def without_filter(verdict: JSON) -> Outcome:
    """What a rule comes to without the relevance filter, as far as it was asked."""
    return CALLED[verdict.get("unfiltered") or verdict["outcome"]]


def _filtered(verdicts: Iterable[JSON]) -> bool:
    return any(verdict.get("unfiltered") is not None for verdict in verdicts)


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    found = set(outcomes)
    order = (Outcome.YES, Outcome.UNDECIDED, Outcome.NO)
    return next((outcome for outcome in order if outcome in found), Outcome.NO)
