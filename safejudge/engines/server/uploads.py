"""Pictures that a server keeps under a name, so that each is sent and decoded once.

Takes requests with pictures; says which pictures each has to bring. Only vLLM's server does this
(a part's `uuid`, its pixels left out later); `server` finds out at the start. It knows no messages.

Names are secret: others may use the same server, and one who could guess the name of a picture
could put another in its place before we ask.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from safejudge.engines.recent import RecentCache
from safejudge.engines.server.faults import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from safejudge.types import Picture

T = TypeVar("T")

_REMEMBERED = 256
"""Pictures that a server is expected to remember; least recent first out."""


class Uploads:
    """What one server has of this process; to be used from one event loop."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._present: RecentCache[str, None] = RecentCache(_REMEMBERED)
        self._gates: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of pictures on their way: who waits here need not bring it."""

    def name(self, picture: Picture) -> str:
        """Return the name that the server has this picture by: of exactly its pixels."""
        return hmac.digest(self._key, picture.digest.encode(), "sha256").hex()

    async def ask(
        self, pictures: Sequence[Picture], send: Callable[[Collection[str]], Awaitable[T]]
    ) -> T:
        """Send a request; `send` is told the digests of the pictures that the server has.

        The first request about a picture brings it, others wait until it is there: they also find
        it in the server's prefix cache then. A request that is refused without its pictures is
        sent once more with them, for the server may have let go of one.
        """
        digests = {picture.digest for picture in pictures}
        async with AsyncExitStack() as waiting:
            for digest in sorted(digests - self._present.keys()):
                gate = self._gates.setdefault(digest, asyncio.Lock())
                await waiting.enter_async_context(gate)
            if not digests <= self._present.keys():
                return await self._bring(digests, send)
        return await self._bring(digests, send)

    async def _bring(self, digests: set[str], send: Callable[[Collection[str]], Awaitable[T]]) -> T:
        uploaded = digests & self._present.keys()
        try:
            reply = await send(uploaded)
        except RefusedError:
            if not uploaded:
                raise
            for digest in digests:
                self._present.drop(digest)
            reply = await send(())
        for digest in digests:
            self._present.put(digest, None)
        return reply
