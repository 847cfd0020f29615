"""A model hub on 127.0.0.1 that speaks as much as `huggingface_hub` asks for.

It serves folders under the names of models, each as one commit on `main`. Its faults are switches,
and `asked` holds every request, so that tests can see what was fetched, and what was not.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/(?P<what>revision|tree)/(?P<rev>[^/]+)(/.*)?")
FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<file>.+)")


@dataclass
class Hub:
    """What the hub has, and how it fails."""

    models: dict[str, Path]
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    refuses: tuple[int, str] | None = None
    """Status and error code of every answer."""
    breaks_after: int | None = None
    """Bytes of weights after which the connection ends."""

    def commit(self, name: str) -> str:
        """The one commit of a model: 40 digits over names and contents."""
        digest = hashlib.sha1()  # noqa: S324 - a name, as git makes them
        for path in self.files(name):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

    def files(self, name: str) -> list[Path]:
        return sorted(path for path in self.models[name].iterdir() if path.is_file())

    def fetched(self) -> list[str]:
        """Files of which bytes were asked for."""
        found = (FILE.fullmatch(path) for method, path in self.asked if method == "GET")
        return [match["file"] for match in found if match]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        if self.hub.refuses is not None:
            status, code = self.hub.refuses
            return self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})
        if (match := API.fullmatch(path)) and match["name"] in self.hub.models:
            return self._describe(match)
        if (match := FILE.fullmatch(path)) and match["name"] in self.hub.models:
            return self._file(match)
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _describe(self, match: re.Match[str]) -> None:
        name = match["name"]
        if match["rev"] not in {"main", self.hub.commit(name)}:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if match["what"] == "revision":
            files = [
                {"rfilename": path.name, "size": path.stat().st_size, "blobId": _tag(path)}
                for path in self.hub.files(name)
            ]
            told = {"_id": "1", "id": name, "sha": self.hub.commit(name), "siblings": files}
            return self._json({**told, "private": False, "gated": False, "tags": []})
        if match[4]:  # a folder, and there are none
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        entries = [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": _tag(path)}
            for path in self.hub.files(name)
        ]
        return self._json(entries)

    def _file(self, match: re.Match[str]) -> None:
        commit = self.hub.commit(match["name"])
        path = self.hub.models[match["name"]] / match["file"]
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if match["rev"] not in {"main", commit}:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if not path.is_file():
            return self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        content, status = path.read_bytes(), 200
        headers["ETag"] = f'"{_tag(path)}"'
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        cut = self.hub.breaks_after if path.suffix == ".safetensors" else None
        return self._send(status, content, headers, cut)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def _tag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324 - the same
