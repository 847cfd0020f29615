"""Sends the requests of one engine, and says when it is no use to send any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.engines.server import topk
from safejudge.engines.server.faults import DoubledError, FailedError, QuotaError, RefusedError
from safejudge.engines.server.http import BUSY
from safejudge.errors import EngineCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from safejudge.engines.meter import Tokens
    from safejudge.engines.server.http import Transport
    from safejudge.engines.server.uploads import Uploads
    from safejudge.types import JSON, Picture

_MOST_FAILED = 20
"""So many requests in a row without a reply end a run, whatever else the server answers."""
FEW_TRIES = 3
"""Attempts at the start, and to see whether a server is gone: neither should take minutes."""


@dataclass(slots=True)
class Sender:
    """One server, as the questions of one engine meet it; to be used from one event loop."""

    name: str
    """What messages call the engine."""
    address: str
    """Where requests go."""
    wire: Transport
    """What takes them there."""
    trivial: JSON
    """A body that any running server answers."""
    tokens: Tokens
    """Where it is counted what was read."""
    uploads: Uploads | None
    """Pictures that the server keeps; None: it keeps none."""
    prompt: str = "prompt"
    """What the server calls the prompt where it counts its tokens."""
    _failed: int = 0
    """Requests in a row that got no reply."""

    async def send(
        self, pictures: Sequence[Picture], body: Callable[[Collection[str]], JSON]
    ) -> JSON:
        """Send one request and return the reply; `body` is told which pictures are there.

        Raises `RefusedError` and `FailedError` where this one request got no reply, and
        `EngineCallError` where none will.
        """

        def send(uploaded: Collection[str]) -> Coroutine[Any, Any, JSON]:
            return self.wire.send(self.address, lambda: body(uploaded))

        uploads = self.uploads
        try:
            reply = await (uploads.ask(pictures, send) if uploads and pictures else send(()))
        except (RefusedError, DoubledError):
            self._failed = 0
            raise
        except QuotaError as error:
            raise EngineCallError(
                f"{self.name} wants no more requests for longer than a request is tried here "
                f"({self.wire.patience:g} s): {error}. See to its quota, or wait; what was not "
                "answered can be asked once more."
            ) from error
        except FailedError as error:
            self._failed += 1
            if self._failed >= _MOST_FAILED:
                raise EngineCallError(
                    f"{self.name} no longer answers: the last {self._failed} requests all failed, "
                    f"and nothing was answered meanwhile; the last one: {error}. What was not "
                    "answered can be asked once more."
                ) from error
            await self._check_alive(error)
            raise
        self._failed = 0
        self.tokens.add(*topk.tokens_used(reply, self.prompt))
        return reply

    async def _check_alive(self, failed: FailedError) -> None:
        """Raise `EngineCallError` if the server does not even answer what it did at the start.

        Then it is gone, and waiting for every single request of a wave would take hours.
        """
        try:
            await self.wire.send(self.address, lambda: self.trivial, tries=FEW_TRIES)
        except (FailedError, RefusedError) as error:
            if isinstance(error, FailedError) and error.status == BUSY:
                return  # it is there
            raise EngineCallError(
                f"{self.name} no longer answers: {failed}. Start it again; what was not "
                "answered can be asked once more."
            ) from error
