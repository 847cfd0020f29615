"""Time limits that hang on no clock: an attempt is given up when nothing else can happen."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HANG = 600
"""Seconds after which a test that cannot end is ended; nothing else takes a hundredth of it."""


class Limits:
    """Stands in for `asyncio.timeout`: attempts end once all that are under way hang.

    A server says of every request that it will leave without an answer: `hang()`. As soon as there
    are as many of these as attempts, each attempt is one of them, and all are ended.
    """

    def __init__(self) -> None:
        self._attempts: set[asyncio.Timeout] = set()
        self._hanging = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def limit(self, _seconds: float) -> AsyncIterator[None]:
        """Run one attempt."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as attempt:
            self._attempts.add(attempt)
            try:
                yield
            finally:
                self._attempts.discard(attempt)
                self._end_hanging()

    def hang(self) -> None:
        """Say that a request has come and gets no answer; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._count)

    def _count(self) -> None:
        self._hanging += 1
        self._end_hanging()

    def _end_hanging(self) -> None:
        if self._attempts and len(self._attempts) == self._hanging:
            self._hanging = 0
            for attempt in self._attempts:
                attempt.reschedule(asyncio.get_running_loop().time())
