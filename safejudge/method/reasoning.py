"""Undecided -> reasoning -> validated answer (CLUE, arXiv 2501.00192, sec. 3.5).

Takes a precondition and a picture; gives what the model said and a rating, or why there is none.
Two turns of one conversation: reason freely, then sum up as JSON under a schema. Only fields of
that JSON count; prose is kept for people and never searched for a verdict.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from safejudge import prompts
from safejudge.flow import request
from safejudge.method.questions import about
from safejudge.text import cut, storable
from safejudge.types import (
    Message,
    NoReply,
    Outcome,
    Picture,
    Precondition,
    Reasoning,
    ReasoningTrace,
)

if TYPE_CHECKING:
    from safejudge.flow import Flow
    from safejudge.policy import Policy

S = TypeVar("S", bound=BaseModel)


def reason_flow(
    precondition: Precondition, picture: Picture, caption: str | None, policy: Policy
) -> Flow[ReasoningTrace]:
    """Reason about one precondition on one picture; a reply that cannot be read has no rating."""
    instruction = prompts.REASON_TOGETHER if picture.parts else prompts.REASON
    asked = about(picture, prompts.statement_question(precondition.statement, caption))
    return (yield from reason_about(instruction, picture.shown, asked, policy))


def reason_about(
    instruction: str, pictures: tuple[Picture, ...], asked: str, policy: Policy
) -> Flow[ReasoningTrace]:
    """Reason about one question, whatever it is about, and sum up."""
    question = Message("user", asked)
    (thought,) = yield from request(
        Reasoning(instruction, pictures, (question,), max_tokens=policy.max_reasoning_tokens)
    )
    if isinstance(thought, NoReply):
        return ReasoningTrace(text="", problem=thought.problem)
    if not isinstance(thought, str) or not thought.strip():
        return ReasoningTrace(text="", problem="the free reasoning was empty or no text")
    thought = storable(thought)
    turns = (question, Message("assistant", thought), Message("user", prompts.SUMMARISE))
    (reply,) = yield from request(
        Reasoning(instruction, pictures, turns, schema=prompts.ReasonedAnswer)
    )
    return read_reply(thought, reply)


def read_reply(thought: str, reply: object) -> ReasoningTrace:
    """Validate the JSON that ends a reasoning: exactly the schema, or a `problem`."""
    answer = validated(reply, prompts.ReasonedAnswer)
    if isinstance(answer, str):
        return ReasoningTrace(text=thought, problem=answer)
    return ReasoningTrace(text=thought, rationale=answer.rationale, rating=answer.rating)


def validated(reply: object, schema: type[S]) -> S | str:
    """Read a reply that is exactly of a schema, or say what is wrong with it."""
    if isinstance(reply, NoReply):
        return reply.problem
    if not isinstance(reply, str):
        return f"the reply is a {type(reply).__name__}, not text"
    try:
        answer = schema.model_validate_json(reply, strict=True)
        # Pydantic lets the last of two equal keys win; a reply with two ratings has none.
        json.loads(reply, object_pairs_hook=_distinct)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "reply"
        return f"{where}: {first['msg']}; got {_excerpt(reply)}"
    except ValueError as error:
        return f"{error}; got {_excerpt(reply)}"
    return answer


def outcome_of(trace: ReasoningTrace, policy: Policy) -> Outcome:
    """Turn a trace into an outcome.

    Algorithm 1 takes anything but Yes for "not satisfied"; a policy that follows it says so in
    `unreadable_reasoning`. By default no rating, and Unsure, leave the precondition undecided; so
    does, under any policy, a model that said nothing at all or was not asked.
    """
    if trace.rating == "Yes":
        return Outcome.YES
    if trace.rating == "No" or (policy.unreadable_reasoning == "no" and trace.text):
        return Outcome.NO
    return Outcome.UNDECIDED


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("the reply has one key twice")
    return dict(pairs)


def _excerpt(reply: str) -> str:
    return storable(repr(cut(reply, 120)))
