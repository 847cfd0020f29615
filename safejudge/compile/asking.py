"""One reply of a language model: forced into a small form, checked, and asked for again.

Every reply is forced into a schema and validated. One that cannot be used is asked for again with
what is wrong with it, and in the end reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from safejudge.compile import prompts
from safejudge.constitution.strict_yaml import first_hidden
from safejudge.method.reasoning import validated
from safejudge.text import one_line, spelled, storable
from safejudge.types import Message, Reasoning

if TYPE_CHECKING:
    from safejudge.flow import Flow

ATTEMPTS = 3
"""How often one reply is asked for."""
_REPLY_TOKENS = 1200

Tell = Callable[[str], None]
"""Is told every step, in a few words."""

R = TypeVar("R", bound=prompts.Reply)


class UnusableError(Exception):
    """A model gave no usable reply within the attempts; the message says what was wrong."""


def single_reply(
    instruction: str,
    turns: list[str],
    schema: type[R],
    check: Callable[[R], str | None] = lambda _: None,
) -> Flow[R]:
    """Ask once, without a conversation before it."""
    return (yield from conversed(instruction, [Message("user", t) for t in turns], schema, check))


def conversed(
    instruction: str,
    turns: list[Message],
    schema: type[R],
    check: Callable[[R], str | None] = lambda _: None,
) -> Flow[R]:
    """Ask until a reply can be used, saying what is wrong; it is added to the turns.

    A model that repeats a reply after it was told what is wrong with it would go on doing so, and
    is not asked again. Raises `UnusableError`.
    """
    tries = list(turns)
    problem: str | None = None
    refused: set[object] = set()
    for _ in range(ATTEMPTS):
        (raw,) = yield (Reasoning(instruction, (), tuple(tries), schema, max_tokens=_REPLY_TOKENS),)
        reply = validated(raw, schema)
        problem = reply if isinstance(reply, str) else check(reply)
        if not isinstance(reply, str) and problem is None:
            turns.append(Message("assistant", turn_text(raw)))
            return reply
        if raw in refused:
            break
        refused.add(raw)
        again = prompts.again_turn(spelled(storable(str(problem))))
        tries += [Message("assistant", turn_text(raw)), Message("user", again)]
    raise UnusableError(f"no usable {schema.__name__.lower()}: {spelled(storable(str(problem)))}")


def turn_text(reply: object) -> str:
    """Put a reply into the conversation, whatever it is."""
    text = storable(reply).strip() if isinstance(reply, str) else ""
    return text or "(no reply)"


def unprintable(text: str) -> str | None:
    """Say why nobody could read a text; None if it can be read."""
    if first_hidden(text) is not None:
        return "it has characters that nobody sees"
    return None if one_line(text) else "it is empty"


def read_again(instruction: str, turn: str, subject: str) -> Flow[tuple[str, ...]]:
    """Ask a second reader, who knows nothing of how it came about; what he finds, or nothing."""
    try:
        reply = yield from single_reply(instruction, [turn], prompts.Comparison, _check_reading)
    except UnusableError as error:
        return (f"there was no second reading of {subject}: {error}",)
    if reply.verdict == "same":
        return ()
    return (f"second reading: {subject} {reply.verdict} {one_line(reply.difference)}",)


def _check_reading(reply: prompts.Comparison) -> str | None:
    if reply.verdict != "same" and one_line(reply.difference).lower().strip(".") == "nothing":
        return f"`{reply.verdict}` with no difference named"
    return unprintable(reply.difference)
