"""Several engines' answers to one precondition: their mean, and the one that is asked in the end.

Takes what `precondition` takes, and the judge's panel from the scene; has the same steps. With one
engine they are those of `precondition`, to the last bit.

**Engines beside the first** (`--also`). Each is asked as if it were alone: its own views, its own
language prior, its own bounds, as far as short answers go. So each has a score in which its prior
is taken out on its own scale, and 1/4 and 3/4 are its bounds (`debias`). The margins, which are the
log-odds of these scores, are averaged; the mean, turned back into a score, is held to the same 1/4
and 3/4. Where all engines find the same outcome it is that. The other way, to average logit M and
logit p0 apart, would let the prior of one engine move the bounds that another's M is held to.

An engine that gave no answer has no margin, and the mean of those that are left is another number
than was asked for: the precondition is undecided then, whatever the others say.

What makes a rule violated is asked once more (`confirm`) of one engine, the one that would reason.

**The engine after them** (`--escalate-to`). What stays undecided after all short answers, for
whatever reason, goes to one more engine; with `Policy.escalate_below` also what is decided with a
margin under that bound. Its verdict replaces theirs, its reasoning too, and so does its silence.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from safejudge.flow import gather
from safejudge.method import confirm, debias, precondition, programs
from safejudge.types import Outcome, PreconditionVerdict, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.flow import Flow, Request
    from safejudge.method.precondition import Scene, Step
    from safejudge.policy import Policy
    from safejudge.types import Confirmation, Precondition

T = TypeVar("T")


def addressed(flow: Flow[T], place: int) -> Flow[T]:
    """Put the questions and reasonings of a flow to the engine at this place of the panel."""
    try:
        wave = next(flow)
        while True:
            wave = flow.send((yield tuple(_to(request, place) for request in wave)))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _to(request: Request, place: int) -> Request:
    return replace(request, engine=place) if isinstance(request, Probe | Reasoning) else request


# --- the steps ------------------------------------------------------------------------------------


def precondition_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask one precondition, step by step until it is settled or nothing is left to do."""
    verdict = yield from read_flow(leaf, scene)
    return (yield from _finished_flow(leaf, verdict, scene))


def _finished_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    while (step := next_step(verdict, scene)) is not None:
        verdict = yield from step(leaf, verdict, scene)
    return verdict


def next_step(verdict: PreconditionVerdict, scene: Scene) -> Step | None:
    """Return what is still done about a verdict; None if it is final.

    First those look closer who are unsure themselves; then the last engine is asked; only then
    somebody reasons.
    """
    panel, policy = scene.panel, scene.policy
    if verdict.test == "program":
        return None
    if panel.is_one or verdict.engine is not None:
        step = precondition.next_step(verdict, policy)
        return _STEPS.get(step, step) if step is not None else None
    if verdict.test == "not_asked":
        return None
    if verdict.test in {"open", "label_mass"} and _unsure(verdict, policy):
        return closer_flow
    if panel.escalation is not None and _goes_on(verdict, policy):
        return escalated_flow
    return reasoned_flow if verdict.reasoning is None and _is_reasoned(verdict, policy) else None


def read_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask the cheap way: every engine whose mean counts, in the same waves.

    Where a program looks, only what it leaves open; what it said is kept.
    """
    if leaf.program is None:
        return (yield from _read_flow(leaf, scene))
    looked = yield from programs.program_flow(leaf, scene)
    if programs.settles(looked, leaf):
        return looked
    asked = yield from _read_flow(leaf, scene)
    return asked.model_copy(update={"finding": looked.finding})


def _read_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    if scene.panel.is_one:
        return (yield from precondition.read_flow(leaf, scene))
    kept = _kept_open(scene)
    engines = range(len(scene.panel.engines))
    found = yield from gather(addressed(precondition.read_flow(leaf, kept), n) for n in engines)
    return _concluded(found, scene)


def closer_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Look closer, with those engines that are unsure themselves."""
    if scene.panel.is_one:
        return (yield from precondition.closer_flow(leaf, verdict, scene))
    kept, asked = _kept_open(scene), _unsure(verdict, scene.policy)
    looks = yield from gather(
        addressed(precondition.closer_flow(leaf, verdict.answers[place], kept), place)
        for place in asked
    )
    closer = dict(zip(asked, looks, strict=True))
    answers = [closer.get(place, answer) for place, answer in enumerate(verdict.answers)]
    found = _concluded(answers, scene, verdict.confirmations)
    return found.model_copy(update={"finding": verdict.finding})


