"""Pictures by URL, from hosts that the operator listed: a URL -> bytes, or why there are none.

A URL is written by strangers, and the server stands where they do not: in a network with machines
that trust it. So a name is resolved once, every address it has must be one that is allowed, and the
connection goes to such an address: a name that changes its answer meanwhile changes nothing. TLS is
still checked against the name. No proxy, cookie or password of the environment is used, replies are
taken as they are (nothing is decompressed), and time and size are limited as a whole. What may be
listed, and how a URL has to be spelled, is in `hosts`. What the bytes are is the decoder's matter.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import httpcore2
import httpx2

from safejudge.errors import ImageError, PolicyError
from safejudge.serve.hosts import Hosts, Target, is_reachable
from safejudge.text import first_line

if TYPE_CHECKING:
    import ssl

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a name for a port, best first; raises `OSError` where it has none."""

MOST_REDIRECTS = 3
"""No fetch follows more."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_ADDRESSES = 4
"""So many of a name's addresses are tried."""
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    OSError,  # of TLS, in the middle of a reply
)
_INSTEAD = "send the picture itself"


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the operating system has for a name, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches pictures from listed hosts, and from nowhere else.

    `allowed` is the operator's list (`hosts` says what it may hold; `InputError` where it is
    wrong); with an empty one every URL is refused. A picture has at most `max_bytes` and comes
    within `seconds`, from looking up its name to the last byte, redirects included. Of redirects
    `redirects` are followed, each under all the same rules. So many pictures are fetched `at_once`
    that memory is bounded; who waits for a turn has its `seconds` still. `tls` says whose
    certificates are believed; None: those that the system believes.
    """

    def __init__(  # noqa: PLR0913 - a limit each
        self,
        allowed: Sequence[str],
        *,
        max_bytes: int,
        seconds: float = 10.0,
        redirects: int = 0,
        at_once: int = 8,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not 0 <= redirects <= MOST_REDIRECTS:
            message = f"redirects={redirects}: at most {MOST_REDIRECTS} are followed"
            raise PolicyError(f"{message}; write a number from 0 to {MOST_REDIRECTS}")
        self._hosts = Hosts(allowed)
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._redirects = redirects
        self._turns = asyncio.Semaphore(at_once)
        self._resolve = resolve or resolve_name
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)
        self._network: httpcore2.AsyncNetworkBackend = httpcore2.AnyIOBackend()
        self._closed = False

    async def fetch(self, url: str) -> bytes:
        """Return what a URL leads to.

        Raises `ImageError` with the reason `url`. Its message names host and path, and no query:
        that is the secret of a signed URL.
        """
        if self._closed:
            raise ImageError("url", f"nothing is fetched while the server stops; {_INSTEAD} later")
        target, left = self._hosts.admit(url), self._redirects
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                while not isinstance(reply := await self._get(target, left), bytes):
                    target, left = reply, left - 1
        except TimeoutError:
            raise ImageError(
                "url",
                f"{target.shown}: did not send the picture within {self._seconds:g} s; "
                f"try again later, or {_INSTEAD}",
            ) from None
        return reply

    async def close(self) -> None:
        """Refuse further fetches. No connection outlives its fetch, so none is left to close."""
        self._closed = True

    async def _get(self, target: Target, left: int) -> bytes | Target:
        """Return a body, or where the host redirects to."""
        pinned = _Pinned(self._network, await self._addresses(target), self._seconds)
        scheme, host = target.scheme.encode(), target.host.encode()
        # Put together from parts that were checked: no second parser reads the URL another way.
        url = httpcore2.URL(
            scheme=scheme, host=host, port=target.port, target=f"{target.path}{target.query}"
        )
        origin = httpcore2.Origin(scheme, host, target.port)
        headers = [
            ("Host", target.authority),
            ("Accept", "image/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            ("User-Agent", "safejudge"),
        ]
        try:
            async with (
                httpcore2.AsyncHTTPConnection(
                    origin, ssl_context=self._tls, network_backend=pinned
                ) as connection,
                connection.stream("GET", url, headers=headers) as reply,
            ):
                if reply.status in _REDIRECTS:
                    return self._redirected(target, reply, left)
                return await self._body(target, reply)
        except _FAILURES as error:
            message = f"{target.shown}: cannot be fetched ({first_line(error)})"
            raise ImageError("url", f"{message}; try again later, or {_INSTEAD}") from error

    async def _addresses(self, target: Target) -> Sequence[str]:
        """Return the addresses of a host, all of which are allowed."""
        if target.literal:
            found: Sequence[str] = [target.host]
        else:
            try:
                found = await self._resolve(target.host, target.port)
            except (OSError, UnicodeError) as error:
                message = f"{target.shown}: its host has no address ({first_line(error)})"
                raise ImageError("url", f"{message}; check the name, or {_INSTEAD}") from error
        # One that is not allowed, among others that are, is a mistake or an attack.
        if not found or not all(is_reachable(ip, internal=target.internal) for ip in found):
            raise ImageError(
                "url",
                f"{target.shown}: its host has no address, or one that is not public; {_INSTEAD}, "
                f"or have the operator list the host as internal:{target.origin}",
            )
        return found[:_MOST_ADDRESSES]

    def _redirected(self, target: Target, reply: httpcore2.Response, left: int) -> Target:
        if not left:
            kept = f"more than {self._redirects} times" if self._redirects else "elsewhere"
            message = f"{target.shown}: redirects {kept}, which is not followed"
            raise ImageError("url", f"{message}; give the URL that it ends at, or {_INSTEAD}")
        locations = _values(reply, b"location")
        if len(locations) != 1:
            message = f"{target.shown}: answered {reply.status} without one Location"
            raise ImageError("url", f"{message}; {_INSTEAD}")
        return self._hosts.admit_redirect(target, locations[0])

    async def _body(self, target: Target, reply: httpcore2.Response) -> bytes:
        """Read a reply up to the limit; what it says of its own length counts for nothing."""
        if reply.status != 200:
            message = f"{target.shown}: answered {reply.status}; check the URL, or {_INSTEAD}"
            raise ImageError("url", message)
        codings = _values(reply, b"content-encoding")
        if any(coding.strip().lower() != b"identity" for coding in codings):
            message = f"{target.shown}: sends the picture compressed, though that was not asked for"
            raise ImageError("url", f"{message}; {_INSTEAD}")
        body = bytearray()  # parts may be single bytes, so a list of them would take far more
        async for part in reply.aiter_stream():
            body += part
            if len(body) > self._max_bytes:
                message = f"{target.shown}: sends more than {self._max_bytes} bytes"
                raise ImageError("url", f"{message}; make the picture smaller")
        return bytes(body)


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name it is asked for."""

    def __init__(
        self, network: httpcore2.AsyncNetworkBackend, addresses: Sequence[str], seconds: float
    ) -> None:
        self._network = network
        self._addresses = addresses
        self._share = seconds / len(addresses)

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - each address has its share
        local_address: str | None = None,  # noqa: ARG002 - never given
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers."""
        *others, last = self._addresses
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._network.connect_tcp(
                    address, port, timeout=self._share, socket_options=socket_options
                )
        return await self._network.connect_tcp(last, port, socket_options=socket_options)


def _values(reply: httpcore2.Response, name: bytes) -> list[bytes]:
    return [value for header, value in reply.headers if header.lower() == name]
