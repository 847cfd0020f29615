"""Precondition + view -> question, and its answer as numbers. Pure.

Takes a precondition, a picture and perhaps a caption; gives a `Probe`, and turns the engine's
answer into a `Read`. Knows neither thresholds nor rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge import prompts
from safejudge.text import storable
from safejudge.types import AnswerProbs, Picture, Precondition, Probe, Read, are_probabilities

if TYPE_CHECKING:
    from safejudge.types import View

CHOICES = ("A", "B")
"""The labels of a choice between two statements."""


def picture_probe(
    precondition: Precondition, picture: Picture, caption: str | None = None
) -> Probe:
    """Ask whether the picture, a view of it, or several together show the statement."""
    question = about(picture, prompts.statement_question(precondition.statement, caption))
    return Probe(prompts.ASK_TOGETHER if picture.parts else prompts.ASK, picture.shown, question)


def about(picture: Picture, question: str) -> str:
    """Say of several pictures what they are, before a question about them."""
    if not picture.parts:
        return question
    return prompts.together_question(question, [part.label for part in picture.parts])


def prior_probe(precondition: Precondition, caption: str | None = None) -> Probe:
    """Ask the same with the image part really absent: the language prior (CLUE, sec. 3.4).

    The paper removes the image tokens and nothing else, so the caption stays, and with a caption
    the prior is one per statement and caption. Several pictures together have the prior of one.
    """
    question = prompts.statement_question(precondition.statement, caption)
    return Probe(prompts.ASK, (), question)


def choice_probes(statement: str, other: str, picture: Picture) -> tuple[Probe, Probe]:
    """Ask which of two statements fits the picture better, in both orders."""
    return (
        Probe(prompts.CHOOSE, (picture,), prompts.choice_question(statement, other), CHOICES),
        Probe(prompts.CHOOSE, (picture,), prompts.choice_question(other, statement), CHOICES),
    )


def read_answer(view: View, answer: AnswerProbs) -> tuple[Read, str | None]:
    """Return what was read, and why it cannot be used if it cannot.

    Numbers that are no probabilities (NaN, negative, above 1) are a problem, never a score.
    """
    problem = answer.problem
    if problem is None and not are_probabilities(answer.p_labels):
        problem = f"the engine returned {answer.p_labels}, which are no probabilities"
    usable = problem is None
    read = Read(
        view=view,
        score=answer.score if usable else None,
        label_mass=answer.label_mass if usable else 0.0,
        top=storable(answer.top),
        exact=answer.exact,
    )
    return read, None if problem is None else f"view {view}: {storable(problem)}"
