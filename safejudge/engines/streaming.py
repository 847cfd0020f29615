"""Requests of a flow -> answers one by one, from engines that take more while others run.

An engine that streams has one method beside its batches (`Streaming.begin`). Here are its answers
put where a pool of flows looks for them, watched for blindness, and counted. An engine without it
is asked in waves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeAlias

from safejudge.engines.meter import stage_of
from safejudge.engines.wrapped import WrappedEngine
from safejudge.types import AnswerProbs, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.base import Engine
    from safejudge.engines.eyes import Eyes
    from safejudge.engines.meter import Meter
    from safejudge.engines.priors import PriorCache
    from safejudge.flow import Answer, Request
    from safejudge.types import Picture

Question: TypeAlias = Probe | Reasoning
_Letter: TypeAlias = tuple[int, Question, AnswerProbs | str | Exception]
Tell: TypeAlias = Callable[[Question, AnswerProbs | str | Exception], None]
"""Is told each answer once, from any thread; an exception instead of one ends the run."""


class Streaming(Protocol):
    """What an engine has that takes requests while others run."""

    def begin(self, requests: Sequence[Question], tell: Tell) -> Callable[[], None]:
        """Begin with these, after those that came before, and do not wait.

        Answers are those of `answer_probs` and `reason`. Returns what gives up those that are not
        answered; of these `tell` may be told no more. Raises `EngineCallError`.
        """


def streaming(engine: Engine) -> Streaming | None:
    """The engine's way to answer one by one; None where it has none, or one inside it has none."""
    inside: Engine = engine
    while isinstance(inside, WrappedEngine):
        if not hasattr(inside, "begin"):
            return None
        inside = inside.engine
    return engine if hasattr(inside, "begin") else None  # type: ignore[return-value]


class EngineStream:
    """One engine's part of a stream: see `flow.Stream`. For one thread."""

    def __init__(
        self,
        engine: Engine,
        begins: Streaming,
        eyes: Eyes | None,
        cache: PriorCache | None,
        tell: Tell,
    ) -> None:
        self._engine, self._begins, self._eyes, self._tell = engine, begins, eyes, tell
        self._cache = cache if engine.card.revision else None
        self._giving_up: dict[Question, Callable[[], None]] = {}
        """By each request that is under way, what gives it up: no more than these are held."""
        self._fresh: dict[Probe, AnswerProbs] = {}
        """Answers without a picture that are not kept yet."""
        self._priors: set[tuple[str, ...]] = set()
        """Words of questions without a picture that are not answered yet."""
        self._open: dict[tuple[Picture, ...], set[Probe]] = {}
        """Questions that are not answered yet, by the pictures that they show."""
        self._read: dict[tuple[Picture, ...], dict[Probe, AnswerProbs]] = {}
        """Answers that nobody has watched yet, likewise."""

    def put(self, requests: Sequence[Question]) -> None:
        """Begin with these; what needs no engine is told at once."""
        blind = {r: why for r in requests if isinstance(r, Reasoning) and (why := self._unseen(r))}
        for request, why in blind.items():
            self._tell(request, NoReply(why))
        priors = [r for r in requests if isinstance(r, Probe) and not r.images]
        known: Mapping[Probe, AnswerProbs] = {}
        if self._cache is not None:
            known = self._cache.get(self._engine.card.revision, priors)
        self._priors.update(_words(prior) for prior in priors)
        for probe in (r for r in requests if isinstance(r, Probe) and r.images):
            self._open.setdefault(probe.images, set()).add(probe)
        asked = [r for r in requests if r not in blind and r not in known]
        if asked:
            self._giving_up.update(dict.fromkeys(asked, self._begins.begin(asked, self._tell)))
        for prior, answer in known.items():
            self._tell(prior, answer)

    def _unseen(self, request: Reasoning) -> str | None:
        return None if self._eyes is None else self._eyes.unseen(request)

    def seen(self, request: Question, answer: AnswerProbs | str) -> None:
        """Look at one answer. Raises `EngineCallError` once pictures are not seen."""
        was_asked = self._giving_up.pop(request, None) is not None
        if not (isinstance(request, Probe) and isinstance(answer, AnswerProbs)):
            return
        if request.images:
            self._open[request.images].discard(request)
            self._read.setdefault(request.images, {})[request] = answer
            self._watch(request.images)
            return
        self._priors.discard(_words(request))
        if was_asked:
            self._fresh[request] = answer
        if self._eyes is not None:
            self._eyes.watch([request], [answer])
        for pictures in list(self._read):
            self._watch(pictures)

    def _watch(self, pictures: tuple[Picture, ...]) -> None:
        """Have the answers about pictures watched, once all are there, and those without as well.

        Fewer show nothing: one question may be answered as without them where the next is not.
        """
        answers = self._read[pictures]
        if self._open[pictures] or any(_words(probe) in self._priors for probe in answers):
            return
        del self._open[pictures], self._read[pictures]
        if self._eyes is not None:
            self._eyes.watch(list(answers), list(answers.values()))

    def keep(self) -> None:
        """Keep the answers of all priors that came since the last call, in one access."""
        fresh, self._fresh = self._fresh, {}
        if fresh and self._cache is not None:
            self._cache.put(self._engine.card.revision, fresh)

    def close(self) -> None:
        """Give up what is under way."""
        for give_up in {id(one): one for one in self._giving_up.values()}.values():
            give_up()


