"""Labelled records -> thresholds and probabilities of every rule, and what they were found with.

Takes a sample and what is to be promised; gives `Thresholds`, to be written and shown. Nothing here
is drawn by lot: the same records and labels give the same file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safejudge.decide import probability, promises, reasoning
from safejudge.decide.probability import Line, Rows
from safejudge.decide.promises import Cut, NoCut, Promise
from safejudge.decide.thresholds import (
    Absent,
    MadeBy,
    Reasoning,
    RuleThresholds,
    Slope,
    Threshold,
    Thresholds,
    short,
)
from safejudge.errors import InputError
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.decide.probability import Fitted, NoLine
    from safejudge.decide.sample import RuleSample, Sample
    from safejudge.policy import Policy
    from safejudge.show.page.judged import About
    from safejudge.types import Constitution


HAIR = 1e-4
"""Log-odds between a cut and the score of the image that it was found at."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be promised."""

    block: Promise
    """Of what is blocked, the share that is innocent."""
    pass_: Promise
    """Of what is passed, the share that violates."""


def calibrate(sample: Sample, about: About, wanted: Wanted, labels: str, date: str) -> Thresholds:
    """Find thresholds of every rule; `labels` is the digest of their file.

    Raises `InputError` where the policy of the records is not known, and where every score is a
    bound.
    """
    policy = known_policy(about)
    refuse_bounds(sample)
    lines = fitted(sample).lines
    rules = {rule.id: rule for rule in about.constitution.rules}
    return Thresholds(
        date=date,
        made_by=MadeBy.of(about.provenance, policy, labels),
        images=tuple(sorted(map(short, sample.images))),
        reasoning=_reasoning(sample, about.constitution, policy),
        rules={
            rule: _rule(kept, rules[rule].digest(), wanted, lines[rule])
            for rule, kept in sample.rules.items()
        },
    )


def _reasoning(sample: Sample, rules: Constitution, policy: Policy) -> Reasoning:
    """Say whether reasoning pays, where the records say what was reasoned about."""
    rows = {rule: kept.rows for rule, kept in sample.rules.items()}
    if sample.short:
        return Reasoning(verdict="not recorded", n=sum(map(len, rows.values())), reasoned=0)
    return reasoning.measure(rows, rules, policy)


def known_policy(about: About) -> Policy:
    """Return the policy of records. Raises `InputError` where nobody knows it."""
    if about.policy is None:
        raise InputError(
            "the policy that made these records is not known, so no scores can be held against "
            "others; name it with --policy, or judge again"
        )
    return about.policy


def refuse_bounds(sample: Sample) -> None:
    """Raise `InputError` where nothing but bounds is there."""
    kept = sample.rules.values()
    bounded = sum(rule.bounded for rule in kept)
    if bounded and all(rule.bounded or not rule.rows for rule in kept):
        total = bounded + sum(len(rule.rows) for rule in kept)
        raise InputError(
            f"{bounded} of {total} scores are bounds, because a rule that is settled is asked no "
            "further, and no rule has exact ones only: judge these images again with --exhaustive"
        )


def fitted(sample: Sample) -> Fitted:
    """Fit the probabilities of all rules."""
    return probability.fit({rule: rows_of(kept) for rule, kept in sample.rules.items()})


def rows_of(sample: RuleSample) -> Rows:
    """The rows of a rule as lines are fitted to; none where some scores are bounds."""
    rows = [] if sample.bounded else sample.rows
    return Rows.of(
        [row.margin for row in rows], [row.violated for row in rows], [row.image for row in rows]
    )


def _rule(sample: RuleSample, digest: str, wanted: Wanted, line: Line | NoLine) -> RuleThresholds:
    block, passed = cuts(sample, wanted)
    left_out = {name: count for name, count in sample.left_out.items() if count}
    left_out |= {
        name: count
        for name, count in {
            "not relevant": sample.skipped,
            "not relevant, though violated": sample.skipped_violated,
        }.items()
        if count
    }
    return RuleThresholds.model_validate(
        {
            "digest": digest,
            "labels": len(sample.rows),
            "violations": sample.violated,
            "block": block,
            "pass": passed,
            "probability": _probability(sample, line),
            "left_out": left_out,
        }
    )


def cuts(sample: RuleSample, wanted: Wanted) -> tuple[Threshold | Absent, Threshold | Absent]:
    """Find both thresholds of a rule, or why they are not there."""
    if sample.bounded:
        total = sample.bounded + len(sample.rows)
        absent = Absent(why=f"{sample.bounded} of {total} scores are bounds; judge --exhaustive")
        return absent, absent
    scores = [row.score for row in sample.rows]
    violated = [row.violated for row in sample.rows]
    innocent = [not row.violated for row in sample.rows]
    block = promises.above(scores, innocent, wanted.block)
    passed = promises.below(scores, violated, wanted.pass_)
    if isinstance(block, Cut) and isinstance(passed, Cut) and block.at < passed.at:
        middle = promises.met(block.at, passed.at)
        block, passed = replace(block, at=middle), replace(passed, at=middle)
    return (
        _threshold(block, wanted.block, "innocent", 1.0),
        _threshold(passed, wanted.pass_, "violating", -1.0),
    )


def _nudged(score: float, side: float) -> float:
    """Move a score a hair up or down, on the scale of log-odds.

    The cut is the score of a labelled image, which another batch reads with another last digit.
    Further out than that the promise holds as well.
    """
    if not 0 < score < 1:
        return score
    odds = math.log(score) - math.log1p(-score) + side * HAIR
    return 1 / (1 + math.exp(-odds))


def _threshold(found: Cut | NoCut, promise: Promise, error: str, side: float) -> Threshold | Absent:
    if isinstance(found, Cut):
        return Threshold(
            at=_nudged(found.at, side),
            promise=promise.share,
            delta=promise.delta,
            n=found.n,
            errors=found.errors,
            bound=found.bound(promise.delta),
        )
    if found.n == 0:
        other = "violating" if error == "innocent" else "innocent"
        return Absent(
            why=f"too few labels: a promise of {promise.share:.0%} takes {promise.fewest + 1} "
            f"{other} images with scores of their own",
            missing=found.missing,
        )
    return Absent(
        why=f"of the {found.n} outermost scores {found.errors} are {error}", missing=found.missing
    )


def _probability(sample: RuleSample, line: Line | NoLine) -> Slope | Absent:
    if isinstance(line, Line):
        return Slope(offset=line.offset, slope=line.slope, before=line.before, after=line.after)
    if sample.bounded:
        return Absent(why=f"not applied: {counted(sample.bounded, 'score')} of it are bounds")
    return Absent(why=f"not applied: {line.why}", missing=line.missing)
