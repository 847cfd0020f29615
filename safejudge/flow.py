"""Flows: logic as generators that yield requests and are sent the answers.

Takes flows; gives one flow (`gather`) or a result (`drive`). A flow says what it needs to know and
never who answers, so the same chain runs on any engine, in a batch of one or of a thousand, and
in tests against a plain function. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TypeAlias, TypeVar

from safejudge.errors import EngineCallError
from safejudge.types import AnswerProbs, Box, Locate, Probe, Reasoning, Similarity

T = TypeVar("T")

Request: TypeAlias = Similarity | Probe | Locate | Reasoning
"""What a flow may ask; `CHEAPEST_FIRST` has the order."""

Answer: TypeAlias = float | AnswerProbs | tuple[Box, ...] | str
"""What it is sent: a number for a `Similarity`, `AnswerProbs` for a `Probe`, boxes for a `Locate`,
text for a `Reasoning`."""

CHEAPEST_FIRST: tuple[type[Request], ...] = (Similarity, Probe, Locate, Reasoning)
"""Kinds of requests in the order in which waves ask them. A detector's pass costs several reads of
a picture that the engine holds already."""

Flow: TypeAlias = Generator[tuple[Request, ...], tuple[Answer, ...], T]
"""Yields a tuple of requests, is sent an equally long tuple of answers, returns a result."""


def ask(*probes: Probe) -> Flow[tuple[AnswerProbs, ...]]:
    """Yield probes together and return their answers, in order.

    Raises `EngineCallError` for an answer that is none.
    """
    answers = yield probes
    checked = tuple(answer for answer in answers if isinstance(answer, AnswerProbs))
    if len(checked) != len(probes):
        wrong = [type(a).__name__ for a in answers if not isinstance(a, AnswerProbs)]
        raise EngineCallError(f"the engine answered a probe with {wrong}, not with AnswerProbs")
    return checked


def gather(flows: Iterable[Flow[T]]) -> Flow[list[T]]:
    """Merge flows into one, wave by wave; the results stand in the flows' order.

    A request is yielded once, however many flows make an equal one, now or in a later wave.
    Cheap requests go first: a wave holds requests of one kind, the cheapest that any flow waits
    for. An exception inside one flow ends them all; flows that ended earlier lose nothing but the
    list.
    """
    branches = list(flows)
    wanted: dict[int, tuple[Request, ...]] = {}
    results: dict[int, T] = {}
    known: dict[Request, Answer] = {}

    def advance(index: int) -> None:
        """Run one flow until it wants something unknown or ends."""
        flow = branches[index]
        try:
            requests = _answered(flow, wanted[index], known) if index in wanted else next(flow)
            while all(request in known for request in requests):
                requests = _answered(flow, requests, known)
        except StopIteration as end:
            results[index] = end.value
            wanted.pop(index, None)
        else:
            wanted[index] = requests

    try:
        for index in range(len(branches)):
            advance(index)
        while wanted:
            wave = _next_wave(wanted.values(), known)
            answers = yield wave
            known.update(zip(wave, answers, strict=True))
            for index, requests in list(wanted.items()):
                if all(request in known for request in requests):
                    advance(index)
    finally:
        for flow in branches:
            flow.close()
    return [results[index] for index in range(len(branches))]


def _answered(
    flow: Flow[T], requests: tuple[Request, ...], known: Mapping[Request, Answer]
) -> tuple[Request, ...]:
    return flow.send(tuple(known[request] for request in requests))


def _next_wave(
    wanted: Iterable[tuple[Request, ...]], known: Mapping[Request, Answer]
) -> tuple[Request, ...]:
    """Every different open request of the cheapest kind, in the order of the flows."""
    pending = dict.fromkeys(r for requests in wanted for r in requests if r not in known)
    waves = (tuple(r for r in pending if isinstance(r, kind)) for kind in CHEAPEST_FIRST)
    return next(wave for wave in waves if wave)


def drive(flow: Flow[T], answer: Callable[[Sequence[Request]], Sequence[Answer]]) -> T:
    """Run a flow to its end; `answer` gets each wave and returns as many answers, in order.

    Raises what `answer` raises, and `EngineCallError` when it returns another number of answers.
    """
    answers: tuple[Answer, ...] | None = None
    with closing(flow):
        while True:
            try:
                wave = next(flow) if answers is None else flow.send(answers)
            except StopIteration as end:
                result: T = end.value
                return result
            answers = tuple(answer(wave))
            if len(answers) != len(wave):
                raise EngineCallError(
                    f"the engine returned {len(answers)} answers to {len(wave)} requests; "
                    "an engine must answer each request once, in order"
                )
