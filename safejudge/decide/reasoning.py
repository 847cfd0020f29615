"""Whether reasoning pays, by the labels of a run that reasoned: the same records with and without.

Takes labelled rows with their whole trace. A statement that was reasoned about was open before, and
its open score can be had back from the record (`debias.moved` is undone). So one run says what each
rule would come to without: an open statement as no, or by its score. Compared is how often the
verdict of a rule is right; one left undecided is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.decide.thresholds import Reasoning
from safejudge.evals.stats.intervals import gained
from safejudge.method import logic
from safejudge.method.rule import asked_condition
from safejudge.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safejudge.decide.sample import Row
    from safejudge.policy import Policy
    from safejudge.types import Condition, Constitution, PreconditionVerdict, RuleVerdict


def measure(rows: Mapping[str, Iterable[Row]], rules: Constitution, policy: Policy) -> Reasoning:
    """Compare every row's verdict with those that it would have had without reasoning."""
    conditions = {rule.id: asked_condition(rule, policy) for rule in rules.rules}
    images, reasoned, right = [], 0, []
    for rule, sample in rows.items():
        for row in sample:
            looks = _looks(row.verdict)
            said = row.verdict.unfiltered or row.verdict.outcome
            with_it = None if said == "undecided" else said == "violated"
            as_no = any(_as_no(conditions[rule], look) for look in looks)
            by_score = any(_by_score(conditions[rule], look) for look in looks)
            reasoned += any(leaf.reasoning is not None for look in looks for leaf in look)
            images.append(row.image)
            right.append([answer == row.violated for answer in (with_it, as_no, by_score)])
    if not reasoned:
        return Reasoning(verdict="not asked", n=len(right), reasoned=0)
    on, as_no_right, by_score_right = zip(*right, strict=True)
    gain = gained(as_no_right, on, images)
    other = gained(by_score_right, on, images)
    sides = gain.interval
    verdict = "cannot tell"
    if sides is not None:
        verdict = "pays" if sides[0] > 0 else "harms" if sides[1] < 0 else "cannot tell"
    return Reasoning.model_validate(
        {
            "verdict": verdict,
            "n": len(right),
            "reasoned": reasoned,
            "gain": gain.value,
            "low": None if sides is None else sides[0],
            "high": None if sides is None else sides[1],
            "by_score": other.value,
        }
    )


def _looks(verdict: RuleVerdict) -> list[tuple[PreconditionVerdict, ...]]:
    """What was asked, of an image with a caption in both looks; the worse counts."""
    other = [] if verdict.set_aside is None else [verdict.set_aside.preconditions]
    return [verdict.preconditions, *other]


def _as_no(condition: Condition, look: Iterable[PreconditionVerdict]) -> bool:
    """Whether a rule is violated if what was open counts as no."""
    outcomes = {
        leaf: v.outcome if v.reasoning is None else Outcome.NO
        for leaf, v in logic.answered(condition, look).items()
    }
    return logic.possible(condition, outcomes)[0] is Outcome.YES


def _by_score(condition: Condition, look: Iterable[PreconditionVerdict]) -> bool:
    """Whether a rule is violated if what was open counts by the side on which its score lies."""
    scores = {leaf: open_score(v) for leaf, v in logic.answered(condition, look).items()}
    return logic.score_interval(condition, scores)[0] > 0.5


def open_score(verdict: PreconditionVerdict) -> float:
    """Return the score that a statement had before it was reasoned about."""
    if verdict.reasoning is None:
        return verdict.score
    match verdict.outcome:
        case Outcome.YES:
            return 2.0 * verdict.score - 1.0
        case Outcome.NO:
            return 2.0 * verdict.score
        case Outcome.UNDECIDED:
            return verdict.score
