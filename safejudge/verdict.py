"""One image's flow: preconditions -> rules -> what the image is judged to be.

Takes an image's pictures, a constitution and a policy; gives a verdict per rule with its whole
trace, and from those a `Judgment`. Here the stages meet in the order of the method: probe, debias,
cascade, logic. It yields requests and never calls a model.

Within an image nothing is asked twice: `gather` answers equal requests of several rules once, the
reasoning included, so a precondition that stands in three rules costs one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from safejudge import cascade, debias, logic, probe
from safejudge.errors import PolicyError
from safejudge.flow import ask, gather
from safejudge.types import (
    AllOf,
    Condition,
    Constitution,
    ImageInput,
    Judgment,
    Outcome,
    Picture,
    Precondition,
    PreconditionVerdict,
    Probe,
    Provenance,
    Rule,
    RuleVerdict,
    Usage,
    leaves,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.flow import Flow
    from safejudge.policy import Policy

    Verdicts = Mapping[Precondition, PreconditionVerdict]

T = TypeVar("T")

_RULE_OUTCOME = {
    Outcome.YES: "violated",
    Outcome.UNDECIDED: "undecided",
    Outcome.NO: "not_violated",
}
_WORSE = ("not_relevant", "not_violated", "undecided", "violated")


@dataclass(frozen=True, slots=True)
class Scene:
    """What every question about one picture shares."""

    picture: Picture
    """The frame on the background that is looked at."""
    caption: str | None
    """The caption or prompt that came with the image."""
    policy: Policy
    """The choices that can change a verdict."""


# --- one precondition ---------------------------------------------------------------------------


def read_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask one precondition the cheap way: full view and language prior, in one wave."""
    full_answer, prior_answer = yield from ask(
        probe.full_probe(leaf, scene.picture, scene.caption),
        probe.prior_probe(leaf, scene.caption),
    )
    full, full_problem = probe.read_answer("full", full_answer)
    prior, prior_problem = probe.read_answer("no_image", prior_answer)
    problem = full_problem or prior_problem
    decision = (
        debias.decide(full, prior, scene.policy)
        if problem is None
        else debias.Decision(Outcome.UNDECIDED, "unreadable", debias.UNREAD_SCORE, problem)
    )
    return PreconditionVerdict(
        statement=leaf.statement,
        look_at=leaf.look_at,
        outcome=decision.outcome,
        test=decision.test,
        score=decision.score,
        margin=debias.margin(decision.score),
        reads=(full, prior),
        note=decision.note,
    )


def awaits_reasoning(verdict: PreconditionVerdict, policy: Policy) -> bool:
    """Whether the cascade has still to look at this precondition.

    Not where the engine could not answer at all: then its reasoning would be about nothing.
    """
    return policy.cascade and verdict.test in {"open", "label_mass"}


def reasoned_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Reason about a precondition that the numbers left open."""
    trace = yield from cascade.reason_flow(leaf, scene.picture, scene.caption, scene.policy)
    outcome = cascade.outcome_of(trace, scene.policy)
    score = debias.after_reasoning(verdict.score, outcome)
    unread = trace.problem is not None and outcome is Outcome.UNDECIDED
    return verdict.model_copy(
        update={
            "outcome": outcome,
            "test": "unreadable" if unread else "reasoning",
            "score": score,
            "margin": debias.margin(score),
            "reasoning": trace,
            "note": trace.problem or verdict.note,
        }
    )


def precondition_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask one precondition, and reason about it at once if the numbers leave it open."""
    verdict = yield from read_flow(leaf, scene)
    if awaits_reasoning(verdict, scene.policy):
        verdict = yield from reasoned_flow(leaf, verdict, scene)
    return verdict


# --- one rule -----------------------------------------------------------------------------------


def asked_condition(rule: Rule, policy: Policy) -> Condition:
    """Return the condition as the policy evaluates it: the tree, or the published flat list.

    Raises `PolicyError` for a rule of nothing but exceptions, whose flat form would always hold.
    """
    if policy.tree:
        return rule.condition
    flat, _ = logic.flatten(rule.condition)
    if not flat:
        raise PolicyError(
            f"policy {policy.name!r}: the rule {rule.id!r} consists of exceptions, which the flat "
            "form drops, so nothing is left to ask; use a policy with tree=True, e.g. 'clue-tree'"
        )
    return AllOf(all=flat)


def rule_flow(condition: Condition, scene: Scene) -> Flow[RuleVerdict]:
    """Judge one rule on one picture."""
    if scene.policy.exhaustive:
        every = list(dict.fromkeys(leaves(condition)))
        answers = yield from gather(precondition_flow(leaf, scene) for leaf in every)
        verdicts = dict(zip(every, answers, strict=True))
    else:
        verdicts = yield from settle_flow(condition, scene)
    return rule_verdict(condition, verdicts, scene)