def escalated_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Ask the last engine, as if it were alone but for its reasoning; its verdict counts."""
    panel = scene.panel
    found = yield from addressed(_looks_flow(leaf, scene), panel.last)
    first, *others = _named(verdict.answers, scene)
    # What the first was asked once more stays with its answer.
    opinions = (first.model_copy(update={"confirmations": verdict.confirmations}), *others)
    changed = {"engine": panel.escalation, "opinions": opinions, "finding": verdict.finding}
    return found.model_copy(update=changed)


def _looks_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask one engine all that it can be asked before it reasons."""
    verdict = yield from precondition.read_flow(leaf, scene)
    while precondition.next_step(verdict, scene.policy) is precondition.closer_flow:
        verdict = yield from precondition.closer_flow(leaf, verdict, scene)
    return verdict


def reasoned_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Reason about what is open: the last engine if it was asked, else the first."""
    return (yield from _of_one_flow(precondition.reasoned_flow, leaf, verdict, scene))


def confirm_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Ask once more about a precondition that holds, and go on where that leaves it open.

    The engine that would reason is asked.
    """
    heard = yield from _of_one_flow(confirm.confirm_flow, leaf, verdict, scene)
    return (yield from _finished_flow(leaf, _taken_for_no(heard, scene), scene))


def _of_one_flow(
    step: Step, leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Take a step with one engine: the last if it was asked, else the first, which sees its own."""
    if verdict.engine is not None:
        return (yield from addressed(step(leaf, verdict, scene), scene.panel.last))
    first = verdict.answers[0]
    own = verdict.model_copy(update={"reads": first.reads, "boxes": first.boxes})
    found = yield from step(leaf, own, scene)
    return found.model_copy(update={"reads": verdict.reads, "boxes": verdict.boxes})


_STEPS: dict[Step, Step] = {
    precondition.closer_flow: closer_flow,
    precondition.reasoned_flow: reasoned_flow,
}
"""What stands for the steps of one engine, so that steps can be told by what they are."""


# --- who does what --------------------------------------------------------------------------------


def _kept_open(scene: Scene) -> Scene:
    """Leave what is open as it is: what that means is for the mean, or for the last engine."""
    policy = scene.policy.model_copy(update={"open_means": "undecided"})
    return replace(scene, policy=policy)


def _unsure(verdict: PreconditionVerdict, policy: Policy) -> list[int]:
    """List the places of the engines that would look closer at what they answered."""
    return [
        place
        for place, answer in enumerate(verdict.answers)
        if precondition.next_step(answer, policy) is precondition.closer_flow
    ]


def _goes_on(verdict: PreconditionVerdict, policy: Policy) -> bool:
    """Whether the last engine is asked: what is undecided, and what is not sure enough."""
    below = policy.escalate_below
    unsure = below is not None and abs(verdict.margin) < below
    return unsure or verdict.outcome is Outcome.UNDECIDED


def _is_reasoned(verdict: PreconditionVerdict, policy: Policy) -> bool:
    """Whether the first engine reasons: every engine answered, and together they are unsure."""
    reasons = [
        precondition.next_step(answer, policy) is precondition.reasoned_flow
        for answer in verdict.answers
    ]
    return (
        policy.reasons
        and verdict.outcome is Outcome.UNDECIDED
        and all(
            reasoned or answer.outcome is not Outcome.UNDECIDED
            for reasoned, answer in zip(reasons, verdict.answers, strict=True)
        )
    )


# --- the mean -------------------------------------------------------------------------------------


def _concluded(
    answers: Sequence[PreconditionVerdict],
    scene: Scene,
    confirmations: tuple[Confirmation, ...] = (),
) -> PreconditionVerdict:
    """Make one verdict of those of the engines; open counts as no where the policy says so.

    What was asked once more already still counts against a mean that is a yes.
    """
    verdict = answers[0] if len(answers) == 1 else mean_verdict(_named(answers, scene))
    if confirmations:
        verdict = verdict.model_copy(update={"confirmations": confirmations})
        verdict = confirm.lowered(verdict) if verdict.outcome is Outcome.YES else verdict
    return _taken_for_no(verdict, scene)


def _taken_for_no(verdict: PreconditionVerdict, scene: Scene) -> PreconditionVerdict:
    """Where the policy says so, count what is open as not satisfied once nothing is left to do."""
    if scene.policy.open_means != "no" or verdict.test != "open" or next_step(verdict, scene):
        return verdict
    score = debias.moved(verdict.score, Outcome.NO)
    return precondition.settled(verdict, Outcome.NO, "open_no", score, {})


def _named(answers: Sequence[PreconditionVerdict], scene: Scene) -> tuple[PreconditionVerdict, ...]:
    engines = scene.panel.engines
    return tuple(
        answer.model_copy(update={"engine": engine})
        for engine, answer in zip(engines, answers, strict=True)
    )


def mean_verdict(opinions: Sequence[PreconditionVerdict]) -> PreconditionVerdict:
    """Average what several engines answered to one precondition; their order makes no difference.

    An answer that is missing leaves it undecided, and the note says whose and why.
    """
    first = opinions[0]
    boxes = next((opinion.boxes for opinion in opinions if opinion.boxes is not None), None)
    outcome, test, score, note = _mean(opinions)
    return PreconditionVerdict(
        statement=first.statement,
        look_at=first.look_at,
        outcome=outcome,
        test=test,
        score=score,
        margin=debias.margin(score),
        reads=(),
        boxes=boxes,
        note=note,
        opinions=tuple(opinions),
    )


_Test = Literal["accept", "reject", "region", "open", "label_mass", "unreadable", "not_asked"]
_MISSING: tuple[_Test, ...] = ("not_asked", "unreadable", "label_mass")
"""Tests that say that an engine gave no answer; the first that any of them has is told."""


def _mean(opinions: Sequence[PreconditionVerdict]) -> tuple[Outcome, _Test, float, str | None]:
    for test in _MISSING:
        silent = [opinion for opinion in opinions if opinion.test == test]
        if silent:
            notes = (f"{opinion.engine}: {opinion.note}" for opinion in silent)
            told = f"{len(silent)} of {len(opinions)} engines gave no answer ({'; '.join(notes)})"
            return Outcome.UNDECIDED, test, debias.UNREAD_SCORE, told
    margin = math.fsum(opinion.margin for opinion in opinions) / len(opinions)
    scores = {opinion.score for opinion in opinions}
    score = scores.pop() if len(scores) == 1 else debias.score_of(margin)
    outcomes = {opinion.outcome for opinion in opinions}
    outcome = outcomes.pop() if len(outcomes) == 1 else _side(margin)
    by_region = all(opinion.test == "region" for opinion in opinions)
    match outcome:
        case Outcome.YES:
            return outcome, "region" if by_region else "accept", score, None
        case Outcome.NO:
            return outcome, "reject", score, None
        case Outcome.UNDECIDED:
            return outcome, "open", score, None


def _side(margin: float) -> Outcome:
    if margin > debias.DECIDED:
        return Outcome.YES
    return Outcome.NO if margin < -debias.DECIDED else Outcome.UNDECIDED
