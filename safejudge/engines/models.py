"""The models of one judge: who answers which request.

Takes a wave of requests of a flow; gives the answers in order. Here, and only here, logic meets
models: an engine, perhaps an encoder and a detector, and the disk's memory of language priors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines.eyes import Eyes, looks_at_nothing, prove_sight
from safejudge.engines.forks import ProcessLock
from safejudge.engines.meter import Meter, Tokens, stage_of
from safejudge.engines.open import KITS, open_detector, open_encoder, open_engine
from safejudge.engines.priors import PriorCache, answer_probes
from safejudge.engines.streaming import ModelStream, streaming
from safejudge.engines.wrapped import whole
from safejudge.errors import EngineCallError, InputError
from safejudge.flow import Answer, Request
from safejudge.programs.running import Programs
from safejudge.types import Locate, Look, ModelRef, NoReply, Panel, Probe, Reasoning, Similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.flow import Stream
    from safejudge.images.hashes import HashList
    from safejudge.types import AnswerProbs, Box

DEFAULT = "default"
"""Stands for the encoder or detector that an engine comes with."""

R = TypeVar("R", bound=Request)
A = TypeVar("A", Probe, Reasoning)
T = TypeVar("T")
M = TypeVar("M", bound="Engine | Encoder | Detector")


@dataclass(slots=True)
class Models:
    """An engine and what may stand beside it; thread-safe: callers take turns."""

    engine: Engine
    """The first of the engines; where there is one, the engine."""
    encoder: Encoder | None = None
    """For the relevance filter."""
    detector: Detector | None = None
    """For the regions."""
    cache: PriorCache | None = None
    """Keeps the language priors."""
    owned: tuple[Engine | Encoder | Detector, ...] = ()
    """What `close` closes."""
    meter: Meter = field(default_factory=Meter)
    """What answering cost so far."""
    eyes: Eyes | None = None
    """Watches whether the engine sees; None: nobody does."""
    also: tuple[Engine, ...] = ()
    """Engines whose answers count as much."""
    escalation: Engine | None = None
    """The engine that is asked what those leave open."""
    more_eyes: tuple[Eyes | None, ...] = ()
    """Those of the engines beside the first, by place; none: nobody watches."""
    skip: HashList | None = None
    """Pictures that none of them may be shown; a judge holds every image against it."""
    programs: Programs = field(default_factory=Programs)
    """The programs of the rules."""
    _lock: ProcessLock = field(default_factory=ProcessLock, repr=False)
    _closed: bool = False

    @staticmethod
    def opened(  # noqa: PLR0913 - one argument for each model that a user chooses
        engine: str | Engine,
        encoder: str | Encoder | None,
        detector: str | Detector | None,
        cache: PriorCache | None,
        engine_args: Mapping[str, Any] | None = None,
        *,
        also: Sequence[str | Engine] = (),
        escalate_to: str | Engine | None = None,
        skip: HashList | None = None,
    ) -> Models:
        """Open what is named by a URI and own it; objects stay the caller's.

        `"default"` is what the engine comes with (`KITS`), or nothing. `engine_args` are options
        of the engine that is opened here. `also` and `escalate_to` are further engines (`Panel`);
        those of `also` are put in the order of their URIs. `skip` is what none of them may be
        shown. Raises `EngineSetupError`, also for an
        engine that does not see (`eyes.prove_sight`).
        """
        if engine_args and not isinstance(engine, str):
            raise InputError("engine_args are for an engine named by its URI; this one is open")
        kit = KITS.get(engine if isinstance(engine, str) else engine.card.uri)
        encoder = kit if encoder == DEFAULT else encoder
        detector = kit if detector == DEFAULT else detector
        owned: list[Engine | Encoder | Detector] = []

        def register(model: M) -> M:
            owned.append(model)
            return model

        def opened(engine: str | Engine, **options: Any) -> tuple[Engine, Eyes | None]:
            if isinstance(engine, str):
                engine = register(open_engine(engine, **options))
            takes_tokens = prove_sight(engine)
            eyes = Eyes(engine.card.uri, takes_tokens=takes_tokens)
            return whole(engine), None if looks_at_nothing(engine) else eyes

        try:
            first, eyes = opened(engine, **(engine_args or {}))
            beside = sorted(map(opened, also), key=lambda pair: _name(pair[0]))
            last = None if escalate_to is None else opened(escalate_to)
            return Models(
                first,
                register(open_encoder(encoder)) if isinstance(encoder, str) else encoder,
                register(open_detector(detector)) if isinstance(detector, str) else detector,
                cache,
                tuple(owned),
                eyes=eyes,
                also=tuple(engine for engine, _ in beside),
                escalation=None if last is None else last[0],
                more_eyes=tuple(eyes for _, eyes in (*beside, *filter(None, [last]))),
                skip=skip,
            )
        except BaseException:
            for model in owned:
                model.close()
            raise

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer one wave, in order.

        Raises `EngineCallError` when a model fails, returns another number of answers or sees no
        pictures any more, and `InputError` after `close`.
        """
        answers: dict[Request, Answer] = {}
        with self._lock:
            self._check_open()
            for place in _places(requests):
                if probes := _put_to(place, requests, Probe):
                    answers.update(self._read(place, probes))
                if reasonings := _put_to(place, requests, Reasoning):
                    with self._timed(reasonings, self._place(place).card.uri if place else ""):
                        answers.update(self._reasoned(place, reasonings))
            if pairs := [r for r in requests if isinstance(r, Similarity)]:
                encoder = _present(self.encoder)
                with self._timed(pairs):
                    similar = encoder.similarities(pairs)
                answers.update(_matched(encoder, pairs, similar))
            if looks := [r for r in requests if isinstance(r, Look)]:
                with self._timed(looks):
                    found = self.programs.look(looks, None if self.detector is None else self._find)
                answers.update(zip(looks, found, strict=True))
            if searches := [r for r in requests if isinstance(r, Locate)]:
                with self._timed(searches):
                    answers.update(zip(searches, self._find(searches), strict=True))
        return [answers[request] for request in requests]

    def stream(self) -> Stream | None:
        """Answer one by one what goes to engines that can; None where none can.

        For one run of a pool, which closes it. Raises `InputError` after `close`, as putting more
        to it does.
        """
        self._check_open()
        able = {
            place: (engine, begins, self._eyes(place))
            for place, engine in enumerate(self.engines)
            if (begins := streaming(engine)) is not None
        }
        return ModelStream(able, self.cache, self.meter, self._check_open) if able else None

    def _find(self, searches: Sequence[Locate]) -> list[tuple[Box, ...]]:
        """Have the detector look."""
        detector = _present(self.detector)
        boxes = detector.locate(searches)
        if len(boxes) != len(searches):
            raise _uneven(detector, len(searches), len(boxes))
        return boxes

    def priors(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Answer questions without an image before a run; its meter does not count them.

        Raises as `answer` does.
        """
        with self._lock:
            self._check_open()
            found: dict[Probe, AnswerProbs] = {}
            for place in _places(probes):
                put = _put_to(place, probes, Probe)
                plain = [_plain(probe) for probe in put]
                answers = answer_probes(self._place(place), self.cache, plain)
                found.update(zip(put, answers, strict=True))
            return [found[probe] for probe in probes]

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Ask the engines; of several the one that takes the most of a text counts.

        See `Engine.text_tokens`.
        """
        with self._lock:
            counts = [engine.text_tokens(texts) for engine in self.engines]
            return [max(of_one) for of_one in zip(*counts, strict=True)]

    def cut_text(self, text: str, tokens: int) -> str:
        """Ask the engines; all are shown what fits each. See `Engine.cut_text`."""
        with self._lock:
            return min((engine.cut_text(text, tokens) for engine in self.engines), key=len)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """All engines, by their places in `panel`."""
        return (self.engine, *self.also, *filter(None, [self.escalation]))

    @property
    def panel(self) -> Panel:
        """Who is asked."""
        last = None if self.escalation is None else self.escalation.card.uri
        return Panel(tuple(e.card.uri for e in (self.engine, *self.also)), last)

    @property
    def tokens(self) -> Tokens | None:
        """What was put to all engines since they were opened; None if none of them counts."""
        return Tokens.sum_of(engine.tokens for engine in self.engines)

    def _place(self, place: int) -> Engine:
        if place >= len(self.engines):
            raise EngineCallError(
                f"engine {place + 1} was asked, and this judge has {len(self.engines)}"
            )
        return self.engines[place]

    def _eyes(self, place: int) -> Eyes | None:
        if place == 0:
            return self.eyes
        return self.more_eyes[place - 1] if place <= len(self.more_eyes) else None

    def _read(self, place: int, probes: Sequence[Probe]) -> Iterable[tuple[Probe, AnswerProbs]]:
        """Have one engine answer what is put to it."""
        engine, eyes = self._place(place), self._eyes(place)
        plain = [_plain(probe) for probe in probes]
        with self._timed(probes, engine.card.uri if place else ""):
            read = answer_probes(engine, self.cache, plain)
        if eyes is not None:
            eyes.watch(plain, read)
        return zip(probes, read, strict=True)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this judge is closed; load another")

    def _reasoned(self, place: int, requests: Sequence[Reasoning]) -> dict[Request, Answer]:
        """Reply to each request; about pictures that the engine does not see it is not asked."""
        replies: dict[Request, Answer] = {}
        engine, eyes = self._place(place), self._eyes(place)
        if eyes is not None:
            problems = {request: eyes.unseen(_plain(request)) for request in requests}
            replies = {r: NoReply(problem) for r, problem in problems.items() if problem}
        asked = [request for request in requests if request not in replies]
        if asked:
            replies.update(_matched(engine, asked, engine.reason([_plain(r) for r in asked])))
        return replies

    def _timed(self, requests: Sequence[Request], engine: str = "") -> AbstractContextManager[None]:
        """Count the time of some requests; `engine` names one beside the first."""
        return self.meter.stage(stage_of(type(requests[0]), engine), len(requests))

    def close(self) -> None:
        """Close what is owned. Calling it twice is fine."""
        with self._lock:
            if not self._closed:
                for model in self.owned:
                    model.close()
            self._closed = True

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that do the work."""
        models = (m for m in (*self.engines, self.encoder, self.detector) if m is not None)
        return {name: version for m in models for name, version in m.card.versions.items()}


def _name(engine: Engine) -> tuple[str, str]:
    return engine.card.uri, engine.card.revision


def _places(requests: Iterable[Request]) -> list[int]:
    """List the engines that are asked, by their places."""
    return sorted({r.engine for r in requests if isinstance(r, Probe | Reasoning)})


def _put_to(place: int, requests: Iterable[Request], kind: type[A]) -> list[A]:
    return [r for r in requests if isinstance(r, kind) and r.engine == place]


def _plain(request: A) -> A:
    """Make of a request what an engine is given, which does not know that there are others."""
    return replace(request, engine=0) if request.engine else request


def reference(model: Engine | Encoder | Detector | None) -> ModelRef | None:
    """Name a model for the provenance."""
    return None if model is None else ModelRef(uri=model.card.uri, revision=model.card.revision)


def _present(model: T | None) -> T:
    if model is None:
        raise EngineCallError("a stage was asked for whose model this judge does not have")
    return model


def _uneven(model: Engine | Encoder | Detector, requests: int, answers: int) -> EngineCallError:
    return EngineCallError(
        f"{model.card.uri} returned {answers} answers to {requests} requests; it must answer each "
        "request once, in order"
    )


def _matched(
    model: Engine | Encoder | Detector, requests: Sequence[R], answers: Sequence[Answer]
) -> Iterator[tuple[R, Answer]]:
    if len(answers) != len(requests):
        raise _uneven(model, len(requests), len(answers))
    return zip(requests, answers, strict=True)
