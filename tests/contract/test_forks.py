"""A judge that goes along into a forked child works there, or says at once why it does not."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import loopback
import pytest
import torch
from given import picture
from loopback import Loopback

from safejudge import prompts
from safejudge.engines.forks import Home
from safejudge.engines.local import vllm
from safejudge.engines.local.vllm_steps import Steps
from safejudge.engines.meter import Tokens
from safejudge.engines.models import Models
from safejudge.engines.server.engine import ServerEngine
from safejudge.errors import EngineCallError
from safejudge.types import Message, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.local.hf import HFEngine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PICTURES = [picture(seed, 16, 16) for seed in range(4)]
PROBES = [
    Probe(prompts.ASK, (shown,), prompts.statement_question(f"statement {i}"))
    for i, shown in enumerate(PICTURES)
]
WAITED = 300
"""Seconds after which a child that hangs is ended, and the test fails."""


def in_child(work: Callable[[], Any]) -> bool:
    """Run something in a forked child; whether it came out true."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)  # no test goes on in a child
    guard = threading.Timer(WAITED, os.kill, (child, 9))
    guard.start()
    _, status = os.waitpid(child, 0)
    guard.cancel()
    return os.waitstatus_to_exitcode(status) == 0


def test_a_server_is_asked_from_a_child_and_from_its_parent() -> None:
    with (
        Loopback(keeps=8) as server,
        closing(ServerEngine(server.base, uri="server:x", timeout=WAITED)) as engine,
    ):
        before = engine.answer_probs(PROBES)
        turns = (Message("user", "What is it?"),)

        def asked() -> bool:
            same = engine.answer_probs(PROBES) == before
            same &= (
                "thinking" in engine.reason([Reasoning(prompts.REASON, (PICTURES[0],), turns)])[0]
            )
            engine.close()
            engine.close()
            with pytest.raises(EngineCallError, match="closed"):
                engine.answer_probs(PROBES)
            return same

        assert in_child(asked)
        assert in_child(lambda: engine.close() is None)
        assert in_child(lambda: in_child(lambda: engine.answer_probs(PROBES) == before))
        assert engine.answer_probs(PROBES) == before


def test_what_a_thread_of_the_parent_holds_is_free_in_a_child() -> None:
    hanging = threading.Event()
    with (
        Loopback(keeps=8) as server,
        closing(ServerEngine(server.base, uri="server:x", timeout=WAITED)) as engine,
    ):
        models = Models(engine)
        before = models.answer(PROBES[1:])
        server.on_stall = hanging.set
        server.behave(fault=loopback.stall, sour="statement 0")
        thread = threading.Thread(target=_fails, args=(models,))
        thread.start()
        assert hanging.wait(WAITED)  # the locks of models and engine are held, and a picture waits
        server.behave(fault=None)
        assert in_child(lambda: models.answer(PROBES[1:]) == before)
        assert in_child(lambda: models.answer(PROBES)[1:] == before)
        engine.close()
        thread.join()


def _fails(models: Models) -> None:
    with pytest.raises(EngineCallError, match="closed"):
        models.answer(PROBES[:1])


def test_a_model_of_this_process_works_alone_in_a_child(
    open_tiny: Callable[[str], HFEngine],
) -> None:
    engine = open_tiny("llava")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        square = torch.ones(600, 600)
        assert (square @ square).sum() > 0  # now the second thread is there
        before = engine.answer_probs(PROBES)

        def works() -> bool:
            after = engine.answer_probs(PROBES)
            square @ square
            close = [abs(a.p_labels[0] - b.p_labels[0]) for a, b in zip(after, before, strict=True)]
            return max(close) < 1e-5 and torch.get_num_threads() == 1

        assert in_child(works)
        assert engine.answer_probs(PROBES) == before
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_vllm_says_that_it_does_not_go_along() -> None:
    ended: list[int] = []
    engine = vllm.VLLMEngine.__new__(vllm.VLLMEngine)
    engine._home = Home()
    engine._card = type("Card", (), {"uri": "vllm:x"})()
    core = type("Core", (), {"shutdown": lambda _: ended.append(1)})()
    engine._llm = type("LLM", (), {"llm_engine": type("E", (), {"engine_core": core})()})()
    engine._steps = Steps(engine._llm, (), Tokens(), engine._failure)

    def refused() -> bool:
        with pytest.raises(EngineCallError, match=r"vllm:x was opened before.*spawn"):
            engine.answer_probs([])
        engine.close()
        return ended == []

    assert in_child(refused)
    engine.close()
    assert ended == [1]
