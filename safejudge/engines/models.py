"""The models of one judge: who answers which request.

Takes a wave of requests of a flow; gives the answers in order. Here, and only here, logic meets
models: an engine, perhaps an encoder and a detector, and the disk's memory of language priors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines.eyes import Eyes, looks_at_nothing, prove_sight
from safejudge.engines.forks import ProcessLock
from safejudge.engines.meter import STAGES, Meter
from safejudge.engines.open import KITS, open_detector, open_encoder, open_engine
from safejudge.engines.priors import PriorCache, answer_probes
from safejudge.engines.wrapped import whole
from safejudge.errors import EngineCallError, InputError
from safejudge.flow import Answer, Request
from safejudge.types import Locate, ModelRef, NoReply, Probe, Reasoning, Similarity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.types import AnswerProbs

DEFAULT = "default"
"""Stands for the encoder or detector that an engine comes with."""

R = TypeVar("R", bound=Request)
T = TypeVar("T")
M = TypeVar("M", bound="Engine | Encoder | Detector")


@dataclass(slots=True)
class Models:
    """An engine and what may stand beside it; thread-safe: callers take turns."""

    engine: Engine
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
    _lock: ProcessLock = field(default_factory=ProcessLock, repr=False)
    _closed: bool = False

    @staticmethod
    def opened(
        engine: str | Engine,
        encoder: str | Encoder | None,
        detector: str | Detector | None,
        cache: PriorCache | None,
        engine_args: Mapping[str, Any] | None = None,
    ) -> Models:
        """Open what is named by a URI and own it; objects stay the caller's.

        `"default"` is what the engine comes with (`KITS`), or nothing. `engine_args` are options
        of the engine that is opened here. Raises `EngineSetupError`, also for an engine that does
        not see (`eyes.prove_sight`).
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

        try:
            if isinstance(engine, str):
                engine = register(open_engine(engine, **(engine_args or {})))
            takes_tokens = prove_sight(engine)
            return Models(
                whole(engine),
                register(open_encoder(encoder)) if isinstance(encoder, str) else encoder,
                register(open_detector(detector)) if isinstance(detector, str) else detector,
                cache,
                tuple(owned),
                eyes=None
                if looks_at_nothing(engine)
                else Eyes(engine.card.uri, takes_tokens=takes_tokens),
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
            if probes := [r for r in requests if isinstance(r, Probe)]:
                with self._timed(probes):
                    read = answer_probes(self.engine, self.cache, probes)
                if self.eyes is not None:
                    self.eyes.watch(probes, read)
                answers.update(zip(probes, read, strict=True))
            if reasonings := [r for r in requests if isinstance(r, Reasoning)]:
                with self._timed(reasonings):
                    answers.update(self._reasoned(reasonings))
            if pairs := [r for r in requests if isinstance(r, Similarity)]:
                encoder = _present(self.encoder)
                with self._timed(pairs):
                    similar = encoder.similarities(pairs)
                answers.update(_matched(encoder, pairs, similar))
            if searches := [r for r in requests if isinstance(r, Locate)]:
                detector = _present(self.detector)
                with self._timed(searches):
                    boxes = detector.locate(searches)
                answers.update(_matched(detector, searches, boxes))
        return [answers[request] for request in requests]

    def priors(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Answer questions without an image before a run; its meter does not count them.

        Raises as `answer` does.
        """
        with self._lock:
            self._check_open()
            return answer_probes(self.engine, self.cache, probes)

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Ask the engine; see `Engine.text_tokens`."""
        with self._lock:
            return self.engine.text_tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Ask the engine; see `Engine.cut_text`."""
        with self._lock:
            return self.engine.cut_text(text, tokens)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this judge is closed; load another")

    def _reasoned(self, requests: Sequence[Reasoning]) -> dict[Request, Answer]:
        """Reply to each request; about pictures that the engine does not see it is not asked."""
        replies: dict[Request, Answer] = {}
        if self.eyes is not None:
            problems = {request: self.eyes.unseen(request) for request in requests}
            replies = {r: NoReply(problem) for r, problem in problems.items() if problem}
        asked = [request for request in requests if request not in replies]
        if asked:
            replies.update(_matched(self.engine, asked, self.engine.reason(asked)))
        return replies

    def _timed(self, requests: Sequence[Request]) -> AbstractContextManager[None]:
        return self.meter.stage(STAGES[type(requests[0])], len(requests))

    def close(self) -> None:
        """Close what is owned. Calling it twice is fine."""
        with self._lock:
            if not self._closed:
                for model in self.owned:
                    model.close()
            self._closed = True

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that do the work."""
        models = (m for m in (self.engine, self.encoder, self.detector) if m is not None)
        return {name: version for m in models for name, version in m.card.versions.items()}


def reference(model: Encoder | Detector | None) -> ModelRef | None:
    """Name a model for the provenance."""
    return None if model is None else ModelRef(uri=model.card.uri, revision=model.card.revision)


def _present(model: T | None) -> T:
    if model is None:
        raise EngineCallError("a stage was asked for whose model this judge does not have")
    return model


def _matched(
    model: Engine | Encoder | Detector, requests: Sequence[R], answers: Sequence[Answer]
) -> Iterator[tuple[R, Answer]]:
    if len(answers) != len(requests):
        raise EngineCallError(
            f"{model.card.uri} returned {len(answers)} answers to {len(requests)} requests; "
            "it must answer each request once, in order"
        )
    return zip(requests, answers, strict=True)
