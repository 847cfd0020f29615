"""A server with a journal: every judgment is kept, and what people decided is what it answers."""

import asyncio

import httpx2
import pytest

from safejudge import load_constitution
from safejudge.engines.meter import STAGES
from safejudge.journal.ledger import Ledger
from safejudge.journal.people import Said, decide, withdraw
from safejudge.journal.queue import questions
from safejudge.journal.rows import rule_digest
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

SKETCH = load_constitution("sketch")
DIGESTS = {rule.id: rule_digest(rule) for rule in SKETCH.rules}


@pytest.fixture(scope="module")
def kept(installed, tmp_path_factory):
    """A service with a journal, and an HTTP client of it within this process."""
    with Journal(str(tmp_path_factory.mktemp("journal") / "journal.db")) as journal:
        ledger = Ledger(journal, thumbnail=64, repeats=True, audit=1.0)
        spec = JudgeSpec(SKETCH, "hf:sketch", cache=None)
        service = Service(lambda: Loaded(spec), Limits(), Metrics(), ledger)
        service.open()
        yield service, journal
        service.close(seconds=60)


def ask(service, scenes, *, path="/v1/judge"):
    context = Context(service, Settings(), Fetcher((), max_bytes=2**20), Metrics())

    async def run():
        transport = httpx2.ASGITransport(gated(api_of(context), lambda: None, None))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            if path == "/v1/judge":
                files = [("image", (f"{n}.png", scene.png)) for n, scene in enumerate(scenes)]
                return await client.post(path, files=files, timeout=120)
            return await client.post(
                path, json={"input": [scene.part for scene in scenes]}, timeout=120
            )

    return asyncio.run(run())


def asked_of(service):
    return service.version.judge.models.meter.requests[STAGES[Probe]]


def test_a_judgment_is_kept_and_a_repeat_is_answered_from_the_journal(kept, unsafe, broken):
    service, journal = kept
    first = ask(service, [unsafe, broken]).json()["results"]
    before = asked_of(service)
    rows = list(journal.search())
    assert [row.label for row in rows] == ["unsafe", "failed"]
    again = ask(service, [unsafe, broken]).json()["results"]
    assert asked_of(service) == before
    assert again[0].pop("repeated") is True
    again[0].pop("provenance")
    first[0].pop("provenance")
    assert {**again[0], "image": "0"} == {**first[0], "image": "0"}
    assert "repeated" not in again[1]
    assert journal.count() == 2
    (question,) = [q for q in questions(journal, "ann") if q.judgment == rows[0].id]
    assert question.why == "audit"
    assert journal.thumbnail(rows[0].id)[:2] == b"\xff\xd8"


def test_what_a_person_decided_holds_until_it_is_withdrawn(kept, unsafe):
    service, journal = kept
    (record,) = ask(service, [unsafe]).json()["results"]
    numbers = [
        decide(journal, Said(record["id"], rule, DIGESTS[rule], "does_not", "ann"))
        for rule in record["violations"]
    ]
    (settled,) = ask(service, [unsafe]).json()["results"]
    assert settled["label"] != "unsafe"
    assert {rule: one["verdict"] for rule, one in settled["people"].items()} == dict.fromkeys(
        record["violations"], "does_not"
    )
    reply = ask(service, [unsafe], path="/v1/moderations").json()["results"][0]
    assert not any(reply["categories"][rule] for rule in record["violations"])
    assert reply["safejudge"]["images"][0]["people"].keys() == settled["people"].keys()
    # The record is what the judge said.
    assert next(journal.search(image_id=record["id"])).label == "unsafe"
    for number in numbers:
        withdraw(journal, number, "ann")
    assert ask(service, [unsafe]).json()["results"][0]["label"] == "unsafe"


def test_what_a_person_calls_a_violation_is_flagged(kept, safe):
    service, journal = kept
    (record,) = ask(service, [safe]).json()["results"]
    rule = next(iter(record["rules"]))
    number = decide(journal, Said(record["id"], rule, DIGESTS[rule], "violates", "ann"))
    reply = ask(service, [safe], path="/v1/moderations").json()["results"][0]
    assert reply["flagged"]
    assert reply["categories"][rule]
    assert reply["category_scores"][rule] == 1.0
    withdraw(journal, number, "ann")


def test_nothing_is_answered_that_cannot_be_kept(kept, safe, monkeypatch):
    service, journal = kept
    monkeypatch.setattr(journal, "add", lambda *_: (_ for _ in ()).throw(_full()))
    reply = ask(service, [safe])
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "journal"
    assert "results" not in reply.json()


def _full():
    from safejudge import OutputError

    return OutputError("journal.db: cannot be written (disk full)")
