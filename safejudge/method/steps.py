"""The steps of an answer -> right / wrong / undecided, each by a question of its own.

Takes a question, its pictures and the steps of an answer; gives a `StepVerdict` for each. All
questions share their beginning (instruction, pictures, question, all steps), so that an engine
keeps it. P(right) is read from labels and debiased as a precondition's answer is: with pictures
against the same question without them; without any against 1/2, since nothing can be taken away.
What is open is reasoned through where the policy says so. Only of a wrong step it is asked what is
wrong with it, and why. It yields requests and never calls a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from safejudge import prompts
from safejudge.errors import InputError
from safejudge.flow import ask, gather, request
from safejudge.method import debias, questions, reasoning
from safejudge.text import disarmed, one_line, storable
from safejudge.types import (
    Message,
    NoReply,
    Outcome,
    Probe,
    Reasoning,
    StepVerdict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.flow import Flow
    from safejudge.policy import Policy
    from safejudge.types import Picture, StepKind

LETTERS = tuple("ABCDEFG")
"""The labels of the kinds, in the order of `prompts.STEP_KINDS`."""
_WHY_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer in steps, as it is shown."""

    question: str
    """What was to be answered."""
    pictures: tuple[Picture, ...]
    """What the question is about; none, one or several in order."""
    steps: tuple[str, ...]

    @staticmethod
    def of(question: str, pictures: Sequence[Picture], steps: Sequence[str]) -> Solution:
        """Put question and steps on a line each, so that none can write another's line."""
        texts = (one_line(disarmed(storable(text))) for text in (question, *steps))
        return Solution(next(texts), tuple(pictures), tuple(texts))

    @property
    def text(self) -> str:
        """What all questions begin with."""
        return prompts.solution(self.question, self.steps)


def check_texts(question: object, steps: Sequence[object]) -> None:
    """Raise `InputError` for a question that is no text, and for a step that says nothing."""
    if not isinstance(question, str):
        raise InputError(f"the question is no text but a {type(question).__name__}; give a str")
    for number, step in enumerate(steps, 1):
        if not isinstance(step, str) or not step.strip():
            what = "empty" if isinstance(step, str) else f"no text but a {type(step).__name__}"
            raise InputError(f"step {number} is {what}; give what it says, or leave it out")


def unseen(steps: Sequence[str], note: str) -> list[StepVerdict]:
    """Say of every step that nobody was asked; `note` says why."""
    return [
        StepVerdict(step=step, outcome=Outcome.UNDECIDED, score=None, test="unreadable", note=note)
        for step in steps
    ]


def steps_flow(solution: Solution, policy: Policy) -> Flow[list[StepVerdict]]:
    """Judge every step; the questions about all of them go out together."""
    numbers = range(1, len(solution.steps) + 1)
    return (yield from gather(step_flow(solution, number, policy) for number in numbers))


def step_flow(solution: Solution, number: int, policy: Policy) -> Flow[StepVerdict]:
    """Judge the step of this number, from 1."""
    verdict = yield from _read_flow(solution, number, policy)
    if verdict.test == "open" and policy.reasons:
        verdict = yield from _reasoned_flow(solution, number, verdict, policy)
    elif verdict.test == "open" and policy.open_means == "no":
        score = debias.moved(verdict.score or 0.0, Outcome.NO)
        verdict = verdict.model_copy(
            update={"outcome": Outcome.NO, "test": "open_no", "score": score}
        )
    if verdict.outcome is Outcome.NO:
        verdict = yield from _kind_flow(solution, number, verdict, policy)
        if policy.reasons and verdict.why is None:
            verdict = yield from _why_flow(solution, number, verdict)
    return verdict


def _read_flow(solution: Solution, number: int, policy: Policy) -> Flow[StepVerdict]:
    """Ask with the pictures and, where there are any, without them."""
    question = prompts.step_question(solution.text, number)
    probes = [Probe(prompts.STEPS, solution.pictures, question)]
    if solution.pictures and policy.prior:
        probes.append(Probe(prompts.STEPS, (), question))
    answers = yield from ask(*probes)
    read, problem = questions.read_answer("full", answers[0])
    prior, no_prior = (
        questions.read_answer("no_image", answers[1]) if len(answers) > 1 else (None, None)
    )
    problem = problem or no_prior
    decision = (
        debias.Decision(Outcome.UNDECIDED, "unreadable", debias.UNREAD_SCORE, problem)
        if problem
        else debias.decide(read, prior, policy)
    )
    unread = decision.test in {"label_mass", "unreadable"}
    return StepVerdict(
        step=solution.steps[number - 1],
        outcome=decision.outcome,
        score=None if unread else decision.score,
        test=decision.test,
        reads=(read,) if prior is None else (read, prior),
        note=decision.note,
    )


def _reasoned_flow(
    solution: Solution, number: int, verdict: StepVerdict, policy: Policy
) -> Flow[StepVerdict]:
    """Reason about a step that the numbers left open; its reason is the model's own summary."""
    asked = prompts.step_question(solution.text, number)
    trace = yield from reasoning.reason_about(prompts.STEPS, solution.pictures, asked, policy)
    outcome = reasoning.outcome_of(trace, policy)
    unread = trace.problem is not None and outcome is Outcome.UNDECIDED
    return verdict.model_copy(
        update={
            "outcome": outcome,
            "test": "unreadable" if unread else "reasoning",
            "score": debias.moved(verdict.score or 0.0, outcome),
            "reasoning": trace,
            "why": trace.rationale,
            "note": trace.problem or verdict.note,
        }
    )


def _kind_flow(
    solution: Solution, number: int, verdict: StepVerdict, policy: Policy
) -> Flow[StepVerdict]:
    """Ask what is wrong; nothing where no letter, or none alone, is the likeliest."""
    question = prompts.step_kind_question(solution.text, number)
    (answer,) = yield from ask(Probe(prompts.STEPS, solution.pictures, question, LETTERS))
    read, problem = questions.read_answer("full", answer)
    if problem is None and not 0 < read.label_mass >= policy.minimum_label_mass:
        problem = f"label mass {read.label_mass:.3g}; the likeliest answer was {read.top!r}"
    best = [n for n, p in enumerate(answer.p_labels) if p == max(answer.p_labels)]
    if problem is None and len(best) > 1:
        problem = f"{len(best)} kinds are equally likely"
    if problem is not None:
        note = "; ".join(filter(None, [verdict.note, f"the kind was not read: {problem}"]))
        return verdict.model_copy(update={"note": note})
    kind = cast("StepKind", [*prompts.STEP_KINDS][best[0]])
    return verdict.model_copy(update={"kind": kind})


def _why_flow(solution: Solution, number: int, verdict: StepVerdict) -> Flow[StepVerdict]:
    """Ask for the reason in words; one that cannot be had is no fault of the verdict."""
    turn = Message("user", prompts.step_why_question(solution.text, number))
    asked = Reasoning(prompts.STEPS, solution.pictures, (turn,), max_tokens=_WHY_TOKENS)
    (reply,) = yield from request(asked)
    if isinstance(reply, NoReply) or not isinstance(reply, str) or not reply.strip():
        problem = reply.problem if isinstance(reply, NoReply) else "the reply was empty"
        note = "; ".join(filter(None, [verdict.note, f"no reason: {problem}"]))
        return verdict.model_copy(update={"note": note})
    return verdict.model_copy(update={"why": one_line(storable(reply))})
