"""An HTTP reverse proxy on 127.0.0.1 that gives faults: a real server on a bad day.

`with Proxy("127.0.0.1:8000", every=20) as proxy:` passes everything on unchanged, both ways, except
that every so many chat completions with a picture meet the next fault of `KINDS`. `proxy.given`
holds what each fault hit, so that a run can be accounted for. Replies are passed on whole. What is
refused once is refused again: a client may ask again with a picture that it had only named.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

PASSING = ("429", "500", "reset", "half a reply", "late")
"""Kinds of faults that are over when the request is sent again."""
LASTING = {"no logprobs": "no logprobs", "400": "this picture is refused"}
"""Kinds for which no client sends a request again, with words that a record should tell of them."""
KINDS = (*PASSING, *LASTING)

_REFUSALS = {"429": "slow down", "500": "internal error", "400": LASTING["400"]}
_OF_ONE_LINK = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Fault(NamedTuple):
    """One fault that was given."""

    place: int
    """The place of the request among all with a picture."""
    kind: str
    """One of `KINDS`."""
    path: str
    """Where the request went."""
    body: dict[str, Any]
    """What was asked, with every picture in it: also with one that the server knows by name."""


class Proxy(ThreadingHTTPServer):
    """The proxy; `every` may be set anew at any time, and 0 lets everything through."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, upstream: str, every: int = 0, kinds: tuple[str, ...] = KINDS) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.upstream, self.every, self.kinds = upstream, every, kinds
        self.count = self._due = 0
        self.given: list[Fault] = []
        self._pictures: dict[str, Any] = {}
        self._refused: list[Any] = []
        self._guard = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def fault(self, path: str, content: bytes) -> str | None:
        """Count a request; name the fault that it meets, if it meets one."""
        if not path.endswith("/chat/completions") or b'"image_url"' not in content:
            return None
        with self._guard:
            body = self._with_pictures(json.loads(content))
            if body["messages"] in self._refused:
                return "400"
            self.count += 1
            self._due += self.every > 0 and self.count % self.every == 0
            if not (self.every and self._due):
                return None
            kind = self.kinds[len(self.given) % len(self.kinds)]
            if kind == "no logprobs" and not body.get("logprobs"):
                return None  # nothing to take out of this reply; the next request meets the fault
            self._due -= 1
            self.given.append(Fault(self.count, kind, path, body))
            if kind == "400":
                self._refused.append(body["messages"])
            return kind

    def _with_pictures(self, body: dict[str, Any]) -> dict[str, Any]:
        """Put pictures where only their names stand, and take the names away."""
        for message in body["messages"]:
            for part in message["content"] if isinstance(message["content"], list) else ():
                name = part.pop("uuid", None)
                if name and part["image_url"]:
                    self._pictures[name] = part["image_url"]
                elif name:
                    part["image_url"] = self._pictures.get(name)
        return body

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away: to come too late is to meet that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.server.fault(self.path, content)
        if kind == "reset":
            self._reset()
        elif kind in _REFUSALS:
            wait = [("Retry-After", "1")] if kind == "429" else []
            self._send(int(kind), wait, _error(_REFUSALS[kind]))
        else:
            status, headers, reply = self._forwarded(content)
            if kind == "late":
                self.connection.recv(1)  # returns when the client has closed the connection
            self._send(status, headers, _spoilt(kind, reply))

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing of single requests."""

    def _forwarded(self, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        # A new connection: the server might close a kept one, a fault that nobody gave.
        upstream = HTTPConnection(self.server.upstream)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_ONE_LINK}
        try:
            upstream.request(self.command, self.path, content or None, headers)
            reply = upstream.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        except (OSError, HTTPException) as error:
            return 502, [], _error(f"nothing behind the proxy: {error}")
        finally:
            upstream.close()

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OF_ONE_LINK:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        # A socket that does not linger is closed by a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
        self.close_connection = True


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


def _spoilt(kind: str | None, reply: bytes) -> bytes:
    if kind == "half a reply":
        return reply[: len(reply) // 2]
    if kind == "no logprobs":
        body = json.loads(reply)
        for choice in body.get("choices", ()):
            choice["logprobs"] = None
        return json.dumps(body).encode()
    return reply
