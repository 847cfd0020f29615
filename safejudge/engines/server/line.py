"""A server's connections, which any thread may use and a forked child opens anew."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines.forks import Home, ProcessLock
from safejudge.engines.server.address import key_for
from safejudge.engines.server.background import Background, gathered
from safejudge.engines.server.http import Retry, Transport
from safejudge.engines.server.sender import FEW_TRIES
from safejudge.errors import EngineCallError, EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from safejudge.types import JSON

R = TypeVar("R")
T = TypeVar("T")


class Line:
    """The connections of one engine to its server, and the thread that waits for them.

    At most `concurrency` requests are under way at once, each at most `timeout` seconds per
    attempt; no attempt begins `patience` seconds after the first. Raises `EngineSetupError` where
    one of these is not above 0.
    """

    def __init__(  # noqa: PLR0913 - the server, and how it is to be asked
        self,
        uri: str,
        base: str,
        *,
        concurrency: int,
        timeout: float,
        patience: float,
        retry: Retry | None,
        renewed: Callable[[], None],
    ) -> None:
        """Connect to `base`; `renewed` is called once a forked child has connected anew."""
        if concurrency < 1 or timeout <= 0 or patience <= 0:
            raise EngineSetupError(
                f"concurrency ({concurrency}), timeout ({timeout}) and patience ({patience}) must "
                "be above 0"
            )
        self._uri = uri
        self._transport = partial(
            Transport,
            key_for(base),
            timeout=timeout,
            retry=retry or Retry(patience=patience),
            concurrency=concurrency,
        )
        self._renewed = renewed
        self._lock = ProcessLock()
        self._closed = False
        self._connect()

    def _connect(self) -> None:
        """Open the connections of this process, and the thread that waits for them."""
        self._home = Home()
        self.wire = self._transport()
        self._background = Background()

    def send(self, url: str, body: JSON | None) -> JSON:
        """Send one request and wait for it, from any thread but the background's.

        Raises `RefusedError` and `FailedError`, the latter after few tries, and `EngineCallError`
        where this is closed meanwhile.
        """
        build = None if body is None else (lambda: body)
        try:
            return self._background.run(self.wire.send(url, build, tries=FEW_TRIES))
        except CancelledError:
            self.check_open()
            raise

    def ask_all(
        self, ask: Callable[[R], Coroutine[Any, Any, T]], requests: Sequence[R]
    ) -> Sequence[T]:
        """Ask everything at once (the transport bounds what is under way), in order.

        Raises `EngineCallError` where this is closed, before or meanwhile.
        """
        self.check_open()
        try:
            return self._background.run(gathered([ask(request) for request in requests]))
        except CancelledError:
            self.check_open()
            raise

    def begin(
        self,
        ask: Callable[[R], Coroutine[Any, Any, T]],
        requests: Sequence[R],
        tell: Callable[[R, T | Exception], None],
    ) -> Callable[[], None]:
        """Ask everything (the transport bounds what is under way) and tell each answer.

        Where this is closed meanwhile, an `EngineCallError` is told. Returns what gives up those
        that are not answered. Raises `EngineCallError` where this is closed.
        """
        self.check_open()

        async def one(request: R) -> None:
            try:
                tell(request, await ask(request))
            except asyncio.CancelledError:
                tell(request, EngineCallError(f"{self._uri} was closed while it was asked"))
                raise
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer is to know
                tell(request, error)

        try:
            return self._background.begin([one(request) for request in requests])
        except CancelledError:
            self.check_open()
            raise

    def check_open(self) -> None:
        """Raise `EngineCallError` where this is closed; connect anew in a forked child."""
        with self._lock:
            if self._closed:
                raise EngineCallError(f"{self._uri} is closed; open it again")
            if self._home.left():
                self._connect()
                self._renewed()

    def close(self) -> None:
        """Close every connection; calls under way and later ones raise `EngineCallError`."""
        with self._lock:
            closed, self._closed = self._closed, True
        # Those that a forked child inherited are its parent's.
        if not (closed or self._home.left()):
            self._background.stop(self.wire.close())
