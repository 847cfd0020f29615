"""`hf://`: files of a data set on a hub of the tests, which speaks as much as its library asks."""

import hashlib
import io
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from safejudge.cli import app as cli
from safejudge.errors import InputError, StoreError
from safejudge.files import remote
from safejudge.files.remote import RemoteFile
from safejudge.images.listing import list_images
from safejudge.images.load import load_images
from safejudge.policy import Policy

SET = "hf://datasets/org/name"
API, FILE = "/api/datasets/org/name", "/datasets/org/name/resolve/main/"


def png(value):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class Hub(ThreadingHTTPServer):
    """One data set, without subtleties."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            "in/a.png": png(10), "in/sub/unnamed": png(20), "in/notes.txt": b"words",
            "in/large.png": b"x" * 5000,
        }  # fmt: skip
        self.ranges = []
        self.broken = False

    def tree(self, folder, everything):
        names = [name for name in self.files if name.startswith(folder)]
        folders = {"/".join(n.split("/")[:i]) for n in names for i in range(1, n.count("/") + 1)}
        entries = [{"type": "file", "path": n, "size": len(self.files[n]), "oid": "0"}
                   for n in names]  # fmt: skip
        entries += [{"type": "directory", "path": n, "oid": "1", "size": 0}
                    for n in sorted(folders) if n.startswith(folder)]  # fmt: skip
        return [e for e in entries if everything or "/" not in e["path"][len(folder) :]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, body, status=200, **headers):
        self.send_response(status)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        path, query = unquote(urlsplit(self.path).path), urlsplit(self.path).query
        if self.server.broken:
            self.send({"error": "down"}, 500)
        elif path in (API, f"{API}/revision/main"):
            self.send({"id": "org/name", "sha": "f" * 40, "siblings": []})
        elif (match := re.fullmatch(f"{API}/tree/main(?:/(.*))?", path)) is not None:
            folder = f"{match[1]}/" if match[1] else ""
            self.send(self.server.tree(folder, "recursive=true" in query.lower()))
        elif path.startswith(FILE) and (data := self.server.files.get(path[len(FILE) :])):
            bounds = self.headers.get("Range", "")
            self.server.ranges.append((path[len(FILE) :], bounds))
            first, last = map(int, re.findall(r"\d+", bounds))
            about = f"bytes {first}-{last}/{len(data)}"
            self.send(data[first : last + 1], 206, ETag='"x"', Content_Range=about)
        else:
            self.send({"error": "not there"}, 404, X_Error_Code="EntryNotFound")


@pytest.fixture
def hub(monkeypatch):
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(remote, "_SYSTEMS", remote._Systems())
        yield server
        server.shutdown()


def test_files_of_a_data_set_are_judged(hub, tmp_path, capsys):
    line = ["judge", f"{SET}/in", "--constitution", "sketch", "--engine", "fake:", "--out"]
    assert cli.main([*line, str(tmp_path / "out.jsonl")]) in {1, 4}
    head, *records = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert head["intake"]["passed_over"] == {"text": 1}
    found = {record["image"].removeprefix(SET): record["id"] for record in records}
    assert found == {
        f"/{name}": hashlib.sha256(hub.files[name]).hexdigest()
        for name in ("in/a.png", "in/large.png", "in/sub/unnamed")
    }


def test_no_more_is_fetched_than_may_be_judged(hub):
    (result,) = load_images([RemoteFile(f"{SET}/in/large.png")], Policy(max_bytes=1000))
    assert result.reason == "too_large"
    assert hub.ranges == [("in/large.png", "bytes=0-1000")]


def test_what_is_not_there_and_what_is_down(hub):
    listing = list_images([f"{SET}/in/none.png", f"{SET}/**/*.png"], stores=True)
    assert [name.removeprefix(SET) for name in listing.images] == [
        *("/in/none.png", "/in/a.png", "/in/large.png"),
    ]
    (result,) = load_images([listing.source(f"{SET}/in/none.png")], Policy())
    assert result.reason == "missing"
    with pytest.raises(InputError, match="cannot be listed"):
        list_images(["hf://datasets"], stores=True)
    # A list is read anew, also by the library that keeps what it has seen.
    hub.files["in/b.png"] = png(30)
    assert f"{SET}/in/b.png" in list_images([f"{SET}/in"], stores=True).images
    hub.broken = True
    with pytest.raises(StoreError, match="the store cannot be asked"):
        list_images([f"{SET}/in"], stores=True)
