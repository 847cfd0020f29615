"""A running server, one within the test's own process, and pictures whose judgment is known."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from itertools import islice

import httpx2
import numpy as np
import pytest
from live import IMAGES, PER_CLIENT, SKETCH, Live
from PIL import Image

from safejudge import load_constitution
from safejudge.opening import JudgeSpec
from safejudge.queueing import Limits
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.keys import add
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Loaded, Service
from safejudge.serve.settings import Settings
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import model_folder
from safejudge.sketch.scenes import mixed_scenes

ROLES = {"shop": ("judge",), "monitor": ("metrics",), "boss": ("judge", "metrics", "admin")}
"""Clients of `server`."""


@dataclass(frozen=True)
class Scene:
    """One picture, and what the judge says of it when nobody serves it."""

    png: bytes
    label: str
    violations: tuple[str, ...]

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @property
    def part(self) -> dict[str, object]:
        """The picture as a part of an input in OpenAI's form."""
        return {"type": "image_url", "image_url": {"url": self.url}}


def png_of(pixels: np.ndarray) -> bytes:
    """Write pixels as a PNG file."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def installed():
    """Skip where the shipped models are not."""
    if not (model_folder("vlm") / "model.safetensors").is_file():
        pytest.skip("the weights of sketch are not here")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """The folder of priors; all servers of a run share it."""
    return tmp_path_factory.mktemp("priors")


@pytest.fixture(scope="session")
def keys(installed, tmp_path_factory):
    """A file of keys, and the key of each of `ROLES`."""
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    return path, {name: add(path, name, roles) for name, roles in ROLES.items()}


@pytest.fixture(scope="session")
def server(cache, keys):
    """A server of its own process, for whoever has one of `keys`."""
    path, _ = keys
    limits = ("--max-images", str(IMAGES), "--max-body", "1")
    with Live(*SKETCH, "--keys", str(path), *limits, cache=cache) as live:
        yield live


@pytest.fixture(scope="session")
def service(installed):
    """A service within this process; apps with settings of their own share it."""
    spec = JudgeSpec(load_constitution("sketch"), "hf:sketch", cache=None)
    opened = Service(lambda: Loaded(spec), Limits(per_client=PER_CLIENT), Metrics())
    opened.open()
    yield opened
    opened.close(seconds=10)


@pytest.fixture(scope="session")
def web_of(service):
    """Make an HTTP client of an application within this process, by settings."""

    def make(**settings):
        fetcher = Fetcher((), max_bytes=2**20)
        context = Context(service, Settings(**settings), fetcher, Metrics(), service.reload)
        transport = httpx2.ASGITransport(gated(api_of(context), lambda: None, None))
        return httpx2.AsyncClient(transport=transport, base_url="http://test")

    return make


@pytest.fixture(scope="session")
def scenes(service):
    """Unsafe and safe scenes, as the judge finds them when nobody serves it."""
    drawn = islice(mixed_scenes(load_constitution("sketch"), "scenes-7"), 6)
    pixels = [draw(scene).pixels for scene, _ in drawn]
    results = service.version.judge(pixels)
    found = [
        Scene(png_of(one), result.label, result.violations)
        for one, result in zip(pixels, results, strict=True)
    ]
    assert [scene.label for scene in found].count("safe") == 4
    return found


@pytest.fixture(scope="session")
def unsafe(scenes):
    """A scene that violates a rule."""
    return next(scene for scene in scenes if scene.label == "unsafe")


@pytest.fixture(scope="session")
def safe(scenes):
    """A scene that violates none."""
    return next(scene for scene in scenes if scene.label == "safe")


@pytest.fixture(scope="session")
def noise():
    """A picture that is no drawn scene: the judge knows that it cannot tell."""
    pixels = np.random.default_rng(3).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    return Scene(png_of(pixels), "undecided", ())


@pytest.fixture(scope="session")
def broken():
    """A file that is no picture."""
    return Scene(b"no picture at all", "failed", ())
