"""What passes between the process that shows a page and the one that started it.

Messages, each a line of JSON, whose field `bytes` says how many bytes of a picture follow.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import JSON

_LINE = 2**16
"""Bytes of a message without its picture."""


class Sender:
    """Writes messages to a file descriptor. Thread-safe."""

    def __init__(self, target: int) -> None:
        """Own the descriptor."""
        self._stream = os.fdopen(target, "wb")
        self._lock = threading.Lock()

    def send(self, message: JSON, picture: bytes = b"") -> None:
        """Send a message, and a picture behind it."""
        line = json.dumps({**message, "bytes": len(picture)}).encode()
        with self._lock:
            self._stream.write(line + b"\n" + picture)
            self._stream.flush()


class Reader:
    """Puts messages together from pieces of a stream."""

    def __init__(self, most: int) -> None:
        """Allow so many bytes of a picture."""
        self._most = most
        self._held = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[JSON, bytes]]:
        """Take the next piece; yield what is whole. Raises `ValueError` for what is no message."""
        self._held += piece
        while True:
            line, newline, rest = self._held.partition(b"\n")
            if not newline:
                if len(line) > _LINE:
                    raise ValueError("a message without an end")
                return
            message: JSON = json.loads(line)
            size = int(message["bytes"])
            if not 0 <= size <= self._most:
                raise ValueError(f"a picture of {size} bytes")
            if len(rest) < size:
                return
            self._held = rest[size:]
            yield message, bytes(rest[:size])