def settle_flow(
    condition: Condition, scene: Scene
) -> Flow[dict[Precondition, PreconditionVerdict]]:
    """Ask in listed order until the condition is settled; reason last, or at once (Algorithm 1).

    A precondition that awaits reasoning settles nothing: with `reason_last` the cheap questions
    go on past it, and often make the reasoning needless.
    """
    first = read_flow if scene.policy.reason_last else precondition_flow
    verdicts: dict[Precondition, PreconditionVerdict] = {}
    known: dict[Precondition, Outcome] = {}
    while (leaf := logic.next_leaf(condition, known, skip=verdicts)) is not None:
        verdicts[leaf] = yield from first(leaf, scene)
        if not awaits_reasoning(verdicts[leaf], scene.policy):
            known[leaf] = verdicts[leaf].outcome
    while (leaf := logic.next_leaf(condition, known)) is not None:
        verdicts[leaf] = yield from reasoned_flow(leaf, verdicts[leaf], scene)
        known[leaf] = verdicts[leaf].outcome
    return verdicts


def rule_verdict(condition: Condition, verdicts: Verdicts, scene: Scene) -> RuleVerdict:
    """Sum up the answers to one rule.

    Where evaluation stopped early the score is the bound on the side of the outcome: what is
    unasked, or was left unreasoned, could only make a violation score higher and a rule that is
    not violated lower.
    """
    outcome = logic.evaluate(condition, {leaf: v.outcome for leaf, v in verdicts.items()})
    scores = {
        leaf: v.score for leaf, v in verdicts.items() if not awaits_reasoning(v, scene.policy)
    }
    low, high = logic.score_interval(condition, scores)
    violated = outcome is Outcome.YES
    score = low if violated else high
    side = "lower" if violated else "upper"
    return RuleVerdict(
        outcome=_RULE_OUTCOME[outcome],
        score=score,
        margin=debias.margin(score),
        bound="exact" if low == high else side,
        frame=scene.picture.frame,
        background=scene.picture.background,
        preconditions=tuple(verdicts.values()),
    )


# --- one image ----------------------------------------------------------------------------------


def image_flow(
    image: ImageInput, constitution: Constitution, policy: Policy, caption: str | None = None
) -> Flow[tuple[dict[str, RuleVerdict], Usage]]:
    """Judge every rule on every picture of one image; per rule the worst picture counts.

    The questions about one picture stand together in each wave, for the engine's prefix cache.
    """
    asked = {rule.id: asked_condition(rule, policy) for rule in constitution.rules}
    scenes = [Scene(picture, caption, policy) for picture in image.pictures]
    pairs = [(rule, scene) for scene in scenes for rule in asked]
    verdicts, usage = yield from _counted(
        gather(rule_flow(asked[rule], scene) for rule, scene in pairs)
    )
    worst: dict[str, RuleVerdict] = {}
    for (rule, _), verdict in zip(pairs, verdicts, strict=True):
        if rule not in worst or _badness(verdict) > _badness(worst[rule]):
            worst[rule] = verdict
    return worst, usage


def _badness(verdict: RuleVerdict) -> tuple[int, float]:
    score = -1.0 if verdict.score is None else verdict.score
    return _WORSE.index(verdict.outcome), score


def _counted(flow: Flow[T]) -> Flow[tuple[T, Usage]]:
    """Run a flow of distinct requests and count them."""
    probes = replies = 0
    try:
        wave = next(flow)
        while True:
            probes += sum(isinstance(r, Probe) and bool(r.images) for r in wave)
            replies += sum(not isinstance(r, Probe) for r in wave)
            wave = flow.send((yield wave))
    except StopIteration as end:
        return end.value, Usage(probes=probes, reasoning_calls=replies)
    finally:
        flow.close()


def conclude(
    image: ImageInput, rules: dict[str, RuleVerdict], usage: Usage, provenance: Provenance
) -> Judgment:
    """Make the judgment: unsafe if a rule is violated, else undecided if one is, else safe."""
    outcomes = {verdict.outcome for verdict in rules.values()}
    score = max(verdict.score for verdict in rules.values() if verdict.score is not None)
    return Judgment(
        image=image.name,
        id=image.id,
        label=(
            "unsafe"
            if "violated" in outcomes
            else "undecided"
            if "undecided" in outcomes
            else "safe"
        ),
        violations=tuple(rule for rule, v in rules.items() if v.outcome == "violated"),
        score=score,
        margin=debias.margin(score),
        rules=rules,
        provenance=provenance,
        usage=usage,
    )
