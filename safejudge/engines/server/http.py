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
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx2

from safejudge.engines.server.faults import (
    DoubledError,
    FailedError,
    QuotaError,
    RefusedError,
    TryAgainError,
)
from safejudge.engines.server.replies import Replies

if TYPE_CHECKING:
    from safejudge.types import JSON

_LARGEST = 8 * 2**20
"""Bytes of a reply; a chat completion has a few thousand."""
_REFUSED = frozenset({400, 413, 415, 422})
"""What a server answers to a request that it will not take, however often it is sent."""
BUSY = 429
"""What it answers where it wants fewer requests for a while."""
_AGAIN = frozenset({408, 409, 425, BUSY, *range(500, 600)})
PATIENCE = 300.0
"""Seconds after which no further attempt begins, unless somebody wants it sooner."""
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 5.0
"""A request that waited longer is worth a word."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a request is tried; waits double, with jitter."""

    tries: int = 10
    """Attempts of one request."""
    first: float = 0.5
    """Seconds before the second attempt."""
    longest: float = 30.0
    """No wait of our own is longer; one that the server asks for may be."""
    patience: float = PATIENCE
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
        self._replies = Replies(key)
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

    @property
    def patience(self) -> float:
        """Seconds after which a request is not tried any more."""
        return self._retry.patience

    async def send(
        self, url: str, body: Callable[[], JSON] | None = None, tries: int | None = None
    ) -> JSON:
        """POST a body (GET without one) and return the JSON object that comes back.

        The body is built when the request's turn has come, so that few are in memory at once.
        Raises `RefusedError` and `FailedError`; that is a `QuotaError` where the last answer was
        429, or the wait that came with it is longer than the patience.
        """
        retry = self._retry
        left = retry.tries if tries is None else tries
        wait, waited = retry.first, 0.0
        async with self._slots:
            begun = time.monotonic()
            content = None if body is None else json.dumps(body()).encode()
            while True:
                left -= 1
                tried = time.monotonic()
                try:
                    return await self._attempt(url, content)
                except TryAgainError as error:
                    pause = max(error.asked, wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    if left < 1 or time.monotonic() - begun + pause > retry.patience:
                        raise self._given_up(error) from error
                    waited += max(time.monotonic() - tried, error.silent) + pause
                    self._warn(error, waited)
                await retry.sleep(pause)
                wait = min(2 * wait, retry.longest)

    def _given_up(self, error: TryAgainError) -> FailedError:
        """Say what the last attempt met, and how long the server wanted to be left alone."""
        if error.status != BUSY:
            return FailedError(str(error), error.status)
        asked = f" (it asks to wait {error.asked:,.0f} s)" if error.asked else ""
        return QuotaError(f"{error}{asked}", error.status)

    def _warn(self, error: TryAgainError, waited: float) -> None:
        """Say once that requests wait: minutes of silence look like a program that hangs."""
        if (error.silent or waited > _SILENT_SECONDS) and not self._warned:
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
            raise TryAgainError(message, silent=self._timeout) from error
        except httpx2.RequestError as error:
            message = self._replies.clean(f"{url}: {error or type(error).__name__}")
            if _about_tls(error):
                raise FailedError(f"{message} (TLS)") from error
            raise TryAgainError(message) from error
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
        if status == 200:
            return self._decoded(url, text)
        if 300 <= status < 400:
            target = self._replies.excerpt(_location(reply))
            raise FailedError(f"{url} redirects to {target}; redirects are refused", status)
        said, field = self._replies.said(text)
        message = f"{url} answered {status}: {said}"
        if status in _REFUSED:
            raise RefusedError(message, field)
        if status in _AGAIN:
            asked = _asked_wait(reply.headers.get("Retry-After"))
            raise TryAgainError(message, status, asked=asked)
        raise FailedError(message, status)

    def _decoded(self, url: str, text: bytes) -> JSON:
        try:
            decoded = self._replies.decode(text)
        except DoubledError as error:
            raise DoubledError(f"{url} sent JSON that {error}") from error
        except ValueError as error:
            raise TryAgainError(f"{url} sent no JSON: {self._replies.excerpt(text)}") from error
        if not isinstance(decoded, dict):
            raise TryAgainError(f"{url} sent no JSON object: {self._replies.excerpt(text)}")
        return decoded


def _about_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _location(reply: httpx2.Response) -> bytes:
    header: str = reply.headers.get("Location", "elsewhere")
    return header.encode("utf-8", "replace")


def _asked_wait(header: str | None) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 for anything else."""
    try:
        seconds = float(header or 0)
    except ValueError:
        try:
            until = parsedate_to_datetime(header or "")
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
            seconds = (until - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return seconds if seconds > 0 else 0.0  # NaN is none either
