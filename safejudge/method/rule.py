"""One rule's flow: preconditions -> what the rule comes to on one picture.

Takes a rule's condition and a scene; gives a verdict with its whole trace. What is settled early is
a bound. It yields requests and never calls a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from safejudge.errors import PolicyError
from safejudge.flow import gather
from safejudge.method import debias, logic
from safejudge.method.confirm import unconfirmed
from safejudge.method.opinions import (
    closer_flow,
    confirm_flow,
    escalated_flow,
    next_step,
    precondition_flow,
    read_flow,
    reasoned_flow,
)
from safejudge.method.precondition import Scene, Step, nothing_asked
from safejudge.method.programs import program_flow, settles
from safejudge.types import (
    AllOf,
    Condition,
    Outcome,
    Precondition,
    PreconditionVerdict,
    Rule,
    RuleVerdict,
    leaves,
)

if TYPE_CHECKING:
    from safejudge.flow import Flow
    from safejudge.policy import Policy

    Verdicts = Mapping[Precondition, PreconditionVerdict]
    Scenes = Mapping[Precondition, Scene]
    """How each precondition of a rule is looked at."""

_RULE_OUTCOME = {
    Outcome.YES: "violated",
    Outcome.UNDECIDED: "undecided",
    Outcome.NO: "not_violated",
}
WORSE = ("not_relevant", "not_violated", "undecided", "violated")
"""Outcomes of a rule, from what counts least."""


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


def looked_at(condition: Condition, scene: Scene) -> dict[Precondition, Scene]:
    """Say how each precondition of a rule is looked at: exceptions without the region test.

    A precondition that stands under `none` and elsewhere too counts as an exception.
    """
    scenes = dict.fromkeys(leaves(condition), scene)
    policy = scene.policy
    if policy.region and not policy.region_under_none:
        signs = logic.polarities(condition)
        exceptions = [leaf for leaf in scenes if not signs.get(leaf, False)]
        without = replace(scene, policy=policy.model_copy(update={"region": False}))
        scenes |= dict.fromkeys(exceptions, without)
    return scenes


def rule_flow(condition: Condition, scene: Scene) -> Flow[RuleVerdict]:
    """Judge one rule on one picture, and where its caption may have bought it off, without.

    A caption is the uploader's own text. What is violated with it needs no second look; of two
    looks the worse counts, and the other is kept beside it.
    """
    captioned = yield from look_flow(condition, scene)
    policy = scene.policy
    if scene.caption is None or not policy.second_look:
        return captioned
    if captioned.outcome == "violated" and not policy.exhaustive:
        # Without the caption it could only score higher.
        bound = bound_of(captioned.outcome, *interval_of(condition, captioned, scene))
        return captioned.model_copy(update={"bound": bound})
    bare = replace(scene, caption=None)
    without = (yield from look_flow(condition, bare)).model_copy(update={"captioned": False})
    looks = [captioned, without]
    worst = max(looks, key=badness)
    other = without if worst is captioned else captioned
    both = worst.model_copy(update={"set_aside": other})
    bound = bound_of(both.outcome, *interval_of(condition, both, scene))
    return both.model_copy(update={"bound": bound})


def look_flow(condition: Condition, scene: Scene) -> Flow[RuleVerdict]:
    """Judge one rule on one picture, with the caption of the scene or without one."""
    scenes = looked_at(condition, scene)
    policy = scene.policy
    verdicts = yield from looks_flow(condition, scenes)
    if policy.exhaustive:
        asked = _unsettled(condition, verdicts)
        answers = yield from gather(precondition_flow(leaf, scenes[leaf]) for leaf in asked)
        verdicts.update(zip(asked, answers, strict=True))
    while True:
        if not policy.exhaustive:
            yield from settle_flow(condition, scenes, verdicts, reason_last=policy.reason_last)
        doubted = unconfirmed(condition, verdicts, policy)
        if not doubted:
            return rule_verdict(condition, verdicts, scene)
        answers = yield from gather(
            confirm_flow(leaf, verdicts[leaf], scenes[leaf]) for leaf in doubted
        )
        verdicts.update(zip(doubted, answers, strict=True))


def looks_flow(
    condition: Condition, scenes: Scenes
) -> Flow[dict[Precondition, PreconditionVerdict]]:
    """Let programs look before anything is asked, in listed order, until the rule is settled.

    A leaf whose program cannot look is left to its statement, where it has one.
    """
    verdicts: dict[Precondition, PreconditionVerdict] = {}
    passed_over = {leaf for leaf in scenes if leaf.program is None}

    def outcomes() -> dict[Precondition, Outcome]:
        return {leaf: v.outcome for leaf, v in verdicts.items() if v.test != "not_asked"}

    while (leaf := logic.next_leaf(condition, outcomes(), skip=passed_over)) is not None:
        passed_over.add(leaf)
        verdict = yield from program_flow(leaf, scenes[leaf])
        if settles(verdict, leaf):
            verdicts[leaf] = verdict
    return verdicts


def _unsettled(condition: Condition, verdicts: Verdicts) -> list[Precondition]:
    """List the preconditions whose answers can still move a score: programs score 0 or 1."""
    known = {leaf: verdict.outcome for leaf, verdict in verdicts.items()}
    asked: list[Precondition] = []
    while (leaf := logic.next_leaf(condition, known, skip=asked)) is not None:
        asked.append(leaf)
    return asked


def settle_flow(
    condition: Condition,
    scenes: Scenes,
    verdicts: dict[Precondition, PreconditionVerdict],
    *,
    reason_last: bool,
) -> Flow[None]:
    """Ask in listed order until the condition is settled; reason last, or at once (Algorithm 1).

    Goes on from `verdicts`, and adds to them. A precondition whose next step is still to come
    settles nothing: with `reason_last` the cheap questions go on past it, and often make the dearer
    steps needless.
    """
    first = read_flow if reason_last else precondition_flow

    def outcomes() -> dict[Precondition, Outcome]:
        return {leaf: verdicts[leaf].outcome for leaf in _final(verdicts, scenes)}

    while (leaf := logic.next_leaf(condition, outcomes(), skip=verdicts)) is not None:
        verdicts[leaf] = yield from first(leaf, scenes[leaf])
    for step in (closer_flow, escalated_flow, reasoned_flow):
        while True:
            passed_over = [
                leaf for leaf, v in verdicts.items() if _step(v, scenes[leaf]) is not step
            ]
            leaf = logic.next_leaf(condition, outcomes(), skip=passed_over)
            if leaf is None:
                break
            verdicts[leaf] = yield from step(leaf, verdicts[leaf], scenes[leaf])


def _step(verdict: PreconditionVerdict, scene: Scene) -> Step | None:
    return next_step(verdict, scene)


def _final(verdicts: Verdicts, scenes: Scenes) -> list[Precondition]:
    """Those about which nothing is left to do, but for what was not asked."""
    return [
        leaf
        for leaf, verdict in verdicts.items()
        if verdict.test != "not_asked" and not _step(verdict, scenes[leaf])
    ]


def rule_verdict(condition: Condition, verdicts: Verdicts, scene: Scene) -> RuleVerdict:
    """Sum up the answers to one rule.

    Where evaluation stopped early the score is the bound on the side of the outcome: what is
    unasked, or was left unreasoned, could only make a violation score higher and a rule that is
    not violated lower.
    """
    outcome = _RULE_OUTCOME[
        logic.evaluate(condition, {leaf: v.outcome for leaf, v in verdicts.items()})
    ]
    low, high = _score_interval(condition, verdicts, scene)
    score = low if outcome == "violated" else high
    return RuleVerdict(
        outcome=outcome,
        score=score,
        margin=debias.margin(score),
        bound=bound_of(outcome, low, high),
        frame=scene.picture.frame,
        background=scene.picture.background,
        preconditions=tuple(verdicts.values()),
        captioned=None if scene.caption is None else True,
    )


def _score_interval(condition: Condition, verdicts: Verdicts, scene: Scene) -> tuple[float, float]:
    """The bounds of a rule's score, whatever may still be asked or reasoned about."""
    final = _final(verdicts, looked_at(condition, scene))
    return logic.score_interval(condition, {leaf: verdicts[leaf].score for leaf in final})


