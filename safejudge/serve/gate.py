"""The gate before every route: who asks, how much comes in, and a line in the log about each.

An ASGI application around the routes. Keys are looked at before a byte of the body is read. The
body is read here, whole and within limits, so no route can be made to hold more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from safejudge.serve.faults import RequestError, reply_to
from safejudge.serve.keys import token_of
from safejudge.text import plain_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from safejudge.serve.keys import Client, Keys
    from safejudge.serve.metrics import Metrics
    from safejudge.serve.settings import Settings
    from safejudge.types import JSON

LOG = logging.getLogger("safejudge.serve")
REVIEW = frozenset({"/review", "/review/review.css", "/review/review.js", "/review/icon.svg"})
"""The page on which people decide, without anything that it shows."""
OPEN = frozenset({"/health", "/ready", "/openapi.json", "/docs"}) | REVIEW
"""Paths that want no key."""
ROLES = {"/metrics": "metrics", "/admin/reload": "admin", "/v1/policies": "admin"}
"""What a client has to be for a path; `judge` for all others but those of a review."""
REVIEW_API = "/review/api/"
"""What paths begin with that want the role `review`."""
LINGER = 5.0
"""Seconds that a client which is refused may go on sending, to no use."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as the routes see it."""

    client: str
    """Who asks; images of one client take turns with those of others."""
    log: JSON
    """What the log will hold of it; routes add to it."""


class Gate:
    """Lets in what may come in, and writes down what became of it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        keys: Callable[[], Keys | None],
        metrics: Metrics,
        log: TextIO | None,
    ) -> None:
        """Stand before `app`; `keys` are looked up for each request."""
        self._app, self._settings, self._keys = app, settings, keys
        self._metrics, self._log = metrics, log
        self._held = 0
        self._mute = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        number = uuid.uuid4().hex
        log: JSON = {}
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            await self._visited(scope, receive, answer, log)
        finally:
            self._write_down(scope, number, status, time.perf_counter() - begun, log)

    async def _visited(self, scope: Scope, receive: Receive, send: Send, log: JSON) -> None:
        held = 0
        try:
            try:
                client = self._client_of(scope)
                log["client"] = client
                scope.setdefault("state", {})["visit"] = Visit(client, log)
                body = await self._body(scope, receive)
            except RequestError as error:
                log["error"] = error.code
                await _refuse(error, receive, send, min(LINGER, self._settings.seconds))
                return
            held = len(body)
            await self._app(scope, _replayed(body, receive), send)
        finally:
            self._held -= held

    def _client_of(self, scope: Scope) -> str:
        """Say who asks. Raises `RequestError` 401 and 403."""
        keys = self._keys()
        if keys is None:
            address = scope.get("client")
            return address[0] if address else "local"
        if scope["path"] in OPEN:
            return ""
        client = _named(keys, scope)
        if client is None:
            raise RequestError(
                401,
                "no valid key; send `Authorization: Bearer KEY` with one of the server's keys",
                code="invalid_api_key",
            )
        path = scope["path"]
        role = "review" if path.startswith(REVIEW_API) else ROLES.get(path, "judge")
        if role not in client.roles:
            raise RequestError(
                403, f"the key of {client.name} has no role `{role}`", code="missing_role"
            )
        return client.name

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body, and count what of it is held. Raises `RequestError` 408, 413 and 429."""
        most = self._settings.body
        told = _told_length(scope)
        self._check_size(told, most, told)
        body = bytearray()  # parts may be single bytes, so a list of them would take far more
        size = 0
        try:
            async with asyncio.timeout(self._settings.seconds):
                async for part in _parts(receive):
                    self._check_size(size + len(part), most, len(part))
                    size += len(part)
                    self._held += len(part)
                    body += part
        except BaseException as error:
            self._held -= size
            if not isinstance(error, TimeoutError):
                raise
            raise RequestError(
                408,
                f"the body did not arrive within {self._settings.seconds:g} s",
                code="slow_body",
            ) from None
        return bytes(body)

    def _check_size(self, size: int, most: int, more: int) -> None:
        """Check a body of `size` bytes, of which `more` are not held yet."""
        if size > most:
            raise RequestError(
                413, f"the body is larger than {most} bytes; send less", code="body_too_large"
            )
        if self._held + more > self._settings.bodies:
            raise RequestError(
                429, "too many bytes are being judged; try again in a moment", code="bodies_full"
            )

    def _write_down(
        self, scope: Scope, number: str, status: int, seconds: float, log: JSON
    ) -> None:
        # By its pattern, so that no caller can make up names for the metrics.
        self._metrics.requested(str(getattr(scope.get("route"), "path", "other")), status)
        if self._log is None:
            return
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": number,
            "method": scope["method"],
            "path": plain_name(scope["path"])[:200],
            "status": status,
            "seconds": round(seconds, 4),
        } | log
        try:
            # ASCII, so that nothing a caller wrote can steer a terminal or split a line.
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()
        except OSError as error:  # no reason to answer nobody any more; told once, until it works
            if not self._mute:
                LOG.error("the access log cannot be written: %s", error)  # noqa: TRY400 - no bug
            self._mute = True
        else:
            self._mute = False


def _named(keys: Keys, scope: Scope) -> Client | None:
    return keys.client_of(token_of(Headers(scope=scope)))


def _told_length(scope: Scope) -> int:
    """Return what the client says of its body's length; 0 where it says nothing usable."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """Yield a body as it comes. Raises `RequestError` where it ends early."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the body ended early", code="incomplete_body")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body at once, and after it what the connection says."""
    given = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(error: RequestError, receive: Receive, send: Send, seconds: float) -> None:
    """Answer at once, and then let the client end within `seconds` what it is sending."""
    status, body, headers = reply_to(error)
    # What a client still sends is forgotten, so the connection cannot be used again.
    headers["Connection"] = "close"
    start = JSONResponse(body, status, headers)
    await send({"type": "http.response.start", "status": status, "headers": start.raw_headers})
    await send({"type": "http.response.body", "body": start.body, "more_body": True})
    # Closed while it sends, a client is told of a broken connection instead of the reply.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
