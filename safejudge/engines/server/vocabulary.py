"""A server's tokenizer, asked over the wire: which tokens spell a label after its own prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from safejudge.engines import tokens
from safejudge.engines.forks import ProcessLock
from safejudge.engines.recent import RecentCache
from safejudge.engines.server import topk
from safejudge.engines.server.abilities import CONTINUED, PLAIN
from safejudge.engines.server.faults import FailedError, RefusedError
from safejudge.text import cut
from safejudge.types import JSON

if TYPE_CHECKING:
    from safejudge.engines.server.topk import Reading

Send: TypeAlias = Callable[[str, JSON | None], JSON]
"""Sends a body to an address (GET without one); raises `RefusedError` and `FailedError`."""

_RENDERING = ("chat_template_kwargs", *CONTINUED)
"""Fields that say how messages become a prompt."""
_CACHED_TOKENS = 2**20
_MOST_IDS = 2**31
"""No vocabulary is larger."""


class Vocabulary:
    """The server's tokenizer, after the prompt that its template ends every question with."""

    def __init__(
        self, send: Send, root: str, model: str, fields: JSON, messages: list[JSON] | None = None
    ) -> None:
        self._send = send
        self._root = root
        self._model = model
        self._encoded: RecentCache[str, tuple[int, ...]] = RecentCache(_CACHED_TOKENS, len)
        self._lock = ProcessLock()
        self.prompt = self._rendered(fields, messages or PLAIN.messages[0])

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text. Raises `RefusedError` and `FailedError`."""
        with self._lock:
            ids = self._encoded.get(text)
        if ids is None:
            body = {"model": self._model, "prompt": text, "add_special_tokens": False}
            ids = self._ids(body)
            with self._lock:
                self._encoded.put(text, ids)
        return ids

    def reading(self, labels: tuple[str, ...]) -> Reading:
        """Find the single tokens of labels; raises `LabelsError` where there are none."""
        return topk.proved(tokens.resolve(self.encode, self.prompt, labels))

    def _rendered(self, fields: JSON, messages: list[JSON]) -> str:
        """Return the text of a rendered question, if it becomes the same tokens again.

        Otherwise a line of plain text stands for it: what a spelling is split into depends only
        on what stands right before it.
        """
        try:
            ids = self._ids(
                {
                    "model": self._model,
                    "messages": messages,
                    "add_generation_prompt": True,
                    **{k: v for k, v in fields.items() if k in _RENDERING},
                }
            )
            body = {"model": self._model, "tokens": list(ids)}
            text = str(self._send(f"{self._root}/detokenize", body).get("prompt"))
            if self.encode(text) == ids:
                return text
        except (RefusedError, FailedError):
            pass
        return "Answer:\n"

    def _ids(self, body: JSON) -> tuple[int, ...]:
        ids = self._send(f"{self._root}/tokenize", body).get("tokens")
        if not isinstance(ids, list) or not all(map(_is_id, ids)):
            raise FailedError(f"{self._root}/tokenize gave no tokens: {cut(repr(ids), 100)}")
        return tuple(ids)


def _is_id(token: object) -> bool:
    return type(token) is int and 0 <= token < _MOST_IDS
