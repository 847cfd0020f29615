"""An engine whose answers are kept in a file: long measurements can be stopped and gone on with.

Takes an engine; is one. Equal requests of different policies are answered once, which is what
makes a table of many variants affordable. Costs per image are counted before it, so they stay
what they would be without.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from safejudge.engines.wrapped import WrappedEngine
from safejudge.types import AnswerProbs, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from safejudge.engines.base import Engine

R = TypeVar("R", Probe, Reasoning)

_BATCH = 256
"""Requests answered between two commits."""


class Remembered(WrappedEngine):
    """Asks the engine only what the file does not know for this model revision.

    An engine without a revision (a server, a script) is told from others by its URI alone: use a
    file of its own for what may change behind one. Answers with a problem are asked again.
    """

    def __init__(self, engine: Engine, file: Path) -> None:
        super().__init__(engine)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file)
        self._db.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT)")

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read what is known from the file, the rest from the engine."""

        def ask(some: Sequence[Probe]) -> list[str]:
            return [_packed(answer) for answer in self.engine.answer_probs(some)]

        return [_unpacked(text) for text in self._texts(probes, ask)]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Read what is known from the file, the rest from the engine."""
        return self._texts(requests, self.engine.reason)

    def close(self) -> None:
        """Close the file and the engine."""
        self._db.close()
        super().close()

    def _texts(self, requests: Sequence[R], ask: Callable[[Sequence[R]], list[str]]) -> list[str]:
        model = self.card.revision or self.card.uri
        keys = {request: _key(model, request) for request in requests}
        known = {r: text for r, key in keys.items() if (text := self._get(key)) is not None}
        missing = [request for request in keys if request not in known]
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            fresh = dict(zip(some, ask(some), strict=True))
            self._db.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)",
                [
                    (keys[request], text)
                    for request, text in fresh.items()
                    if _answers(request, text)
                ],
            )
            self._db.commit()
            known |= fresh
        return [known[request] for request in requests]

    def _get(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])


def _key(model: str, request: Probe | Reasoning) -> str:
    parts: list[object] = [model, request.instruction, [p.digest for p in request.images]]
    match request:
        case Probe(question=question, labels=labels):
            parts += [question, *labels]
        case Reasoning(messages=messages, schema=schema, max_tokens=most):
            parts += [[m.role, m.text] for m in messages]
            parts += [None if schema is None else schema.model_json_schema(), most]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _answers(request: Probe | Reasoning, text: str) -> bool:
    """Whether this is an answer, and not a failure that may pass."""
    return _unpacked(text).problem is None if isinstance(request, Probe) else bool(text)


def _packed(answer: AnswerProbs) -> str:
    return json.dumps([answer.p_labels, answer.top, answer.exact, answer.problem])


def _unpacked(text: str) -> AnswerProbs:
    p_labels, top, exact, problem = json.loads(text)
    return AnswerProbs(tuple(p_labels), top, exact, problem)