class ModelStream:
    """The engines of a judge that stream, by their places; see `flow.Stream`. For one thread."""

    def __init__(
        self,
        engines: Mapping[int, tuple[Engine, Streaming, Eyes | None]],
        cache: PriorCache | None,
        meter: Meter,
        check_open: Callable[[], None],
    ) -> None:
        """Take requests to these engines; `check_open` raises where no more may be taken."""
        self._meter, self._check_open = meter, check_open
        self._mail: SimpleQueue[_Letter | None] = SimpleQueue()
        """Answers from any thread; None wakes who waits for one."""
        self._streams = {
            place: EngineStream(engine, begins, eyes, cache, self._letterbox(place))
            for place, (engine, begins, eyes) in engines.items()
        }
        self._wakes = self._woken = False
        """Whether a letter that wakes is in the mail, and whether one was taken."""
        self._names = {place: engine.card.uri for place, (engine, _, _) in engines.items() if place}
        self._asked: dict[tuple[int, Question], Question] = {}
        """Requests under way, by what the engine was given."""

    def _letterbox(self, place: int) -> Tell:
        return lambda request, answer: self._mail.put((place, request, answer))

    def takes(self, request: Request) -> bool:
        """Whether it goes to an engine that streams."""
        return isinstance(request, Probe | Reasoning) and request.engine in self._streams

    def put(self, requests: Sequence[Request]) -> None:
        """See `flow.Stream`."""
        self._check_open()
        put: dict[int, list[Question]] = {}
        for request in requests:
            if isinstance(request, Probe | Reasoning):
                given = replace(request, engine=0) if request.engine else request
                self._asked[request.engine, given] = request
                put.setdefault(request.engine, []).append(given)
        for place, given_here in put.items():
            self._streams[place].put(given_here)

    def answered(self, *, wait: bool) -> dict[Request, Answer]:
        """See `flow.Stream`."""
        answers: dict[Request, Answer] = {}
        begun = time.perf_counter()
        self._woken = False
        while not answers and self._asked:
            answers = self._taken(wait=wait)
            if self._woken or not wait:
                break
        self._count(answers, time.perf_counter() - begun)
        return answers

    def wake(self) -> None:
        """See `flow.Stream`."""
        if not self._wakes:  # one letter is enough, and of more nobody would take any
            self._wakes = True
            self._mail.put(None)

    def _taken(self, *, wait: bool) -> dict[Request, Answer]:
        """Everything in the mail; with `wait` one letter at least, of which nothing may follow."""
        answers: dict[Request, Answer] = {}
        try:
            while True:
                letter = self._mail.get(block=wait)
                wait = False
                if letter is None:
                    self._wakes, self._woken = False, True
                    continue
                place, given, answer = letter
                if isinstance(answer, Exception):
                    raise answer
                self._streams[place].seen(given, answer)
                answers[self._asked.pop((place, given))] = answer
        except Empty:
            return answers
        finally:
            for stream in self._streams.values():
                stream.keep()

    def _count(self, answers: Mapping[Request, Answer], seconds: float) -> None:
        """Count answers, once for each stage; the time waited is that of the first."""
        stages = Counter(
            stage_of(type(request), self._names.get(getattr(request, "engine", 0), ""))
            for request in answers
        )
        for stage, requests in stages.items():
            self._meter.count(stage, seconds, requests)
            seconds = 0.0

    def close(self) -> None:
        """Give up what is under way."""
        for stream in self._streams.values():
            stream.close()


def _words(probe: Probe) -> tuple[str, ...]:
    return (probe.instruction, probe.question, *probe.labels)
