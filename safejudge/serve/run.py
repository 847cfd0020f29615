"""Runs a server: binds, watches signals, and ends when what is under way has been answered."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import uvicorn

from safejudge.errors import InputError, SafejudgeError
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.keys import Keys
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Service
from safejudge.show.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.serve.service import Loaded
    from safejudge.serve.settings import Settings

LOG = logging.getLogger("safejudge.serve")


def serve(load: Callable[[], Loaded], settings: Settings, log: str) -> int:
    """Serve until SIGTERM or SIGINT; return 0. `log` names the access log, `-` or `none`.

    Raises `InputError` for settings that cannot be served, and what opening the judge raises.
    """
    check(settings)
    keys = None if settings.keys is None else Keys.load(settings.keys)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    LOG.setLevel(logging.INFO)
    metrics = Metrics()
    service = Service(load, settings.limits, metrics)
    try:
        with _opened(log) as stream:
            running = Running(service, settings, metrics, keys, stream)
            asyncio.run(running.run())
    finally:
        service.close(seconds=settings.drain)
    return 0


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
        service: Service,
        settings: Settings,
        metrics: Metrics,
        keys: Keys | None,
        log: TextIO | None,
    ) -> None:
        self._service, self._settings, self._keys = service, settings, keys
        metrics.watch(service.load_now, lambda: service.problem)
        most = service.version.judge.policy.max_bytes
        fetcher = Fetcher(settings.hosts, max_bytes=most)
        self._fetcher = fetcher
        context = Context(service, settings, fetcher, metrics, self.reload)
        app = gated(api_of(context), lambda: self._keys, log)
        self._server = _Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_level="warning",
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=int(settings.drain) + 1,
            )
        )

    async def run(self) -> None:
        """Serve until a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        version = self._service.version
        for note in version.notes:
            say(f"note: {note}")
        self._server.started_told = lambda port: say(
            f"http://{self._settings.host}:{port} judges by {version.judge.constitution.name} with "
            f"{version.judge.provenance.model}; /docs says how to ask"
        )
        try:
            await self._server.serve()
        finally:
            await self._fetcher.close()

    def reload(self) -> None:
        """Read rules, policy, thresholds and keys anew. Raises what is wrong with one of them."""
        keys = None if self._settings.keys is None else Keys.load(self._settings.keys)
        version = self._service.reload()
        self._keys = keys
        LOG.info("reloaded: constitution %s", version.judge.provenance.constitution[:12])

    def _reload_soon(self) -> None:
        def work() -> None:
            try:
                self.reload()
            except (SafejudgeError, OSError) as error:
                LOG.error("nothing was reloaded: %s", error)  # noqa: TRY400 - no bug

        asyncio.get_running_loop().run_in_executor(None, work)

    def _end(self) -> None:
        say("ending: what is under way is still answered")
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves the signals to us, and says where it listens."""

    started_told: Callable[[int], None]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Bind, and say where."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            (first, *_) = self.servers
            self.started_told(first.sockets[0].getsockname()[1])


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
        with stream:
            yield stream
