"""A scripted chat-completions server on 127.0.0.1, answering from a hash of what it is asked.

It behaves like vLLM, or like something older or broken: every switch of `Manners` is one way to
be different. `Loopback.seen` holds every request with its headers, so that tests can look at what
was really sent.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

MODEL = "org/tiny"
WORDS = (
    *("Yes", "No", " Yes", " No", "yes", "no", "YES", "NO", " yes", " no"),
    *(
        "A",
        "B",
        "1",
        "2",
        "3",
        "4",
        "5",
        "First",
        "Second",
        "Sec",
        "Y",
        "I",
        "The",
        "\n",
        "<think>",
    ),
)
"""Tokens of more than one character, or that tests name; all others are single characters."""
IDS = {word: 1000 + i for i, word in enumerate(WORDS)}
TEXTS = {number: word for word, number in IDS.items()}
PROMPT = "<user>{}<answer>"
REPLIES = ('{"fruit":"medlar","colour":"brown"}', '{"rationale":"a dog","rating":"Unsure"}')
"""What is written under a regular expression: the first one that fits."""


@dataclass(frozen=True)
class Manners:
    """How the server behaves; the default is a recent vLLM."""

    models: tuple[str, ...] = (MODEL,)
    context: Any = None
    """How many tokens it says that its models take."""
    by_id: str = "honoured"
    """What it does with `logprob_token_ids`: honoured, ignored or refused."""
    tokenizer: bool = True
    most: int = 20
    """The longest list of likeliest tokens it gives."""
    unknown: tuple[str, ...] = ()
    """Fields that it answers with a 400."""
    refusal: str = "Extra inputs are not permitted: {}"
    """What it says then."""
    key: str = ""
    schemas: bool = True
    regexes: bool = False
    """Whether it takes a regular expression for a reply's form, as vLLM does."""
    pictures: bool = True
    drops: str | None = None
    """What it puts in the place of every picture without a word; empty: nothing."""
    counts: bool = False
    """Whether it says how many tokens it read: one a word, and 64 a picture."""
    keeps: int = 0
    """How many pictures it keeps by their `uuid`, as vLLM does; the oldest goes first."""
    writer: Callable[[dict[str, Any]], str] | None = None
    """Writes every reply that is not read by its probabilities; may raise `ConnectionError`."""
    likeliest: str = ""
    """A token that has nearly all of the probability."""
    logprobs: bool = True
    sour: str = ""
    """A part of a question for which the fault below always strikes."""
    every: int = 0
    """Let the fault strike every so many chat requests; 0 for never."""
    fault: Callable[[Handler], bool] | None = None
    """What happens then; True if it has answered."""
    twist: Callable[[dict[str, Any]], Any] | None = None
    """What is done to every reply of a question with a picture."""


@dataclass
class Request:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)


