"""Probes -> the body of one request, in two protocols, and its reply -> one answer for each probe.

OpenAI's Decisions (`POST /v1/decisions`) and System One (`POST /v1/systemone`; vLLM, SGLang and
others) differ in names and in the order of things; both put many questions about one state. The
probes of a request share instruction and pictures: these are the state, and what differs is the
question. Pure; what a number must be is in `numbers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from safejudge.engines.decisions.numbers import (
    Answer,
    choice_answer,
    mass_of,
    noul_answer,
    predicate_answer,
)
from safejudge.engines.server.faults import UnreadableError
from safejudge.engines.server.messages import neutralise
from safejudge.text import cut
from safejudge.types import YES_NO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.types import JSON, Probe

_SHOWN = 100
"""Characters of a reply that go into a message."""

Read: TypeAlias = Answer | UnreadableError
"""What became of one question: its answer, or why there is none."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """OpenAI's protocol: a list of named questions, answered in their order."""

    name: str = "Decisions"
    """What people call it."""
    path: str = "decisions"
    """Where its requests go, below the base address."""
    most_questions: int = 400
    """Of one request."""
    most_labels: int = 255
    """Of one choice."""

    def body(self, model: str, probes: Sequence[Probe], pictures: Sequence[str]) -> JSON:
        """Ask probes that share an instruction and pictures, which come as data URLs."""
        text = neutralise(probes[0].instruction)
        parts: list[JSON] = [{"type": "input_text", "text": text}] if text else []
        parts += [{"type": "input_image", "image_url": url} for url in pictures]
        questions = [
            {"name": _name(place), "instructions": neutralise(probe.question), **_asked(probe)}
            for place, probe in enumerate(probes)
        ]
        turn = {"role": "user", "content": parts}
        return {"model": model, "input": [turn], "questions": questions}

    def read(self, reply: JSON, probes: Sequence[Probe]) -> list[Read]:
        """Read one answer for each probe, in order.

        Raises `UnreadableError` where it is not sure which answer belongs to which question.
        """
        answers = reply.get("answers")
        if not isinstance(answers, list) or len(answers) != len(probes):
            given = len(answers) if isinstance(answers, list) else "no list of"
            raise UnreadableError(f"the reply has {given} answers to {len(probes)} questions")
        for place, answer in enumerate(answers):
            named = answer.get("name") if isinstance(answer, dict) else _name(place)
            if named != _name(place):
                raise UnreadableError(
                    f"the reply has an answer named {cut(repr(named), _SHOWN)} in the place of "
                    f"{_name(place)!r}"
                )
        return [_read(self._answer, *pair) for pair in zip(answers, probes, strict=True)]

    @staticmethod
    def _answer(answer: JSON, probe: Probe) -> Answer:
        if probe.labels == YES_NO:
            _check_kind(answer, "predicate")
            return predicate_answer(answer.get("probability"))
        _check_kind(answer, "choice")
        listed = answer.get("probabilities")
        if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
            raise UnreadableError("the answer has no list of probabilities")
        pairs = [(part.get("value"), part.get("probability")) for part in listed]
        return choice_answer(pairs, answer.get("choice"), probe.labels)


@dataclass(frozen=True, slots=True)
class SystemOne:
    """The protocol of vLLM and others: a map of questions; where told, with the label mass."""

    name: str = "System One"
    """What people call it."""
    path: str = "systemone"
    """Where its requests go, below the base address."""
    most_questions: int = 64
    """Of one request."""
    most_labels: int = 26
    """Of one choice."""

    def body(self, model: str, probes: Sequence[Probe], pictures: Sequence[str]) -> JSON:
        """Ask probes that share an instruction and pictures, which come as data URLs."""
        questions = {
            _name(place): {"instructions": neutralise(probe.question), **_wanted(probe)}
            for place, probe in enumerate(probes)
        }
        body = {
            "model": model,
            # Its own field `instructions` is refused for models that read a fixed prompt.
            "state": neutralise(probes[0].instruction),
            "questions": questions,
        }
        return body | ({"images": list(pictures)} if pictures else {})

    def read(self, reply: JSON, probes: Sequence[Probe]) -> list[Read]:
        """Read one answer for each probe, in order.

        Raises `UnreadableError` where the reply answers something that was not asked.
        """
        answers = reply.get("answers")
        if not isinstance(answers, dict):
            raise UnreadableError("the reply has no answers")
        names = [_name(place) for place in range(len(probes))]
        if more := answers.keys() - set(names):
            shown = cut(repr(min(more)), _SHOWN)
            raise UnreadableError(f"the reply has an answer named {shown}, which was not asked")
        told = reply.get("diagnostics")
        told = told if isinstance(told, dict) else {}
        return [
            _read(partial(self._answer, told=told.get(name)), answers.get(name), probe)
            for name, probe in zip(names, probes, strict=True)
        ]

    @staticmethod
    def _answer(answer: JSON, probe: Probe, told: Any) -> Answer:
        mass = mass_of(told)
        listed = answer.get("probabilities")
        if probe.labels == YES_NO:
            _check_kind(answer, "noul")
            return noul_answer(answer.get("noul"), listed, mass)
        _check_kind(answer, "choice")
        if not isinstance(listed, dict):
            raise UnreadableError("the answer has no map of probabilities")
        return choice_answer(list(listed.items()), answer.get("choice"), probe.labels, mass)


Protocol: TypeAlias = Decisions | SystemOne

PROTOCOLS: tuple[Protocol, ...] = (SystemOne(), Decisions())
"""In the order in which they are tried: the first may tell the label mass, the second cannot."""


def _name(place: int) -> str:
    """Name a question by its place alone: some models read the name."""
    return f"q{place + 1}"


def _asked(probe: Probe) -> JSON:
    if probe.labels == YES_NO:
        return {"type": "predicate"}
    return {"type": "choice", "choices": [{"value": label} for label in probe.labels]}


def _wanted(probe: Probe) -> JSON:
    if probe.labels == YES_NO:
        return {"type": "noul"}
    return {"type": "choice", "criteria": dict.fromkeys(probe.labels)}


def _read(read: Callable[[JSON, Probe], Answer], answer: Any, probe: Probe) -> Read:
    """Read one answer; what is wrong with it is its own affair."""
    if answer is None:
        return UnreadableError("the reply has no answer to this question")
    if not isinstance(answer, dict):
        return UnreadableError(f"the answer is no object: {cut(repr(answer), _SHOWN)}")
    try:
        return read(answer, probe)
    except UnreadableError as error:
        return error


def _check_kind(answer: JSON, kind: str) -> None:
    found = answer.get("type")
    if found == "refusal":
        raise UnreadableError("the model refused to answer this question")
    if found != kind:
        raise UnreadableError(f"the answer is of type {cut(repr(found), _SHOWN)}, not {kind!r}")
