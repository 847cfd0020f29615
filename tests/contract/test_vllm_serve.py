"""`server:` against a real `vllm serve` on loopback, started, killed and started again here."""

from __future__ import annotations

import random
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from limits import HANG, Limits
from proxy import KINDS, LASTING, PASSING, Proxy
from serve import Serve

from safejudge import Judge, Policy, prompts
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.engines.open import open_engine
from safejudge.engines.server.engine import ServerEngine
from safejudge.engines.server.http import Retry
from safejudge.engines.server.messages import Messages
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.prompts import ReasonedAnswer
from safejudge.rewards import SafetyReward
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.sketch.world.statements import grammar
from safejudge.types import Message, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.types import AnswerProbs

pytestmark = pytest.mark.vllm

RNG = random.Random("serve")
SCENES = [Picture.of(draw(even_scene(RNG)).pixels) for _ in range(5)]
STATEMENTS = RNG.sample(sorted(grammar()), 8)
PICTURED = [
    Probe(prompts.ASK, (scene,), prompts.statement_question(statement))
    for scene in SCENES
    for statement in STATEMENTS
]
PROBES = PICTURED + [
    Probe(prompts.ASK, (), prompts.statement_question(statement)) for statement in STATEMENTS
]
CLOSE = 1e-3
EQUAL = 1e-5
"""How far the same numbers in another batch may lie apart."""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("serve") / "vllm.log") as server:
        yield server


@pytest.fixture(scope="module")
def engine(serve: Serve) -> Iterator[ServerEngine]:
    opened = ServerEngine(serve.uri, uri="server:sketch", retry=Retry(tries=2))
    yield opened
    opened.close()


def test_reads_are_exact_and_those_of_transformers(engine: ServerEngine) -> None:
    assert engine.card.versions["vllm"]
    found = engine.answer_probs(PROBES)
    expected = open_engine("hf:sketch").answer_probs(PROBES)
    for one, other in zip(found, expected, strict=True):
        if other.problem is None:  # the door to what is no drawn scene is not the server's
            assert one.problem is None
            assert one.exact
            assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)
            assert one.score == pytest.approx(other.score, abs=CLOSE)