def texts_of(body: dict[str, Any]) -> list[str]:
    """Every text of a request, in order."""
    found = []
    for message in body["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [part["text"] for part in parts if part["type"] == "text"]
    return found


def urls_of(body: dict[str, Any]) -> list[str]:
    """Every picture's address, in order."""
    return [part["image_url"]["url"] for part in image_parts(body) if part["image_url"] is not None]


def image_parts(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Every picture's part, in order."""
    return [
        part
        for message in body["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else [])
        if part["type"] == "image_url"
    ]


def shown(body: dict[str, Any]) -> bool:
    """Whether this is a request of a test with a picture, not the engine's own at its start."""
    return bool(image_parts(body)) and "Is the picture grey?" not in texts_of(body)


@lru_cache(256)
def pixels_of(url: str) -> npt.NDArray[np.uint8]:
    """Decode a data URL."""
    import numpy as np
    from PIL import Image

    head, data = url.split(",", 1)
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.array(image)


def distribution(images: list[bytes], texts: list[str]) -> dict[str, float]:
    """Probabilities of all words, decided by a hash of the pixels and texts alone."""
    seed = hashlib.sha256(b"".join(images) + "\0".join(texts).encode()).digest()
    weights = {
        word: math.exp(hashlib.sha256(seed + word.encode()).digest()[0] / 60) for word in WORDS
    }
    weights["Yes"] *= 40
    weights["No"] *= 40
    total = sum(weights.values())
    return {word: weight / total for word, weight in weights.items()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Loopback  # type: ignore[assignment]

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, content in headers.items():
            self.send_header(name.replace("_", "-"), content)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, message: str, status: int = 400, **headers: str) -> None:
        self.answer({"error": {"message": message, "code": status}}, status, **headers)

    def do_GET(self) -> None:
        manners = self.server.manners
        self.server.note(Request(self.path, dict(self.headers)))
        if manners.key and self.headers.get("Authorization") != f"Bearer {manners.key}":
            self.refuse(f"bad key {self.headers.get('Authorization')}", 401)
        elif self.path == "/v1/models":
            more = {} if manners.context is None else {"max_model_len": manners.context}
            self.answer({"data": [{"id": name, **more} for name in manners.models]})
        elif self.path == "/version" and manners.tokenizer:
            self.answer({"version": "0.33.0"})
        elif self.path == "/moved/models":
            self.answer({}, 307, Location="http://example.invalid/models")
        else:
            self.refuse("not here", 404)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        count = self.server.note(Request(self.path, dict(self.headers), body))
        manners = self.server.manners
        if self.path == "/tokenize" and manners.tokenizer:
            self.tokenize(body)
        elif self.path == "/detokenize" and manners.tokenizer:
            self.answer({"prompt": "".join(TEXTS.get(t) or chr(t) for t in body["tokens"])})
        elif self.path == "/v1/chat/completions":
            sour = bool(manners.sour) and any(manners.sour in text for text in texts_of(body))
            turn = manners.every and shown(body) and count % manners.every == 0
            if manners.fault and (sour or turn) and manners.fault(self):
                return
            whole = self.dropped(self.filled(body))
            if whole is None:
                self.refuse("a picture is not in the cache, and its data is missing")
            else:
                self.chat(whole)
        else:
            self.refuse("not here", 404)

    def filled(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The request with the pictures that its names stand for; None if one is unknown."""
        whole: dict[str, Any] = json.loads(json.dumps(body))
        kept, most = self.server.kept, self.server.manners.keeps
        for part in image_parts(whole):
            name = part.get("uuid")
            if part["image_url"] is None and name not in kept:
                return None
            if part["image_url"] is None:
                part["image_url"] = kept[name]
            elif name is not None and most:
                kept[name] = part["image_url"]
                while len(kept) > most:
                    kept.pop(next(iter(kept)), None)
        return whole

    def dropped(self, body: dict[str, Any] | None) -> dict[str, Any] | None:
        """The request as a model gets it whose server throws pictures away."""
        drops = self.server.manners.drops
        if body is None or drops is None:
            return body
        instead = [{"type": "text", "text": drops}] if drops else []
        for message in body["messages"]:
            if isinstance(message["content"], list):
                message["content"] = [
                    part
                    for old in message["content"]
                    for part in (instead if old["type"] == "image_url" else [old])
                ]
        return body

    def tokenize(self, body: dict[str, Any]) -> None:
        if "messages" in body:
            text = PROMPT.format("".join(texts_of(body)))
        else:
            assert body["add_special_tokens"] is False
            text = body["prompt"]
        longest = "|".join(re.escape(word) for word in sorted(WORDS, key=len, reverse=True))
        found = re.findall(f"(?s){longest}|.", text)
        self.answer({"tokens": [IDS.get(word) or ord(word) for word in found]})

    def chat(self, body: dict[str, Any]) -> None:
        manners = self.server.manners
        for name in manners.unknown:
            if name in body:
                self.refuse(manners.refusal.format(name))
                return
        if body.get("top_logprobs", 0) > manners.most:
            self.refuse(f"top_logprobs may be at most {manners.most}")
            return
        if "logprob_token_ids" in body and manners.by_id == "refused":
            self.refuse("unexpected logprob_token_ids")
            return
        if urls_of(body) and not manners.pictures:
            self.refuse("org/tiny is not a multimodal model")
            return
        if manners.writer and not body.get("logprobs") and "fruit" not in json.dumps(body):
            self.answer(self.reply(manners.writer(body), None))
            return
        reply = self.read(body) if body.get("logprobs") else self.write(body)
        if manners.twist and urls_of(body):
            reply = manners.twist(reply)
        if manners.counts:
            words = sum(len(text.split()) for text in texts_of(body))
            reply["usage"] = {"prompt_tokens": words + 64 * len(urls_of(body))}
        self.answer(reply)

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        manners = self.server.manners
        images = [pixels_of(url).tobytes() for url in urls_of(body)]
        numbers = distribution(images, texts_of(body))
        if manners.likeliest:
            hidden = {"yes": 1e-9, "no": 1e-9}
            numbers = {
                word: p * 1e-3 * hidden.get(word.strip().lower(), 1.0)
                for word, p in numbers.items()
            }
            numbers[manners.likeliest] = 0.999
        ranked = sorted(numbers, key=lambda word: -numbers[word])
        as_ids = body.get("return_tokens_as_token_ids", False)

        def entry(word: str) -> dict[str, Any]:
            token = f"token_id:{IDS[word]}" if as_ids else word
            return {
                "token": token,
                "logprob": math.log(numbers[word]),
                "bytes": list(token.encode()),
            }

        if "logprob_token_ids" in body and manners.by_id == "honoured":
            listed = dict.fromkeys([ranked[0], *(TEXTS[t] for t in body["logprob_token_ids"])])
        else:
            listed = dict.fromkeys(ranked[: body.get("top_logprobs", 0)])
        first = entry(ranked[0]) | {"bytes": list(ranked[0].encode())}
        content = [first | {"top_logprobs": [entry(word) for word in listed]}]
        return self.reply(ranked[0], {"content": content} if manners.logprobs else None)

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        seed = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        text = f" thinking about {seed} "
        regex = body.get("structured_outputs", {}).get("regex")
        if regex and self.server.manners.regexes:
            regex = regex.replace("\\uD800-\\uDFFF", "")  # as Python reads it, surrogates
            text = next(reply for reply in REPLIES if re.fullmatch(regex, reply))
        if schema and self.server.manners.schemas:
            made = {}
            for name, part in schema["properties"].items():
                options = part.get("enum")
                made[name] = options[int(seed[0], 16) % len(options)] if options else "it shows it"
            text = json.dumps(made, separators=(",", ":"))
        most = body.get("max_tokens") or body["max_completion_tokens"]
        return self.reply(text[: 4 * most], None)

    def reply(self, text: str, logprobs: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"choices": [{"index": 0, "message": message, "logprobs": logprobs}]}


class Loopback(ThreadingHTTPServer):
    """The server; `with Loopback() as server` starts it on a free port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    handler: type[Handler] = Handler
    behaviour: type[Any] = Manners

    def __init__(self, port: int = 0, **manners: Any) -> None:
        super().__init__(("127.0.0.1", port), self.handler)
        self.manners = self.behaviour(**manners)
        self.seen: list[Request] = []
        self.kept: dict[str, Any] = {}
        """Pictures by their names."""
        self.on_stall: Callable[[], None] = lambda: None
        """Called for each request that gets no answer."""
        self._guard = threading.Lock()
        self._pictured = 0
        self._sockets: set[Any] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def behave(self, **manners: Any) -> None:
        self.manners = replace(self.manners, **manners)

    def note(self, request: Request) -> int:
        """Keep a request; return how many chat requests with a picture there were."""
        with self._guard:
            self.seen.append(request)
            self._pictured += request.path.endswith("completions") and shown(request.body)
            return self._pictured

    def chats(self) -> list[Request]:
        """Every chat request, without the picture that the engine shows at its start."""
        chats = [request for request in self.seen if request.path.endswith("/chat/completions")]
        return [r for r in chats if shown(r.body) or not image_parts(r.body)]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is what some tests are about."""

    def kill(self) -> None:
        """Stop at once, connections and all."""
        self.shutdown()
        self.server_close()
        for open_socket in self._sockets:
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()


def storm(handler: Handler) -> bool:
    """429 with a wait that the server asks for."""
    handler.refuse("slow down", 429, Retry_After="7")
    return True


def crash(handler: Handler) -> bool:
    """500."""
    handler.refuse("internal error", 500)
    return True


def reset(handler: Handler) -> bool:
    """Close the connection without a word."""
    handler.close_connection = True
    return True


def babble(handler: Handler) -> bool:
    """200 with half a JSON text."""
    handler.answer(b'{"choices": [{"mess')
    return True


def refuse(handler: Handler) -> bool:
    """400, as for a request that is too long."""
    handler.refuse("This model's maximum context length is 10 tokens")
    return True


def flood(handler: Handler) -> bool:
    """More than any reply holds."""
    handler.answer(b"[" + b" " * (9 * 2**20) + b"]")
    return True


def stall(handler: Handler) -> bool:
    """Give no answer at all."""
    handler.server.on_stall()
    handler.connection.recv(1)  # returns when the client has closed the connection
    handler.close_connection = True
    return True
