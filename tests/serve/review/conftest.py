"""A journal with every kind of question, a server with keys, and a real browser."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from io import BytesIO
from itertools import islice

import httpx2
import pytest
from PIL import Image

from safejudge import load_constitution
from safejudge.journal.people import Said, decide
from safejudge.journal.picture import shrunk
from safejudge.journal.rows import Need, Row, rule_digest
from safejudge.journal.store import DAY, Journal
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.keys import Keys, add
from safejudge.serve.metrics import Metrics
from safejudge.serve.settings import Settings
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

ROLES = {"ann": ("review",), "bob": ("review",), "shop": ("judge",)}
COUNT = 12


@dataclass(frozen=True)
class Judged:
    """One picture, what was said of it, and the question about it."""

    result: object
    pixels: object
    rule: str
    why: str


def _png(pixels):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def judged(service):
    """Pictures that the shipped judge judged, with a question about each but the last."""
    rules = load_constitution("sketch")
    drawn = islice(mixed_scenes(rules, "scenes-11"), COUNT)
    pixels = [draw(scene).pixels for scene, _ in drawn]
    judge = service.version.judge
    results = judge([_png(one) for one in pixels])
    whys = ("undecided", "between", "shadow", "audit")
    return [
        Judged(
            result, one, max(result.rules, key=lambda rule: result.rules[rule].score or 0.0), why
        )
        for result, one, why in zip(results, pixels, whys * COUNT, strict=False)
    ]


@pytest.fixture
def journal(tmp_path, service, judged):
    """A journal of these pictures, over three weeks until now; the last is nobody's question."""
    with Journal(str(tmp_path / "journal.db")) as journal:
        judge = service.version.judge
        for number, one in enumerate(judged):
            asked = number < COUNT - 1
            row = Row(
                one.result,
                client="shop",
                needs=(Need(one.rule, one.why, 1 - number / COUNT),) if asked else (),
                thumbnail=shrunk(one.pixels, 96) if number % 6 != 5 else None,
            )
            journal.add(judge, [row], at=time.time() - (COUNT - number) * 2 * DAY)
        shadow = judged[2]
        journal.add(judge, [Row(shadow.result, variant="stricter")])
        yield journal


@pytest.fixture
def digests(service):
    """What decisions about the rules in force hang on."""
    return {rule.id: rule_digest(rule) for rule in service.version.judge.constitution.rules}


@pytest.fixture
def say(journal, judged, digests):
    """Have a reviewer decide about one of the pictures, past the page."""

    def said(place, verdict, who, note="", *, digest=None, reviewers=1):
        one = judged[place]
        held = Said(one.result.id, one.rule, digest or digests[one.rule], verdict, who, note)
        return decide(journal, held, reviewers=reviewers)

    return said


@pytest.fixture(scope="session")
def reviewers(tmp_path_factory):
    """A file of keys, and the key of each of `ROLES`."""
    path = tmp_path_factory.mktemp("review") / "keys.txt"
    return path, {name: add(path, name, roles) for name, roles in ROLES.items()}


@pytest.fixture
def app_of(service, journal, reviewers):
    """Make the application over the journal, by settings."""
    path, _ = reviewers

    def make(*, keyed=True, kept=True, **settings):
        held = Settings(keys=path if keyed else None, **settings)
        context = Context(
            service,
            held,
            Fetcher((), max_bytes=2**20),
            Metrics(),
            service.reload,
            journal if kept else None,
        )
        keys = Keys.load(path) if keyed else None
        return gated(api_of(context), lambda: keys, None)

    return make


@pytest.fixture
def api_for(app_of, reviewers):
    """Make an HTTP client of one reviewer."""
    _, keys = reviewers

    def make(name="ann", *, base="http://localhost", **settings):
        headers = {"authorization": f"Bearer {keys[name]}"} if name else {}
        transport = httpx2.ASGITransport(app_of(**settings))
        return httpx2.AsyncClient(transport=transport, base_url=base, headers=headers)

    return make


@pytest.fixture(scope="module")
def chromium():
    """A real browser. Skips where there is none.

    Of a module, and not of the run: while it is there, no test of its thread can use asyncio.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    with playwright.sync_playwright() as running:
        try:
            browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium starts here: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
