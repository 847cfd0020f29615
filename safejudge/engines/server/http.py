"""JSON over HTTP to one server: bounded, retried, and never any further than that server.

Takes a method, an address and a body; gives the decoded reply, or says whether the request itself
was refused or the server failed. Knows no models. Proxies and passwords that the environment or
a .netrc file names are not used, and no redirect is followed: pictures go where they were sent.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from safejudge.text import cut, one_line, storable

if TYPE_CHECKING:
    from safejudge.types import JSON

T = TypeVar("T")

_LARGEST = 8 * 2**20
"""Bytes of a reply; a chat completion has a few thousand."""
_REFUSED = frozenset({400, 413, 415, 422})
"""What a server answers to a request that it will not take, however often it is sent."""
_AGAIN = frozenset({408, 409, 425, 429, *range(500, 600)})
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 5.0
"""A request that waited longer is worth a word."""


class RefusedError(Exception):
    """The server will not take this one request; sending it again changes nothing."""


class FailedError(Exception):
    """The server gave no usable reply within the tries, or to this client at all."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class _TryAgainError(Exception):
    """One attempt failed; `retry_after` is what the server asked to wait, in seconds."""

    def __init__(self, message: str, status: int | None = None, retry_after: float = 0.0) -> None:
        self.status = status
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a request is tried; waits double, with jitter."""

    tries: int = 10
    """Attempts of one request."""
    first: float = 0.5
    """Seconds before the second attempt."""
    longest: float = 30.0
    """No wait of our own is longer; one that the server asks for may be."""
    patience: float = 300.0
    """Seconds after which no further attempt begins."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """How to wait; tests wait by counting."""
    limit: Callable[[float], AbstractAsyncContextManager[object]] = asyncio.timeout
    """What ends an attempt after so many seconds; tests end it without a clock."""


class Transport:
    """One server's client: at most `concurrency` requests at once, each tried by `retry`.

    To be used from one event loop. `key` goes into the header and into no message.
    """

    def __init__(self, key: str | None, *, timeout: float, retry: Retry, concurrency: int) -> None:
        self._key = key
        self._timeout = timeout
        self._retry = retry
        self._slots = asyncio.Semaphore(concurrency)
        self._warned = False
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        self._client = httpx2.AsyncClient(
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx2.Timeout(timeout, connect=min(_CONNECT_SECONDS, timeout)),
            limits=httpx2.Limits(max_connections=concurrency),
            follow_redirects=False,
            trust_env=False,
        )

    async def send(
        self, url: str, body: Callable[[], JSON] | None = None, tries: int | None = None
    ) -> JSON:
        """POST a body (GET without one) and return the JSON object that comes back.

        The body is built when the request's turn has come, so that few are in memory at once.
        Raises `RefusedError` and `FailedError`.
        """
        retry = self._retry
        begun, left = time.monotonic(), retry.tries if tries is None else tries
        wait, waited = retry.first, 0.0
        async with self._slots:
            content = None if body is None else json.dumps(body()).encode()
            while True:
                left -= 1
                try:
                    return await self._attempt(url, content)
                except _TryAgainError as error:
                    pause = max(error.retry_after, wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    late = time.monotonic() - begun + pause > retry.patience
                    if left < 1 or late:
                        raise FailedError(str(error), error.status) from error
                    waited += pause
                    self._warn(error, waited)
                await retry.sleep(pause)
                wait = min(2 * wait, retry.longest)

    def _warn(self, error: Exception, waited: float) -> None:
        """Say once that requests wait: minutes of silence look like a program that hangs."""
        if waited > _SILENT_SECONDS and not self._warned:
            self._warned = True
            warnings.warn(
                f"{error}; waiting and trying again, {self._retry.patience:g} s a request at most",
                UserWarning,
                stacklevel=2,
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _attempt(self, url: str, content: bytes | None) -> JSON:
        method = "GET" if content is None else "POST"
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            # The client's own timeout is per read; a server that drips would never meet it.
            async with (
                self._retry.limit(self._timeout),
                self._client.stream(method, url, content=content, headers=headers) as reply,
            ):
                text = await self._read(reply)
        except (TimeoutError, httpx2.TimeoutException) as error:
            message = f"{url} did not answer within {self._timeout:g} s"
            raise _TryAgainError(message) from error
        except httpx2.RequestError as error:
            message = self._clean(f"{url}: {error or type(error).__name__}")
            if _about_tls(error):
                raise FailedError(f"{message} (TLS)") from error
            raise _TryAgainError(message) from error
        return self._judged(url, reply, text)

    async def _read(self, reply: httpx2.Response) -> bytes:
        parts, size = [], 0
        async for part in reply.aiter_bytes():
            size += len(part)
            if size > _LARGEST:
                raise FailedError(f"{reply.url} sent more than {_LARGEST} bytes")
            parts.append(part)
        return b"".join(parts)

    def _judged(self, url: str, reply: httpx2.Response, text: bytes) -> JSON:
        status = reply.status_code
        message = self._clean(f"{url} answered {status}: {_message(text)}")
        if status in _REFUSED:
            raise RefusedError(message)
        if status in _AGAIN:
            raise _TryAgainError(message, status, _asked_wait(reply.headers.get("Retry-After")))
        if 300 <= status < 400:
            target = self._clean(reply.headers.get("Location", "elsewhere"))
            raise FailedError(f"{url} redirects to {target}; redirects are refused", status)
        if status != 200:
            raise FailedError(message, status)
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _TryAgainError(f"{url} sent no JSON: {self._clean(_excerpt(text))}") from error
        if not isinstance(decoded, dict):
            raise _TryAgainError(f"{url} sent no JSON object: {self._clean(_excerpt(text))}")
        return decoded

    def _clean(self, text: str) -> str:
        """Take the key out of what a server or a library says."""
        return text.replace(self._key, "***") if self._key else text


class Background:
    """An event loop in a thread of its own, so that any thread can wait for a coroutine.

    It does not matter whether the caller's thread runs a loop itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="safejudge-server", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return the result; whatever interrupts the caller cancels it.

        Raises `CancelledError` where the loop is stopped, before or meanwhile.
        """
        with self._lock:
            if self._stopped:
                coroutine.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what is running, run `last`, and end the thread."""
        with self._lock:
            self._stopped = True
        # Whatever was handed in before stands before this in the loop's queue.
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        asyncio.run_coroutine_threadsafe(last, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def gathered(coroutines: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the first exception cancels the rest and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _about_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _asked_wait(header: str | None) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 for anything else."""
    try:
        seconds = float(header or 0)
    except ValueError:
        try:
            until = parsedate_to_datetime(header or "")
            seconds = (until - datetime.now(until.tzinfo or UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def _message(text: bytes) -> str:
    """Return what an error reply says, in OpenAI's form, FastAPI's, or as it came."""
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return _excerpt(text)
    if isinstance(decoded, dict):
        error = decoded.get("error", decoded)
        message = error.get("message", error.get("detail")) if isinstance(error, dict) else error
        if message:
            return _excerpt(storable(str(message)).encode())
    return _excerpt(text)


def _excerpt(text: bytes) -> str:
    return cut(one_line(text[:2000].decode("utf-8", "replace")), 400)
