"""What must not keep a server: an engine that hangs, a full disk, a slow host, two reloads."""

import asyncio
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from live import Live
from test_faults import PATIENCE, RULES, judged

from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.keys import add
from safejudge.serve.metrics import Metrics
from safejudge.serve.run import Running
from safejudge.serve.settings import Settings
from safejudge.serve.threads import in_turn
from tests.contract.loopback import Loopback, stall


@pytest.fixture
def rules(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(id="fruit", statement="a fruit is visible"), encoding="utf-8")
    return file


def test_an_engine_that_hangs_does_not_keep_a_server_that_ends(rules, safe, cache):
    held, replies = threading.Event(), []
    engine = Loopback()
    judging = ("--constitution", str(rules), "--engine", f"server:{engine.base}#org/tiny")
    # The engine's own timeout would end it, too: hours later.
    with Live(*judging, "--timeout", "9000", "--drain", "0.5", cache=cache) as live:
        engine.on_stall = held.set
        engine.behave(fault=stall, every=1)
        asking = threading.Thread(target=lambda: replies.append(judged(live, safe)))
        asking.start()
        assert held.wait(PATIENCE)
        assert live.end(signal.SIGTERM) == 0
        asking.join(PATIENCE)
    assert [reply.status_code for reply in replies] == [503]
    assert replies[0].json()["error"]["code"] == "closing"
    engine.kill()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_log_that_cannot_be_written_is_told_once_and_keeps_nobody(rules, safe, cache):
    options = ("--constitution", str(rules), "--engine", "fake:")
    with Live(*options, cache=cache, log=Path("/dev/full")) as live:
        assert [judged(live, safe).status_code for _ in range(3)] == [200] * 3
        assert live.end() == 0
    assert sum("access log cannot be written" in line for line in live.said) == 1
    assert not any("Traceback" in line for line in live.said)


def test_a_deadline_holds_while_pictures_are_fetched(service):
    async def ask():
        async def never(*_):
            await asyncio.Event().wait()

        fetcher = Fetcher(("images.example",), max_bytes=100, seconds=PATIENCE, resolve=never)
        context = Context(service, Settings(), fetcher, Metrics())
        transport = httpx2.ASGITransport(gated(api_of(context), lambda: None, None))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as web:
            body = {"images": [{"image": "https://images.example/a.png"}]}
            return await web.post("/v1/judge", json=body, headers={"x-deadline-seconds": "0.05"})

    reply = asyncio.run(ask())
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline")


def test_of_two_reloads_the_later_keys_hold(tmp_path):
    file = tmp_path / "keys.txt"
    add(file, "old", ["judge"])
    entered, released = threading.Semaphore(0), threading.Event()

    def reload():
        entered.release()
        assert released.wait(PATIENCE)
        return SimpleNamespace(
            judge=SimpleNamespace(provenance=SimpleNamespace(constitution="digest"))
        )

    stub = SimpleNamespace(reload=reload, load_now=lambda: (0, 0), problem=None)
    context = Context(stub, Settings(keys=file), None, Metrics())
    running = Running(context, None, None, None, None)
    first = threading.Thread(target=running.reload)
    first.start()
    assert entered.acquire(timeout=PATIENCE)
    key = add(file, "new", ["judge"])
    second = threading.Thread(target=running.reload)
    second.start()
    # Where they do not take turns, this one is done by then, and the first undoes it.
    entered.acquire(timeout=0.2)
    released.set()
    first.join(PATIENCE), second.join(PATIENCE)
    assert running._keys.client_of(key).name == "new"


def test_work_that_nobody_awaits_any_more_keeps_its_turn():
    async def work():
        turns, held, begun = asyncio.Semaphore(1), threading.Event(), threading.Event()

        def slow():
            begun.set()
            assert held.wait(PATIENCE)

        first = asyncio.ensure_future(in_turn(turns, slow))
        await asyncio.to_thread(begun.wait, PATIENCE)
        first.cancel()
        await asyncio.wait({first})
        assert turns.locked()
        held.set()
        assert await in_turn(turns, lambda: "second") == "second"

    asyncio.run(work())
