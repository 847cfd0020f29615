"""A server with a list of hashes: what matches is flagged at every door, and shown to no model."""

import asyncio
import base64
import io

import httpx2
import numpy as np
import pytest
from PIL import Image
from prometheus_client import generate_latest

from safejudge import PolicyError, load_constitution
from safejudge.engines.meter import STAGES
from safejudge.images.hashes import HashList, hex_of, pdq_of
from safejudge.journal.ledger import Ledger
from safejudge.journal.store import Journal
from safejudge.opening import JudgeSpec
from safejudge.queueing import Limits
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Loaded, Service
from safejudge.serve.settings import Settings
from safejudge.types import Probe

pytest.importorskip("pdqhash", reason="no pdqhash: pip install 'safejudge[hashes]'")

RULES = load_constitution("default")


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((200, 200), Image.Resampling.BICUBIC)


def listed(*seeds):
    hashes = [hex_of(pdq_of(np.asarray(picture(seed)))[0][0]) for seed in seeds]
    return HashList.of(hashes, "known.txt")


def url_of(seed):
    stream = io.BytesIO()
    picture(seed).save(stream, "JPEG", quality=60)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


@pytest.fixture
def served(tmp_path):
    """A service that can be told another list, its journal, and a client of it."""
    state = {"skip": listed(1)}
    with Journal(str(tmp_path / "journal.db")) as journal:
        ledger = Ledger(journal, thumbnail=64, repeats=True, audit=1.0)
        metrics = Metrics()
        service = Service(
            lambda: Loaded(JudgeSpec(RULES, "fake:", cache=None, **state)),
            Limits(),
            metrics,
            ledger,
        )
        service.open()
        context = Context(
            service, Settings(on_undecided="pass"), Fetcher((), max_bytes=2**20), metrics
        )

        def ask(path, body):
            async def run():
                transport = httpx2.ASGITransport(gated(api_of(context), lambda: None, None))
                async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
                    return await client.post(path, json=body, timeout=60)

            return asyncio.run(run())

        yield service, journal, ask, state
        service.close(seconds=60)


def asked_of(service):
    return service.version.judge.models.meter.requests[STAGES[Probe]]


def test_every_door_says_no_and_asks_no_model(served):
    service, journal, ask, _ = served
    part = {"type": "image_url", "image_url": {"url": url_of(1)}}
    (result,) = ask("/v1/moderations", {"input": [part]}).json()["results"]
    assert (result["flagged"], result["safejudge"]["label"]) == (True, "failed")
    other = {"type": "image_url", "image_url": {"url": url_of(3)}}
    (result,) = ask("/v1/moderations", {"input": [other, part]}).json()["results"]
    assert result["flagged"] is True
    before = asked_of(service)
    guard = ask(
        "/beta/litellm_basic_guardrail_api", {"images": [url_of(1)], "input_type": "request"}
    )
    assert guard.json()["action"] == "BLOCKED"
    whole = ask("/v1/judge", {"images": [{"image": url_of(1)}]})
    assert whole.status_code == 422
    assert "matches a hash of known.txt" in whole.text
    asked = {"images": [url_of(1)], "questions": {"x": {"type": "noul", "instructions": "a cat"}}}
    assert ask("/v1/systemone", asked).status_code == 422
    spec = ask("/v1/classify", {"model": "safejudge", "input": {"mediaUrl": url_of(1)}})
    assert spec.status_code == 422
    assert asked_of(service) == before
    kept = [one for one in journal.search() if one.label == "failed"]
    assert {one.record["error"]["reason"] for one in kept} == {"listed"}
    assert [journal.thumbnail(one.id) for one in kept] == [None] * len(kept)
    told = generate_latest(service._metrics.registry).decode()
    assert 'safejudge_failures_total{reason="listed"}' in told


def test_a_reload_reads_the_list_anew_and_no_repeat_passes_it_by(served):
    service, journal, ask, state = served
    body = {"images": [{"image": url_of(2)}]}
    assert ask("/v1/judge", body).status_code == 200
    assert ask("/v1/judge", body).json()["results"][0]["repeated"] is True
    (first,) = journal.search()
    assert journal.thumbnail(first.id) is not None
    state["skip"] = listed(1, 2)
    service.reload()
    assert "matches a hash" in ask("/v1/judge", body).text
    assert journal.thumbnail(first.id) is None
    state["skip"] = None
    service.reload()
    assert ask("/v1/judge", body).status_code == 200


def test_a_reload_that_fails_keeps_the_list(served):
    service, _, ask, state = served
    state["skip"], state["policy"] = None, "no-such-policy"
    with pytest.raises(PolicyError):
        service.reload()
    assert service.version.judge.skip == service.version.judge.models.skip == listed(1)
    assert ask("/v1/judge", {"images": [{"image": url_of(1)}]}).status_code == 422
