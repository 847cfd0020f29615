"""Bytes of a reply -> JSON, or what a server says in words. The key is in neither.

Takes what came over the wire and the key that was sent; knows no addresses and no models.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safejudge.engines.server.faults import DoubledError
from safejudge.text import cut, one_line, storable

if TYPE_CHECKING:
    from safejudge.types import JSON

_SHORT_KEY = 8
"""A key of fewer characters ("EMPTY") is no secret, and may well be a word of an answer."""
_SHOWN = 400
"""Characters of what a server says that go into a message."""


class Replies:
    """Reads the replies to requests with one key (None: without any)."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def clean(self, text: str) -> str:
        """Take the key out of what a server or a library says."""
        return text.replace(self._key, "***") if self._key else text

    def decode(self, text: bytes) -> Any:
        """Read JSON. Raises `ValueError` for what is none, `DoubledError` for a key that is twice.

        In no text of it does the key stand: a server may put it into an answer.
        """
        secret = self._key if self._key and len(self._key) >= _SHORT_KEY else None

        def cleaned(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace(secret, "***") if secret else value
            return list(map(cleaned, value)) if isinstance(value, list) else value

        def distinct(pairs: list[tuple[str, Any]]) -> JSON:
            if len({key for key, _ in pairs}) < len(pairs):
                raise DoubledError("has one key twice")
            return {cleaned(key): cleaned(value) for key, value in pairs} if secret else dict(pairs)

        try:
            return json.loads(text, object_pairs_hook=distinct)
        except RecursionError as error:
            raise ValueError("nested too deep") from error

    def said(self, text: bytes) -> tuple[str, str]:
        """Return what an error reply says, and the field of the request that it names.

        In OpenAI's form, FastAPI's, or as it came.
        """
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError):
            return self.excerpt(text), ""
        if isinstance(decoded, dict):
            error = decoded.get("error", decoded)
            inside = error if isinstance(error, dict) else {"message": error}
            field = inside.get("param")
            if message := inside.get("message", inside.get("detail")):
                return self._shown(str(message)), field if isinstance(field, str) else ""
        return self.excerpt(text), ""

    def excerpt(self, text: bytes) -> str:
        """Return the beginning of a text, on one line."""
        return self._shown(text.decode("utf-8", "replace"))

    def _shown(self, text: str) -> str:
        # Cut at last: a key across the cut would not be found any more.
        return cut(one_line(self.clean(storable(text))), _SHOWN)
