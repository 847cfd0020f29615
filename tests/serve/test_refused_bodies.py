"""Bodies that are refused: how a client is told, and what the server holds meanwhile."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket

import pytest

from safejudge.serve.gate import Gate
from safejudge.serve.metrics import Metrics
from safejudge.serve.settings import Settings


@pytest.mark.parametrize("size", [2**20 + 1, 2**25])
@pytest.mark.parametrize("known", [True, False])
def test_a_client_that_reads_only_when_it_has_sent_everything_reads_the_reply(
    server, keys, size, known
):
    _, by_name = keys
    key = by_name["shop"] if known else "sj_wrong"
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    try:
        connection.request(
            "POST", "/v1/moderations", b"A" * size, {"Authorization": f"Bearer {key}"}
        )
        reply = connection.getresponse()
        assert reply.status == (413 if known else 401)
        error = json.loads(reply.read())["error"]
        assert error["code"] == ("body_too_large" if known else "invalid_api_key")
    finally:
        connection.close()


def test_headers_without_end_are_refused(server):
    """Before a key is looked at; the parser that takes them all may be installed as well."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2**17)
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


class Bodies:
    """A gate before nothing, and requests whose bodies come in pieces."""

    def __init__(self, **settings):
        self.got = []
        self.gate = Gate(
            self._take,
            settings=Settings(**settings),
            keys=lambda: None,
            metrics=Metrics(),
            log=None,
        )

    async def _take(self, _, receive, send):
        self.got.append(len((await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def status_of(self, *pieces, before_last=None):
        """Send a body in pieces, the last one after an event; return the status."""
        waiting = [*pieces]
        statuses = []

        async def receive():
            if not waiting:
                return {"type": "http.disconnect"}
            if len(waiting) == 1 and before_last is not None:
                await before_last.wait()
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting)}

        async def send(message):
            statuses.append(message.get("status"))

        scope = {
            "type": "http", "method": "POST", "path": "/v1/judge", "headers": [], "client": None
        }  # fmt: skip
        await self.gate(scope, receive, send)
        return statuses[0]


def test_bodies_that_are_still_coming_in_count_as_held():
    async def work():
        bodies = Bodies(body=100, bodies=150)
        go_on = asyncio.Event()
        slow = asyncio.ensure_future(bodies.status_of(b"x" * 90, b"x", before_last=go_on))
        await asyncio.sleep(0)  # it has sent its first piece, and waits for the event
        assert await bodies.status_of(b"x" * 50, b"x" * 40) == 429
        assert await bodies.status_of(b"x" * 50) == 200
        go_on.set()
        assert await slow == 200
        # Nothing of any of them is held any more, refused or not.
        assert await bodies.status_of(b"x" * 101) == 413
        assert [await bodies.status_of(b"x" * 100) for _ in range(3)] == [200] * 3
        assert bodies.got == [50, 91, 100, 100, 100]

    asyncio.run(work())


def test_a_body_that_ends_early_is_held_no_longer():
    async def work():
        bodies = Bodies(body=100, bodies=100, seconds=0.01)
        never = asyncio.Event()
        assert await bodies.status_of(b"x" * 60, b"x", before_last=never) == 408
        never.set()
        assert await bodies.status_of(b"x" * 100) == 200

    asyncio.run(work())