def test_pictures_are_sent_once(engine: ServerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = []
    send = engine._line.wire.send

    async def seen(url: str, build: Any, **more: Any) -> Any:
        brought.extend(
            part["image_url"]
            for part in build()["messages"][0]["content"]
            if part["type"] == "image_url" and part["image_url"]
        )
        return await send(url, build, **more)

    monkeypatch.setattr(engine._line.wire, "send", seen)
    fresh = Picture.of(255 - SCENES[0].pixels)
    probes = [Probe(prompts.ASK, (fresh,), prompts.statement_question(s)) for s in STATEMENTS]
    first = engine.answer_probs(probes)
    assert len(brought) == 1
    check(engine.answer_probs(probes), first)
    assert len(brought) == 1


def test_reasoning_fits_the_schema(engine: ServerEngine) -> None:
    turns = (Message("user", prompts.statement_question(STATEMENTS[0])),)
    requests = [
        Reasoning(prompts.REASON, (scene,), turns, ReasonedAnswer, 300) for scene in SCENES[:3]
    ]
    for reply in engine.reason(requests):
        ReasonedAnswer.model_validate_json(reply)


def test_a_wrong_model_name_is_told_with_the_right_one(serve: Serve) -> None:
    with pytest.raises(EngineSetupError, match="sketch"):
        open_engine(f"server:http://127.0.0.1:{serve.port}/v1#skethc")


# --- through a proxy that gives faults -----------------------------------------------------------


class Between(Proxy):
    """A proxy that tells the limits of the engine of each request that it will answer too late."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.limits = Limits()

    def fault(self, path: str, content: bytes) -> str | None:
        kind = super().fault(path, content)
        if kind == "late":
            self.limits.hang()
        return kind


@contextmanager
def behind(proxy: Between, every: int) -> Iterator[ServerEngine]:
    """An engine that meets faults, from when it has started."""
    retry = Retry(first=0.05, patience=HANG, limit=proxy.limits.limit)
    address = f"{proxy.base}#sketch"
    with closing(ServerEngine(address, uri="server:x", timeout=HANG, retry=retry)) as opened:
        proxy.count, proxy.every = 0, every
        yield opened


def check(found: Sequence[AnswerProbs], expected: Sequence[AnswerProbs]) -> None:
    assert [answer.problem for answer in found] == [None] * len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.p_labels == pytest.approx(other.p_labels, abs=EQUAL)


def met(proxy: Proxy, probe: Probe) -> set[str]:
    """The kinds of faults that a probe met."""
    messages = Messages().of_probe(probe)
    return {fault.kind for fault in proxy.given if fault.body["messages"] == messages}


@pytest.mark.parametrize("kind", PASSING)
def test_a_fault_that_passes_moves_no_number(serve: Serve, engine: ServerEngine, kind: str) -> None:
    expected = engine.answer_probs(PROBES)
    with Between(serve.address, kinds=(kind,)) as proxy, behind(proxy, every=6) as through:
        check(through.answer_probs(PROBES), expected)
    assert len(proxy.given) >= len(PICTURED) // 6
    assert {fault.kind for fault in proxy.given} == {kind}


@pytest.mark.parametrize(("kind", "says"), LASTING.items())
def test_a_fault_that_lasts_is_a_problem_of_the_probe_it_hit(
    serve: Serve, engine: ServerEngine, kind: str, says: str
) -> None:
    expected = engine.answer_probs(PROBES)
    with Between(serve.address, kinds=(kind,)) as proxy, behind(proxy, every=6) as through:
        found = through.answer_probs(PROBES)
    struck = [bool(met(proxy, probe)) for probe in PROBES]
    assert sum(struck) == len(proxy.given) == len(PICTURED) // 6
    for one, other, by in zip(found, expected, struck, strict=True):
        if by:
            assert says in str(one.problem)
            assert one.score is None
            assert set(one.p_labels) == {0.0}
        else:
            check([one], [other])


def test_faults_of_every_kind_in_one_call(serve: Serve, engine: ServerEngine) -> None:
    expected = engine.answer_probs(PROBES)
    with Between(serve.address) as proxy, behind(proxy, every=3) as through:
        found = through.answer_probs(PROBES)
    assert {fault.kind for fault in proxy.given} == set(KINDS)
    for probe, one, other in zip(PROBES, found, expected, strict=True):
        if LASTING.keys() & met(proxy, probe):
            assert one.problem
            assert one.score is None
        else:
            check([one], [other])


class Storm(Between):
    """Refuses everything so many times."""

    def fault(self, path: str, content: bytes) -> str | None:
        if len(self.given) == 40:
            self.every = 0
        return super().fault(path, content)


def test_a_storm_of_429_is_sat_out(serve: Serve, engine: ServerEngine) -> None:
    expected = engine.answer_probs(PROBES)
    with Storm(serve.address, kinds=("429",)) as proxy, behind(proxy, every=1) as through:
        check(through.answer_probs(PROBES), expected)
    assert 40 <= len(proxy.given) <= 56  # those under way when it ends may be refused as well


@pytest.mark.parametrize("kind", ["500", "half a reply", "400"])
def test_a_reasoning_that_met_a_fault_is_the_same_or_none(
    serve: Serve, engine: ServerEngine, kind: str
) -> None:
    turns = (Message("user", prompts.statement_question(STATEMENTS[0])),)
    requests = [Reasoning(prompts.REASON, (scene,), turns, max_tokens=40) for scene in SCENES]
    expected = engine.reason(requests)
    with Between(serve.address, kinds=(kind,)) as proxy, behind(proxy, every=2) as through:
        found = through.reason(requests)
    assert all(expected)
    assert len(proxy.given) >= 2
    assert found.count("") == (len(proxy.given) if kind == "400" else 0)
    assert all(one in {"", other} for one, other in zip(found, expected, strict=True))


# --- killed --------------------------------------------------------------------------------------


def ask_for_ever(engine: ServerEngine) -> None:
    while True:
        engine.answer_probs(PROBES)


def test_killed_while_it_works_and_started_again(serve: Serve, engine: ServerEngine) -> None:
    judge = Judge(
        load_constitution("sketch"),
        Models(engine),
        Policy(relevance=False, crop=False, region=False, cascade=False),
    )
    reward, pictures = SafetyReward(judge), [scene.pixels for scene in SCENES]
    before, rewards = engine.answer_probs(PROBES[:8]), reward(pictures)
    killer = threading.Timer(0.5, serve.kill)
    killer.start()
    with pytest.raises(EngineCallError, match="no longer answers"):
        ask_for_ever(engine)
    killer.join()
    with pytest.raises(EngineCallError, match="no longer answers"):
        engine.answer_probs(PROBES[:1])
    with pytest.raises(EngineCallError, match="no longer answers"):
        reward(pictures)
    assert SafetyReward(judge, on_engine_error="unjudgeable")(pictures) == [None] * len(pictures)
    serve.start()
    after = engine.answer_probs(PROBES[:8])
    for one, other in zip(before, after, strict=True):
        assert one.p_labels == pytest.approx(other.p_labels, abs=CLOSE)
    assert reward(pictures) == pytest.approx(rewards, abs=0.05)
