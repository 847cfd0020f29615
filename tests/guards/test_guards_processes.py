"""The examples of the guards' page, started as a user starts them, with drawn scenes."""

import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from safejudge import load_constitution
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "safejudge" / "guards" / "README.md"
WEIGHTS = ROOT / "safejudge" / "sketch" / "models" / "vlm" / "model.safetensors"
PATIENCE = 300
"""Seconds after which what hangs is given up; nothing waits for as long."""

pytestmark = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the weights of sketch are not here")


def encoded(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def scenes():
    """Scenes whose label the shipped judge is sure of."""
    rules = load_constitution("sketch")
    drawn = list(islice(mixed_scenes(rules, "scenes-7"), 12))
    files = {number: encoded(draw(drawn[number][0]).pixels) for number in (0, 2, 3, 11)}
    return {
        "safe": files[2],
        "also safe": files[11],
        "weapons": files[0],
        "weapons, injury": files[3],
    }


@dataclass
class Site:
    """An application that runs."""

    kind: str
    port: int
    stored: Path

    def post(self, path, files):
        address = f"http://127.0.0.1:{self.port}/{path}"
        return httpx2.post(address, files=files, timeout=PATIENCE)

    def upload(self, data, name="picture.png"):
        return self.post("pictures", {"picture": (name, data)})

    def has_stored(self, reply, *files):
        return [(self.stored / name).read_bytes() for name in reply.json()] == list(files)


def started(kind, folder):
    """Start an application; return its process, and its port."""
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "PYTHONUNBUFFERED": "1",
        "SAFEJUDGE_CACHE": str(folder / "cache"),
    }
    run = {"cwd": folder, "env": env, "text": True}
    if kind == "fastapi":
        with socket.create_server(("127.0.0.1", 0)) as listening:
            # Whoever connects before the application has started waits in this socket.
            port, number = listening.getsockname()[1], listening.fileno()
            words = ["-m", "uvicorn", "app_fastapi:app", "--fd", str(number)]
            process = subprocess.Popen([sys.executable, *words], pass_fds=[number], **run)
        return process, port
    words = [str(HERE / "app_django.py"), "runserver", "--noreload", "127.0.0.1:0"]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, **run)
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return process, int(found[1])
    raise AssertionError(f"ended with {process.wait()}")


@pytest.fixture(scope="module", params=["fastapi", "django"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "stored").mkdir()
    process, port = started(request.param, folder)
    yield Site(request.param, port, folder / "stored")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)


def codes(reply):
    return [(entry["loc"], entry["code"], entry["categories"]) for entry in reply.json()["detail"]]


def test_a_safe_picture_is_stored_whole(site, scenes):
    assert len(scenes["safe"]) < 3000 < len(scenes["also safe"])  # in memory, and on the disk
    for name in ("safe", "also safe"):
        reply = site.upload(scenes[name])
        assert reply.status_code == 200
        assert site.has_stored(reply, scenes[name])


@pytest.mark.parametrize("violated", ["weapons", "weapons, injury"])
def test_an_unsafe_picture_is_refused_with_its_categories(site, scenes, violated):
    reply = site.upload(scenes[violated])
    assert reply.status_code == 422
    assert codes(reply) == [(["body", "picture"], "unsafe", violated.split(", "))]
    (entry,) = reply.json()["detail"]
    assert entry["msg"] == f"This picture is not allowed here: {violated}."
    assert "armed-child" not in reply.text


def test_what_is_no_picture_is_refused(site):
    for data in (b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(300), b""):
        reply = site.upload(data)
        assert reply.status_code == 422
        ((loc, code, categories),) = codes(reply)
        assert (loc, categories) == (["body", "picture"], [])
        # Django's own ImageField looks first.
        assert code in ("unreadable", "invalid_image", "empty")
    assert site.post("pictures", {"other": ("a.txt", b"")}).status_code == 422


def test_one_unsafe_picture_refuses_both(site, scenes):
    two = {"first": ("a.png", scenes["safe"]), "second": ("b.png", scenes["weapons"])}
    before = sorted(site.stored.iterdir())
    reply = site.post("albums", two)
    assert reply.status_code == 422
    loc = ["body", "second", 1] if site.kind == "fastapi" else ["body", "second"]
    assert codes(reply) == [(loc, "unsafe", ["weapons"])]
    assert sorted(site.stored.iterdir()) == before
    both = {"first": ("a.png", scenes["safe"]), "second": ("b.png", scenes["also safe"])}
    reply = site.post("albums", both)
    assert reply.status_code == 200
    assert site.has_stored(reply, scenes["safe"], scenes["also safe"])


def test_a_huge_file_is_refused(site):
    line = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    head = (
        b'--b\r\nContent-Disposition: form-data; name="picture"; filename="huge.bmp"\r\n'
        b"Content-Type: image/bmp\r\n\r\n"
    )
    tail = b"\r\n--b--\r\n"
    picture = Image.new("L", (1, 1))
    stream = io.BytesIO()
    picture.save(stream, "BMP")
    body = [stream.getvalue(), *[bytes(2**20)] * 66]
    line.putrequest("POST", "/pictures")
    line.putheader("Content-Type", "multipart/form-data; boundary=b")
    line.putheader("Content-Length", str(len(head) + sum(map(len, body)) + len(tail)))
    line.endheaders()
    if site.kind == "django":  # the other one answers before it has read anything
        for part in (head, *body, tail):
            line.send(part)
    reply = line.getresponse()
    assert reply.status == (413 if site.kind == "fastapi" else 422)
    assert b'"too_large"' in reply.read()
    line.close()


def test_uploads_that_come_together_are_each_answered_for_themselves(site, scenes):
    wanted = ["safe", "weapons", "also safe", "weapons, injury"] * 4
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda name: site.upload(scenes[name]), wanted))
    for name, reply in zip(wanted, replies, strict=True):
        if "safe" in name:
            assert reply.status_code == 200
            assert site.has_stored(reply, scenes[name])
        else:
            assert [found[2] for found in codes(reply)] == [name.split(", ")]


def test_the_page_shows_what_runs_here():
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    for block, app in zip(blocks, ("app_fastapi.py", "app_django.py"), strict=True):
        assert block in (HERE / app).read_text(encoding="utf-8")
        assert len([line for line in block.splitlines() if line]) <= 20
