"""What a rule's violation rests on is asked once more: by a contrast, and in other words.

Takes a precondition that holds and makes its rule violated; asks what its author wrote beside its
statement, and takes the yes back where that says otherwise. Most errors of small models are about
who does or holds what: all the things of a statement are there, and belong to somebody else. A
choice between the statement and its near misses asks just that, and other words show an answer
that hangs on the words. Only what is about to be called violated is asked, so an image without a
violation costs nothing more.

**Contrast.** "A: a child is holding a gun, B: an adult is holding a gun", and the other way round,
so that a taste for the first answer cancels out: the score is the logistic function of half the
sum of both log-odds. The statement does not hold where that is under 1/4, as with a reject: the
near miss is thrice as likely then. Where both are true, as with two people who hold guns, neither
is much likelier. The caption is not shown: two statements compete for the picture alone.

**Other words** have a language prior of their own and are put to the first two tests (`debias`).
Between the bounds the precondition is as open as one that was so from the start, unless a dearer
step settled it already.

**The mirrored picture** (`Policy.mirror`) is put to the first two tests with the statement itself.
It can only leave a statement open: what is written in a picture cannot be read in a mirror.

The lowest score counts. What cannot be read says nothing, and takes nothing back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from safejudge.flow import ask, gather
from safejudge.method import debias, logic, questions
from safejudge.method.precondition import settled, shown_picture, unless_not_asked
from safejudge.types import Confirmation, Outcome, Precondition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.flow import Flow
    from safejudge.method.precondition import Scene
    from safejudge.policy import Policy
    from safejudge.types import Condition, Picture, PreconditionVerdict, Probe, Read, View

EVEN = 0.5
"""The score of a choice between two statements that fit equally well: more is a yes."""


def unconfirmed(
    condition: Condition, verdicts: Mapping[Precondition, PreconditionVerdict], policy: Policy
) -> list[Precondition]:
    """Return the preconditions to ask about once more; none unless the condition holds."""
    outcomes = {leaf: verdict.outcome for leaf, verdict in verdicts.items()}
    return [
        leaf
        for leaf in logic.supporting(condition, outcomes)
        if not verdicts[leaf].confirmations
        and verdicts[leaf].test != "program"
        and (policy.mirror or (policy.confirm and (leaf.contrast or leaf.reworded)))
    ]


@unless_not_asked
def confirm_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Ask about a precondition that holds once more, all in one wave; the lowest score counts."""
    flows = list(_confirmations(leaf, verdict, scene))
    said = yield from gather(flows)
    if shown_picture(verdict, scene) is not scene.picture:
        said = [confirmation.model_copy(update={"shown": "region_crop"}) for confirmation in said]
    return lowered(verdict.model_copy(update={"confirmations": tuple(said)}))


def _confirmations(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Iterator[Flow[Confirmation]]:
    picture, policy = shown_picture(verdict, scene), scene.policy
    if policy.confirm:
        for other in leaf.contrast:
            yield _choice_flow(leaf.statement, other, picture, policy)
        if leaf.reworded is not None:
            words = Precondition(statement=leaf.reworded)
            probes = [questions.picture_probe(words, picture, scene.caption)]
            if policy.prior:
                probes.append(questions.prior_probe(words, scene.caption))
            yield _tested_flow("reworded", leaf.reworded, probes, None, policy)
    if policy.mirror:
        mirrored = scene.views.mirrored(picture)
        probes = [questions.picture_probe(leaf, mirrored, scene.caption)]
        prior = next((read for read in verdict.reads if read.view == "no_image"), None)
        yield _tested_flow("mirrored", leaf.statement, probes, prior, policy)


def _choice_flow(
    statement: str, other: str, picture: Picture, policy: Policy
) -> Flow[Confirmation]:
    """Have a statement and a near miss compete, in both orders."""
    answers = yield from ask(*questions.choice_probes(statement, other, picture))
    looks = [questions.read_answer("full", answer) for answer in answers]
    first, last = (
        None if read.score is None or read.label_mass < policy.minimum_label_mass else read.score
        for read, _ in looks
    )
    score, outcome = None, Outcome.UNDECIDED
    if first is not None and last is not None:
        half = (debias.margin(first) - debias.margin(last)) / 2
        score = debias.score_of(half)
        outcome = Outcome.YES if score > EVEN else outcome
        outcome = Outcome.NO if score < debias.REJECTED else outcome
    return Confirmation(
        by="contrast",
        statement=other,
        reads=tuple(read for read, _ in looks),
        outcome=outcome,
        score=score,
        problem=next((problem for _, problem in looks if problem), None),
    )


def _tested_flow(
    by: Literal["reworded", "mirrored"],
    statement: str,
    probes: Sequence[Probe],
    prior: Read | None,
    policy: Policy,
) -> Flow[Confirmation]:
    """Put a statement to the first two tests; its prior is a second probe, or known already."""
    answers = yield from ask(*probes)
    first: View = "mirrored" if by == "mirrored" else "full"
    views: tuple[View, ...] = (first,) if len(answers) == 1 else (first, "no_image")
    looks = [questions.read_answer(view, a) for view, a in zip(views, answers, strict=True)]
    reads = tuple(read for read, _ in looks)
    problem = next((problem for _, problem in looks if problem), None)
    score, outcome = None, Outcome.UNDECIDED
    if problem is None:
        decision = debias.decide(reads[0], reads[1] if len(reads) > 1 else prior, policy)
        outcome = decision.outcome
        score = None if decision.test == "label_mass" else decision.score
    if by == "mirrored" and outcome is Outcome.NO:
        score, outcome = max(score or 0.0, debias.REJECTED), Outcome.UNDECIDED
    return Confirmation(
        by=by, statement=statement, reads=reads, outcome=outcome, score=score, problem=problem
    )


def lowered(verdict: PreconditionVerdict) -> PreconditionVerdict:
    """Let the lowest score of a yes and its confirmations count, and the outcome that it means.

    A choice that neither statement wins says nothing. Looks that leave the statement open count
    only against an answer that was read: what a dearer step found stays.
    """
    read = verdict.test == "accept"
    heard = [
        (said, said.score)
        for said in verdict.confirmations
        if said.score is not None
        and (said.outcome is not Outcome.UNDECIDED or (read and said.by != "contrast"))
    ]
    if not heard:
        return verdict
    lowest, score = min(heard, key=lambda pair: pair[1])
    score = min(score, verdict.score)
    against = [c for c, _ in heard if c.outcome is Outcome.NO]
    if against:
        by = lowest.by if lowest in against else against[0].by
        return settled(verdict, Outcome.NO, by, score, {})
    if any(c.outcome is Outcome.UNDECIDED for c, _ in heard):
        return settled(verdict, Outcome.UNDECIDED, "open", score, {})
    return settled(verdict, Outcome.YES, verdict.test, score, {})