def interval_of(condition: Condition, verdict: RuleVerdict, scene: Scene) -> tuple[float, float]:
    """The bounds of a rule's score over both looks, with the caption and without."""
    low, high = _score_interval(condition, logic.answered(condition, verdict.preconditions), scene)
    if verdict.set_aside is not None:
        other_answers = logic.answered(condition, verdict.set_aside.preconditions)
        other = _score_interval(condition, other_answers, scene)
        return max(low, other[0]), max(high, other[1])
    return (low, 1.0) if verdict.captioned and scene.policy.second_look else (low, high)


def bound_of(outcome: str, low: float, high: float) -> Literal["exact", "lower", "upper"]:
    """Which bound the reported score is, of a rule with this outcome."""
    if low == high:
        return "exact"
    return "lower" if outcome == "violated" else "upper"


def rule_not_asked(condition: Condition, note: str) -> RuleVerdict:
    """Say of a rule that nothing about it was asked; `note` says what is missing."""
    return RuleVerdict(
        outcome="undecided",
        score=debias.UNREAD_SCORE,
        margin=0.0,
        bound="upper",
        preconditions=tuple(nothing_asked(leaf, note) for leaf in dict.fromkeys(leaves(condition))),
    )


def badness(verdict: RuleVerdict) -> tuple[int, int, float]:
    """Order verdicts of one rule: by outcome, then without the filter, then by score."""
    outcomes = (verdict.outcome, verdict.unfiltered or verdict.outcome)
    first, second = map(WORSE.index, outcomes)
    return first, second, -1.0 if verdict.score is None else verdict.score


def is_open(verdict: RuleVerdict) -> bool:
    """Whether a rule is undecided, and something about it was not asked."""
    looks = (verdict, verdict.set_aside)
    return verdict.outcome == "undecided" and any(
        answer.test == "not_asked" for look in looks if look for answer in look.preconditions
    )
