"""Flows: logic as generators that yield requests and are sent the answers.

Takes flows; gives one flow (`gather`), a result (`drive`) or results in order (`pool`). A flow says
what it needs to know and never who answers, so the same chain runs on any engine, in a batch of one
or of a thousand, and in tests against a plain function. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Generic, Protocol, TypeAlias, TypeVar

from safejudge.errors import EngineCallError
from safejudge.types import (
    AnswerProbs,
    Box,
    Finding,
    Locate,
    Look,
    Probe,
    Reasoning,
    Similarity,
)

T = TypeVar("T")

Request: TypeAlias = Look | Similarity | Probe | Locate | Reasoning
"""What a flow may ask; `CHEAPEST_FIRST` has the order."""


class NotAsked(Exception):  # noqa: N818 - no fault: whoever answers goes by what was asked before
    """Stands for the answer to a request that nobody was asked; raised where it is wanted."""


Answer: TypeAlias = Finding | float | AnswerProbs | tuple[Box, ...] | str | NotAsked
"""What it is sent: a `Finding` for a `Look`, a number for a `Similarity`, `AnswerProbs` for a
`Probe`, boxes for a `Locate`, text for a `Reasoning`; of a replay perhaps `NotAsked`."""

CHEAPEST_FIRST: tuple[type[Request], ...] = (Look, Similarity, Probe, Locate, Reasoning)
"""Kinds of requests in the order in which waves ask them. What a program finds may make every
question needless. A detector's pass costs several reads of
a picture that the engine holds already."""

Flow: TypeAlias = Generator[tuple[Request, ...], tuple[Answer, ...], T]
"""Yields a tuple of requests, is sent an equally long tuple of answers, returns a result."""

Answerer: TypeAlias = Callable[[Sequence[Request]], Sequence[Answer]]
"""Who answers a wave: as many answers as requests, in order."""


class Stream(Protocol):
    """Answers some requests one by one, while others are under way and the flows go on."""

    def takes(self, request: Request) -> bool:
        """Whether this request is answered here; else it waits for a wave."""

    def put(self, requests: Sequence[Request]) -> None:
        """Begin with these, after those that came before, and do not wait."""

    def answered(self, *, wait: bool) -> dict[Request, Answer]:
        """Hand over what was answered since; with `wait` at least one answer, unless woken.

        Raises what the one who answers raises.
        """

    def wake(self) -> None:
        """Let who waits for an answer go on without one; from any thread."""

    def close(self) -> None:
        """Give up what is under way."""


AHEAD = 2
"""Sizes of a pool by which its newest flow may be ahead of the oldest."""

LATE = 2
"""The oldest flow of a pool is late with a dear request once 1 / `LATE` of a pool has begun after
it."""


def request(*requests: Request) -> Flow[tuple[Answer, ...]]:
    """Yield requests together and return their answers. Raises `NotAsked` where one is that."""
    answers = yield requests
    for answer in answers:
        if isinstance(answer, NotAsked):
            raise NotAsked(*answer.args)
    return answers


def ask(*probes: Probe) -> Flow[tuple[AnswerProbs, ...]]:
    """Yield probes together and return their answers, in order.

    Raises `EngineCallError` for an answer that is none, and `NotAsked`.
    """
    answers = yield from request(*probes)
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
    live: _Live[T] = _Live(branches)
    try:
        for index, flow in enumerate(branches):
            live.start(index, flow)
        while live.pending:
            wave = live.wave()
            live.take(zip(wave, (yield wave), strict=True))
    finally:
        live.close()
    return [live.results[index] for index in range(len(branches))]


def room(size: int) -> int:
    """How many flows a pool takes in at a time: first questions, too, are asked in batches."""
    return max(1, size // 4)


class Pool(Generic[T]):
    """Flows under way together, `size` at most; others may begin while these go on.

    As in `gather` requests are merged into waves, cheap ones first, but not for ever: once
    `size / LATE` flows have begun after the oldest, the dear request that it waits for is asked
    next, with all others of that kind. So results come steadily, and dear requests still come in
    batches. Flows come in by `room(size)`, so first questions are asked in batches, too. Equal
    requests of flows that are under way together, or begin within a room of one another, are asked
    once; older answers are let go of, for their requests hold pictures. For one thread.

    What a `stream` takes is put to it as soon as a flow wants it, in no waves: dear requests stand
    behind those of earlier flows and before those of later ones, and a flow goes on when its own
    answers are there.
    """

    def __init__(self, answer: Answerer, size: int, stream: Stream | None = None) -> None:
        self._answer, self._size, self._stream = answer, size, stream
        self._live: _Live[T] = _Live()
        self.begun = 0
        """How many flows have begun: the number of the next."""

    @property
    def under_way(self) -> int:
        """How many flows have begun and not ended."""
        return len(self._live.pending)

    @property
    def oldest(self) -> int:
        """The number of the flow that began first of those under way; else of the next."""
        return next(iter(self._live.pending), self.begun)

    @property
    def room(self) -> int:
        """How many flows may begin now; none while the oldest has waited long enough."""
        return 0 if self._is_late() else places(self._size - self.under_way, self._size)

    def begin(self, flows: Iterable[Flow[T]]) -> None:
        """Run flows until they want something unknown or end; each gets the next number."""
        self._live.forget()
        for flow in flows:
            number, self.begun = self.begun, self.begun + 1
            self._live.start(number, flow)

    def step(self) -> None:
        """Ask one wave, if a flow is under way, and run the flows that know enough.

        With a stream: put to it what it takes, ask a wave of the rest, and go on with what was
        answered meanwhile; where there is no rest, wait for an answer.

        Raises what the one who answers raises, and `EngineCallError` for another number of answers.
        """
        if not self._live.pending:
            return
        if self._stream is not None:
            self._stream.put(self._live.send(self._stream.takes))
        wave = self._live.wave(self.oldest) if self._is_late() else self._live.wave()
        if wave:
            self._live.take(zip(wave, _answers(self._answer, wave), strict=True))
        if self._stream is not None and self._live.sent:
            self._live.take(self._stream.answered(wait=not wave).items())

    def ended(self) -> dict[int, T]:
        """Hand over the results of flows that have ended, by number."""
        results, self._live.results = self._live.results, {}
        return results

    def drop(self, number: int) -> None:
        """End a flow whose result nobody waits for; what only it wants is not asked."""
        self._live.drop(number)

    def forget(self) -> None:
        """Let go of old answers, and so of pictures, although no flow begins."""
        self._live.forget()

    def wake(self) -> None:
        """End a step that only waits for an answer of the stream: there is more to do."""
        if self._stream is not None:
            self._stream.wake()

    def close(self) -> None:
        """End every flow that has not ended."""
        try:
            self._live.close()
        finally:
            if self._stream is not None:
                self._stream.close()

    def _is_late(self) -> bool:
        waited = self.begun - self.oldest
        return waited > self._size / LATE and self._live.waits_for_dear(self.oldest)


def places(free: int, size: int) -> int:
    """How many of the free places of a pool are given away: a room of them, or none."""
    return room(size) if free >= room(size) else 0


def pool(
    flows: Iterable[Flow[T]],
    answer: Answerer,
    size: int,
    has_room: Callable[[], bool] = lambda: True,
    stream: Stream | None = None,
) -> Iterator[T]:
    """Run flows from a supply, perhaps endless, in a `Pool`; yield results in order.

    A flow that ends makes room for the next, so that those few that take many steps leave no engine
    idle. A flow may end before an earlier one: then its result waits, and the newest flow is at
    most `AHEAD * size` after the oldest. While memory `has_room` no more, none is taken from the
    supply, unless no flow is under way.

    Raises what `answer` raises, and `EngineCallError` when it returns another number of answers.
    """
    supply = iter(flows)
    running: Pool[T] = Pool(answer, size, stream)
    results: dict[int, T] = {}
    yielded = 0
    try:
        while True:
            results |= running.ended()
            while yielded in results:
                yield results.pop(yielded)
                yielded += 1
            if not has_room():
                running.forget()
            ahead = yielded + AHEAD * size - running.begun
            count = min(running.room, places(ahead, size))
            new = list(_taken(supply, running, has_room, count))
            if new:
                running.begin(new)
            elif running.under_way:
                running.step()
            else:
                return
    finally:
        running.close()


def _taken(
    supply: Iterator[Flow[T]], running: Pool[T], has_room: Callable[[], bool], most: int
) -> Iterator[Flow[T]]:
    """Take flows from the supply while there is room, but one where nothing else is to do."""
    for count in range(most):
        if not (has_room() or (count == 0 and not running.under_way)):
            return
        yield from islice(supply, 1)


class _Live(Generic[T]):
    """Flows under way: what each waits for, what those that ended gave, and every answer."""

    def __init__(self, waiting: Iterable[Flow[T]] = ()) -> None:
        self.pending: dict[int, tuple[Request, ...]] = {}
        self.results: dict[int, T] = {}
        self.sent: set[Request] = set()
        """Requests that a stream was given and has not answered."""
        self._flows = dict(enumerate(waiting))
        self._recent: dict[Request, Answer] = {}
        self._older: dict[Request, Answer] = {}

    def start(self, index: int, flow: Flow[T]) -> None:
        """Run a flow until it wants something unknown or ends."""
        self._flows[index] = flow
        self._advance(index, None)

    def wave(self, first: int | None = None) -> tuple[Request, ...]:
        """Every different open request of the cheapest kind, in the order of the flows.

        With `first`, the number of a flow: of the cheapest kind that this one waits for. Empty
        where a stream has them all.
        """
        flows = self.pending.values() if first is None else [self.pending[first]]
        kinds = map(_cost, filter(self._is_open, chain.from_iterable(flows)))
        if (kind := min(kinds, default=None)) is None:
            return ()
        return tuple(dict.fromkeys(r for r in self._open() if _cost(r) == kind))

    def send(self, takes: Callable[[Request], bool]) -> list[Request]:
        """Every different open request that is taken, in the order of the flows; open no more."""
        requests = list(dict.fromkeys(filter(takes, self._open())))
        self.sent.update(requests)
        return requests

    def waits_for_dear(self, index: int) -> bool:
        """Whether all that a flow waits for is dearer than a question."""
        costs = [_cost(r) for r in self.pending.get(index, ()) if self._is_open(r)]
        return bool(costs) and min(costs) > CHEAPEST_FIRST.index(Probe)

    def take(self, answers: Iterable[tuple[Request, Answer]]) -> None:
        """Hand answers to the flows that wait for them."""
        known = dict(answers)
        self._recent.update(known)
        self.sent.difference_update(known)
        for index, requests in list(self.pending.items()):
            if all(map(self._knows, requests)):
                self._advance(index, requests)

    def forget(self) -> None:
        """Let go of the answers that were old already at the last call and that nobody awaits."""
        awaited = (r for requests in self.pending.values() for r in requests if self._knows(r))
        awaited_answers = {request: self._answer(request) for request in awaited}
        self._older, self._recent = self._recent | awaited_answers, {}

    def drop(self, index: int) -> None:
        """End one flow that has not ended."""
        self.pending.pop(index, None)
        if (flow := self._flows.pop(index, None)) is not None:
            flow.close()

    def close(self) -> None:
        """End every flow that has not ended."""
        for flow in self._flows.values():
            flow.close()

    def _advance(self, index: int, requests: tuple[Request, ...] | None) -> None:
        """Send a flow what is known, until it wants something else or ends."""
        flow = self._flows[index]
        try:
            if requests is None:
                requests = next(flow)
            while all(map(self._knows, requests)):
                requests = flow.send(tuple(map(self._answer, requests)))
        except StopIteration as end:
            self.results[index] = end.value
            self.pending.pop(index, None)
            del self._flows[index]
        else:
            self.pending[index] = requests

    def _open(self) -> Iterator[Request]:
        return filter(self._is_open, chain.from_iterable(self.pending.values()))

    def _is_open(self, request: Request) -> bool:
        return request not in self.sent and not self._knows(request)

    def _knows(self, request: Request) -> bool:
        return request in self._recent or request in self._older

    def _answer(self, request: Request) -> Answer:
        if request not in self._recent:  # in use, so young again
            self._recent[request] = self._older[request]
        return self._recent[request]


def _cost(request: Request) -> int:
    """Place among `CHEAPEST_FIRST`."""
    return CHEAPEST_FIRST.index(type(request))


def drive(flow: Flow[T], answer: Answerer) -> T:
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
            answers = _answers(answer, wave)


def _answers(answer: Answerer, wave: Sequence[Request]) -> tuple[Answer, ...]:
    answers = tuple(answer(wave))
    if len(answers) != len(wave):
        raise EngineCallError(
            f"the engine returned {len(answers)} answers to {len(wave)} requests; "
            "an engine must answer each request once, in order"
        )
    return answers
