"""LiteLLM's proxy as a process of its own; behind it a model that writes down what it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import yaml

import safejudge.serve.gateways

FILES = Path(safejudge.serve.gateways.__file__).parent
"""Where the files lie that users copy."""


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON, and speaks HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, status, content, kind="application/json"):
        encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


@contextlib.contextmanager
def serving(handler, port=0):
    """Serve on a port of 127.0.0.1 in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Backend:
    """A model behind the proxy: says hello, or shows `picture`."""

    def __init__(self):
        self.asked = []
        """Bodies that reached it."""
        self.picture = None

    def handler(self):
        backend = self

        class Answer(Handler):
            def do_POST(self):
                asked = self.body()
                backend.asked.append(asked)
                if self.path.endswith("/images/generations"):
                    encoded = backend.picture.partition(",")[2]
                    self.answer(200, {"created": 1, "data": [{"b64_json": encoded}]})
                elif asked.get("stream"):
                    self.answer(200, backend.pieces(), "text/event-stream")
                else:
                    self.answer(200, backend.completion("message", "chat.completion"))

        return Answer

    def completion(self, field, kind):
        said = {"role": "assistant", "content": "hello"}
        if self.picture is not None:
            image = {"type": "image_url", "index": 0, "image_url": {"url": self.picture}}
            said["images"] = [image]
        choice = {"index": 0, "finish_reason": "stop", field: said}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return {
            "id": "c", "object": kind, "created": 1, "model": "m", "choices": [choice],
            "usage": usage,
        }  # fmt: skip

    def pieces(self):
        piece = json.dumps(self.completion("delta", "chat.completion.chunk"))
        return f"data: {piece}\n\ndata: [DONE]\n\n".encode()


OFFLINE = dict.fromkeys(
    (
        "LITELLM_LOCAL_MODEL_COST_MAP",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
        "LITELLM_LOCAL_BLOG_POSTS",
        "LITELLM_LOCAL_POLICY_TEMPLATES",
        "LITELLM_LOCAL_AUTOROUTER_PRESETS",
        "LITELLM_DISABLE_LATEST_RELEASE_CHECK",
    ),
    "True",
)
"""All that the proxy would fetch at its start comes with its package, too."""


class Proxy:
    """One proxy with a configuration of its own."""

    def __init__(self, command, folder, config, environment):
        for path in FILES.glob("*.py"):
            shutil.copy(path, folder)
        (folder / "litellm.yaml").write_text(yaml.safe_dump(config))
        self._key = f"sk-{secrets.token_hex(16)}"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **OFFLINE,
            **environment,
            "LITELLM_MASTER_KEY": self._key,
        }
        self.port = free_port()
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--telemetry", "False"]
        self._process = subprocess.Popen(
            [Path(command).resolve(), "--config", folder / "litellm.yaml", *options],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._said = []
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._said.append(line)
            if "Uvicorn running on" in line:
                self._started.set()
        self._started.set()

    def wait(self):
        """Wait until it answers; return a client of it."""
        self._started.wait()
        if self._process.poll() is not None:
            raise RuntimeError(f"the proxy ended at the start: {''.join(self._said[-40:])}")
        url = f"http://127.0.0.1:{self.port}/v1"
        return openai.OpenAI(base_url=url, api_key=self._key, max_retries=0)

    def end(self):
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
