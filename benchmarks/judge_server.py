"""A server on 127.0.0.1 that answers like a vision model, and in one way wrongly.

`with Server("drops") as address:` gives the address for `server:ADDRESS#tiny`. It speaks as much of
OpenAI's protocol as `safejudge` asks for; what it "sees" is a number made of the picture's bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 6
"""Questions with a picture before the quota is used up."""


class Server:
    """The server, running in a thread."""

    def __init__(self, mode: str, port: int = 0) -> None:
        """Behave in one of the ways that `_Handler` knows, at any port or a certain one."""
        self._server = _Quiet(("127.0.0.1", port), _Handler)
        self._server.mode, self._server.asked = mode, 0  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" not in body:
            self._send(404, {"error": {"message": "there is no such route"}})
            return
        server: Any = self.server
        pictures = _pictures(body)
        server.asked += bool(pictures)
        if server.mode == "quota" and server.asked > PATIENCE:
            error = {"message": "daily quota exceeded", "code": 429}
            self._send(429, {"error": error}, retry_after="3600")
            return
        if server.mode == "fails" and server.asked > PATIENCE:
            self._send(400, {"error": {"message": "this picture could not be read"}})
            return
        yes = _yes([] if server.mode == "drops" else pictures)
        self._send(200, _reply(body, yes, server.mode if server.asked > 3 else ""))

    def _send(self, status: int, content: Any, retry_after: str | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)


def _pictures(body: Any) -> list[str]:
    contents = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    parts = [part for content in contents for part in content]
    return [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]


def _yes(pictures: list[str]) -> float:
    """How sure it is: of no picture less than even, of each picture by its bytes, rather No."""
    if not pictures:
        return 0.3
    return 0.02 + 0.05 * hashlib.sha256("".join(pictures).encode()).digest()[0] / 255


def _found(content: Any, key: str) -> Any:
    """What stands under a key, however deep; None where nothing does."""
    if not isinstance(content, dict):
        return None
    if key in content:
        return content[key]
    return next((f for v in content.values() if (f := _found(v, key)) is not None), None)


def _filled(schema: Any) -> str:
    """A value for one property: No where it is offered, else the first, else a text."""
    values = schema.get("enum") or [schema.get("const", "nothing")]
    return "No" if "No" in values else str(values[0])


def _reply(body: Any, yes: float, mode: str) -> Any:
    schema = _found(body.get("response_format") or body.get("structured_outputs"), "properties")
    text = "No" if schema is None else json.dumps({k: _filled(v) for k, v in schema.items()})
    tokens = [("No", 0.99 - yes), ("Yes", yes), ("Maybe", 0.01)]
    if mode == "twice":
        tokens = [("No", 0.4), ("No", 0.4), ("Yes", yes)]
    top = [
        {"token": token, "logprob": math.log(p), "bytes": list(token.encode())}
        for token, p in tokens
    ]
    if mode == "contradicts":
        top = [{"token": "Yes", "logprob": math.log(0.9), "bytes": list(b"No")}, *top[1:]]
    if mode == "memory":
        top[0]["bytes"] = 300000000
    first = {**top[0], "top_logprobs": top}
    choice = {
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": [first]} if body.get("logprobs") else None,
    }  # fmt: skip
    usage = {"prompt_tokens": 50 + 40 * len(_pictures(body)), "completion_tokens": 1}
    if mode == "drops":
        usage["prompt_tokens"] = 50
    content = {"id": "x", "object": "chat.completion", "model": "tiny", "choices": [choice],
               "usage": usage}  # fmt: skip
    if mode == "huge":
        text = json.dumps(content).replace(json.dumps(top[0]["logprob"]), "-1" + "0" * 400)
        return text.encode()
    return content
