"""An engine whose answers are kept in a file: long measurements can be stopped and gone on with.

Takes an engine; is one. Equal requests of different policies are answered once, which is what
makes a table of many variants affordable. Costs per image are counted before it, so they stay
what they would be without.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, TypeVar

from safejudge.engines.store import StoreError, TextStore
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import OutputError
from safejudge.types import AnswerProbs, Probe, Reasoning, are_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from safejudge.engines.base import Engine

R = TypeVar("R", Probe, Reasoning)

_BATCH = 256
"""Requests that are answered, and kept, at a time."""


class CachedEngine(WrappedEngine):
    """Asks the engine inside only what the file does not know for this model revision.

    An engine without a revision (a server, a script) is told from others by its URI alone: use a
    file of its own for what may change behind one. Answers with a problem are asked again. Raises
    `OutputError` where the file cannot be used; a damaged answer in it is asked again.
    """

    def __init__(self, engine: Engine, file: Path, capacity: int | None = None) -> None:
        """Keep at most `capacity` answers (None: all), those that were given last."""
        super().__init__(engine)
        self.known = 0
        """Requests that the file answered."""
        self.asked = 0
        """Requests that the engine inside was asked."""
        self._store = TextStore(file, "answers", capacity)
        self._stored([])  # a file that will not do is refused before anything is asked

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read what is known from the file, the rest from the engine."""

        def ask(batch: Sequence[Probe]) -> list[str]:
            return [_encoded(answer) for answer in self.engine.answer_probs(batch)]

        return [_decoded(text) for text in self._texts(probes, ask)]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Read what is known from the file, the rest from the engine."""
        return self._texts(requests, self.engine.reason)

    def _texts(self, requests: Sequence[R], ask: Callable[[Sequence[R]], list[str]]) -> list[str]:
        card = self.card
        # The same question in the form of a guard model is another one.
        model = (card.revision or card.uri) + (f" in {card.dialect}" if card.dialect else "")
        keys = {request: _key(model, request) for request in requests}
        stored = self._stored(list(keys.values()))
        texts = {
            request: stored[key]
            for request, key in keys.items()
            if key in stored and _is_answer(request, stored[key])
        }
        missing = [request for request in keys if request not in texts]
        self.known, self.asked = self.known + len(texts), self.asked + len(missing)
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            fresh = dict(zip(batch, ask(batch), strict=True))
            self._keep({keys[r]: text for r, text in fresh.items() if _is_answer(r, text)})
            texts |= fresh
        return [texts[request] for request in requests]

    def _stored(self, keys: Sequence[str]) -> dict[str, str]:
        try:
            return self._store.get(keys)
        except StoreError as error:
            raise self._unusable(error) from error

    def _keep(self, texts: dict[str, str]) -> None:
        try:
            self._store.put(texts)
        except StoreError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> OutputError:
        return OutputError(f"{self._store.path}: answers cannot be kept there ({error})")


def _key(model: str, request: Probe | Reasoning) -> str:
    parts: list[object] = [model, request.instruction, [p.digest for p in request.images]]
    match request:
        case Probe(question=question, labels=labels):
            parts += [question, *labels]
        case Reasoning(messages=messages, schema=schema, max_tokens=max_tokens, sampling=drawn):
            parts += [[m.role, m.text] for m in messages]
            parts += [None if schema is None else schema.model_json_schema(), max_tokens]
            # A greedy request keeps the key that it had before there were others.
            parts += [] if drawn is None else [drawn.temperature, drawn.seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _is_answer(request: Probe | Reasoning, text: str) -> bool:
    """Whether this is an answer, and neither a failure that may pass nor damaged."""
    if isinstance(request, Reasoning):
        return bool(text)
    try:
        answer = _decoded(text)
        whole = len(answer.p_labels) == len(request.labels) and are_probabilities(answer.p_labels)
    except (TypeError, ValueError):
        return False
    return whole and answer.problem is None


def _encoded(answer: AnswerProbs) -> str:
    return json.dumps([answer.p_labels, answer.top, answer.exact, answer.problem])


def _decoded(text: str) -> AnswerProbs:
    p_labels, top, exact, problem = json.loads(text)
    return AnswerProbs(tuple(p_labels), top, exact, problem)
