"""Whether a model answers at the place where it is read.

A model that first writes a thought, a recipient or the name of a channel gives yes and no hardly
any probability at the end of its prompt: every read is refused, and what little is decided is
decided by words that were forced. So two trivial questions are asked when an engine is opened.
Takes a way to read them; gives the labels of the place that works. It loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.engines.dialects import NONE, notes
from safejudge.engines.local.proofs import close_thought
from safejudge.engines.tokens import LabelBook
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.engines.local.chat import Chat
    from safejudge.types import AnswerProbs

LEAST_MASS = 0.5
"""P(yes) + P(no) that one of the trivial questions needs; what `Policy` asks of every read."""

_TAIL = 60
"""Characters of a prompt's end that a message shows."""


def prove_place(
    read: Callable[[LabelBook], Sequence[AnswerProbs]],
    chat: Chat,
    model: str,
    *,
    least_mass: float = LEAST_MASS,
) -> LabelBook:
    """Return the labels after this chat's prompts; `read` asks the trivial questions by them.

    A model that wants to open a thought of its own is read after an empty one, if it answers
    there. Raises `EngineSetupError` where yes and no have less than `least_mass` after both
    questions.
    """
    labels = LabelBook(chat.encode, chat.question_prompt(), model, chat.labels)
    answers = read(labels)
    if _answered(answers, least_mass):
        chat.notes = () if chat.dialect is None else notes(chat.dialect, answers)
        return labels
    opening = chat.opening
    if chat.dialect is None and not opening and (thought := _empty_thought(answers)):
        chat.set_opening(thought)
        closed = LabelBook(chat.encode, chat.question_prompt(), model)
        if _answered(read(closed), least_mass):
            return closed
        chat.set_opening(opening)
    raise EngineSetupError(_elsewhere(answers, chat, model, least_mass))


def _empty_thought(answers: Sequence[AnswerProbs]) -> str:
    """Return the thought that the model wants to open, closed; empty where it wants none."""
    marks = {(answer.top or "").strip() for answer in answers}
    opened = f"{marks.pop()}\n" if len(marks) == 1 else ""
    closed = close_thought(opened)
    return opened + closed if closed else ""


def _answered(answers: Sequence[AnswerProbs], least_mass: float) -> bool:
    return any(answer.problem is None and answer.label_mass >= least_mass for answer in answers)


def _elsewhere(answers: Sequence[AnswerProbs], chat: Chat, model: str, least_mass: float) -> str:
    asked = " / ".join(dict.fromkeys(probe.question for probe in chat.trivial))
    tail = chat.question_prompt()[-_TAIL:]
    problems = [answer.problem for answer in answers if answer.problem]
    if problems:
        return f"{model}: it answers not even {asked} ({problems[0]}). Use another model."
    masses = " and ".join(f"{answer.label_mass:.2g}" for answer in answers)
    wanted = " or ".join(dict.fromkeys(repr(answer.top) for answer in answers))
    if chat.dialect is not None:
        return (
            f"{model} does not answer as the dialect {chat.dialect.name} says: asked about "
            f"{asked}, {' and '.join(chat.labels)} have {masses} of the probability together "
            f"(least_mass: {least_mass:g}), and it wants to say {wanted}. Its prompts end in "
            f"{tail!r}. --dialect {NONE} asks it as any other model; --engine-arg least_mass=0 "
            "opens it as it is."
        )
    return (
        f"{model} does not answer where it is read: to {asked} yes and no have {masses} of the "
        f"probability together (least_mass: {least_mass:g}), and it wants to say {wanted}. Its "
        f"prompts end in {tail!r}. If something has to come before the answer, write it: "
        "--engine-arg reply_prefix='<think></think>'; if its template has a switch, set it: "
        "--engine-arg template_args='{\"NAME\": false}'; or use another model. --engine-arg "
        "least_mass=0 opens it as it is."
    )
