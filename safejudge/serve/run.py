"""Runs a server: binds, watches signals, and ends when what is under way has been answered."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import uvicorn

from safejudge.errors import InputError, SafejudgeError
from safejudge.judge import chosen_policy
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.keys import Keys
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Service
from safejudge.serve.threads import in_thread
from safejudge.show.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.journal.ledger import Ledger
    from safejudge.serve.service import Loaded, Version
    from safejudge.serve.settings import Settings
    from safejudge.serve.shadow import Shadow, ShadowPlan

LOG = logging.getLogger("safejudge.serve")
_HOUR = 3600.0
"""Seconds."""


def serve(
    load: Callable[[], Loaded],
    settings: Settings,
    log: str,
    ledger: Ledger | None = None,
    plan: ShadowPlan | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; return 0. `log` names the access log, `-` or `none`.

    `ledger` keeps every judgment; None: nobody does. `plan` is of a shadow.

    Raises `InputError` for settings that cannot be served, and what opening the judge raises.
    """
    check(settings)
    keys = None if settings.keys is None else Keys.load(settings.keys)
    first = load()  # what is wrong with a file is told before anything listens
    _log_to_stderr()
    metrics = Metrics()
    shadow = None if plan is None else _shadow(plan, settings, ledger, metrics)
    service = Service(load, settings.limits, metrics, ledger, shadow)
    fetcher = Fetcher(settings.hosts, max_bytes=chosen_policy(first.spec.policy).max_bytes)
    context = Context(service, settings, fetcher, metrics)
    context.journal = None if ledger is None else ledger.journal
    running = None
    try:
        with _opened(log) as stream, _bound(settings) as listening:
            running = Running(context, keys, stream, listening, first)
            asyncio.run(running.run())
    finally:
        service.close(seconds=settings.drain if running is None else running.left())
    return 0


def _shadow(
    plan: ShadowPlan, settings: Settings, ledger: Ledger | None, metrics: Metrics
) -> Shadow:
    from safejudge.serve.shadow import Shadow  # it takes sqlalchemy

    plan.load()  # what is wrong with a file is told before anything listens
    return Shadow(plan, settings.limits, ledger, metrics)


def _log_to_stderr() -> None:
    """Write down what happens to the server; libraries speak for themselves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)


def check(settings: Settings) -> None:
    """Refuse to be reached from elsewhere by anybody. Raises `InputError`."""
    if settings.keys is None and not _is_local(settings.host):
        raise InputError(
            f"--host {settings.host} can be reached from other machines; name who may ask with "
            "--keys FILE (safejudge keys add FILE NAME makes one), or listen at 127.0.0.1"
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Running:
    """One server that runs."""

    def __init__(
        self,
        context: Context,
        keys: Keys | None,
        log: TextIO | None,
        listening: socket.socket,
        first: Loaded,
    ) -> None:
        """Serve at a socket that listens, by what was read `first`.

        `reload` becomes that of the context.
        """
        self._first = first
        self._context, self._keys, self._listening = context, keys, listening
        self._until: float | None = None
        self._lock = threading.Lock()
        self._told = False
        self._reloading: asyncio.Task[None] | None = None
        context.reload = self.reload
        service, settings = context.service, context.settings
        context.metrics.watch(service.load_now, lambda: service.problem)
        self._server = _Server(
            uvicorn.Config(
                gated(api_of(context), lambda: self._keys, log),
                # httptools, which vLLM brings along, takes headers without end, and before a key.
                http="h11",
                access_log=False,
                log_level="warning",
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=int(settings.drain) + 1,
            )
        )

    async def run(self) -> None:
        """Serve until a signal. Raises what opening the judge raises."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        # It listens while the engine opens, so that whoever watches it sees both.
        serving = asyncio.ensure_future(self._server.serve([self._listening]))
        opening = in_thread(partial(self._context.service.open, self._first))
        pruning = asyncio.ensure_future(self._prune())
        try:
            both: set[asyncio.Future[Any]] = {serving, opening}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                self._tell(opening.result())
            await serving
        finally:
            pruning.cancel()
            self._server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await self._context.fetcher.close()

    async def _prune(self) -> None:
        """Let go of old judgments, now and every hour."""
        journal, days = self._context.journal, self._context.settings.retention
        if journal is None or not days:
            return
        from safejudge.journal.retention import prune  # it takes sqlalchemy

        while True:
            try:
                gone = await asyncio.to_thread(prune, journal, days, "retention")
                LOG.info("retention: %d judgments deleted", gone)
            except SafejudgeError as error:
                LOG.error("retention: %s", error)  # noqa: TRY400 - no bug
            await asyncio.sleep(_HOUR)

    def _tell(self, version: Version) -> None:
        """Say what is served, and where."""
        for note in version.notes:
            say(f"note: {note}")
        say(
            f"http://{self._context.settings.host}:{self._listening.getsockname()[1]} judges by "
            f"{version.judge.constitution.name} with {version.judge.provenance.model}; "
            "/docs says how to ask"
        )

    def reload(self) -> None:
        """Read rules, policy, thresholds and keys anew. Raises what is wrong with one of them."""
        file = self._context.settings.keys
        with self._lock:  # of two, the one that ends last has read the files last
            keys = None if file is None else Keys.load(file)
            version = self._context.service.reload()
            self._keys = keys
        LOG.info("reloaded: constitution %s", version.judge.provenance.constitution[:12])

    def _reload_soon(self) -> None:
        """Reload; told so meanwhile, once more after it, however often."""
        self._told = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.ensure_future(self._reload_as_told())

    async def _reload_as_told(self) -> None:
        while self._told:
            self._told = False
            try:
                await in_thread(self.reload)
            except (SafejudgeError, OSError) as error:
                LOG.error("nothing was reloaded: %s", error)  # noqa: TRY400 - no bug
            except Exception:
                LOG.exception("nothing was reloaded, by a bug")

    def _end(self) -> None:
        drain = self._context.settings.drain
        if self._until is None:
            self._until = time.monotonic() + drain
            # Then an engine may hang: whoever waits for it is told, and nobody waits longer.
            asyncio.get_running_loop().call_later(drain, self._context.service.refuse)
        else:  # somebody said so twice
            self._server.force_exit = True
            self._until = time.monotonic()
        self._server.should_exit = True
        say("ending: what is under way is still answered")

    def left(self) -> float:
        """Seconds that are left to end in."""
        if self._until is None:
            return self._context.settings.drain
        return max(0.0, self._until - time.monotonic())


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """Listen. Raises `InputError` where that address or port cannot be had."""
    host, port = settings.host, settings.port
    try:
        (family, *_), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen at {host}, port {port}: {error}; choose others with --host and --port"
        ) from error
    with listening:
        yield listening


@contextlib.contextmanager
def _opened(log: str) -> Iterator[TextIO | None]:
    if log == "none":
        yield None
    elif log == "-":
        yield sys.stdout
    else:
        try:
            stream = Path(log).open("a", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise InputError(f"{log}: cannot be written ({error.strerror})") from error
        try:
            yield stream
        finally:
            with contextlib.suppress(OSError):  # a disk that is full was told of before
                stream.close()
