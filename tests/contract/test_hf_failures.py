"""What fails on one picture costs that picture; what fails on everything ends the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from given import picture

from safejudge import prompts
from safejudge.engines import trivial
from safejudge.errors import EngineCallError
from safejudge.types import Message, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.local.hf import HFEngine
    from safejudge.types import Picture

GOOD = [picture(seed) for seed in range(6)]
BAD = picture(99)


def ask(shown: Picture) -> Probe:
    return Probe(prompts.ASK, (shown,), prompts.statement_question("a dog is visible"))


def think(shown: Picture) -> Reasoning:
    return Reasoning(prompts.REASON, (shown,), (Message("user", "What is it?"),), max_tokens=4)


ERRORS = [
    RuntimeError("split_with_sizes expects split_sizes to sum exactly to 1"),
    IndexError("index 3 is out of bounds"),
    TypeError("'NoneType' object is not subscriptable"),
    ZeroDivisionError("division by zero"),
    AttributeError("'list' object has no attribute 'shape'"),
    ValueError("absolute aspect ratio must be smaller than 200"),
]


@pytest.fixture
def failing(open_tiny: Callable[[str], HFEngine], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An engine whose model fails on whatever a condition names, and how often it was run."""
    engine = open_tiny("llava")
    runs: list[int] = []

    def fail(error: Exception, when: Callable[[list[Picture]], bool]) -> tuple[HFEngine, list[int]]:
        for reader, name in ((engine._reader, "prepare"), (engine._plain, "inputs")):
            real = getattr(reader, name)

            def run(first: Any, *more: Any, real: Any = real, name: str = name) -> Any:
                rows = more[0] if name == "inputs" else [probe.images for probe in first]
                runs.append(len(rows))
                if when([one for row in rows for one in row]):
                    raise error
                return real(first, *more)

            monkeypatch.setattr(reader, name, run)
        return engine, runs

    return fail


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_picture_that_a_model_fails_on_costs_itself(failing: Any, error: Exception) -> None:
    engine, runs = failing(error, lambda shown: BAD in shown)
    *answers, bad = engine.answer_probs([*map(ask, GOOD), ask(BAD)])
    assert all(answer.problem is None for answer in answers)
    assert str(error) in str(bad.problem)
    assert len(runs) < 12  # halves, not one after the other from the start
    *replies, refused = engine.reason([*map(think, GOOD), think(BAD)])
    assert all(not isinstance(reply, NoReply) for reply in replies)
    assert isinstance(refused, NoReply)
    assert str(error) in refused.problem


LASTING = [
    (torch.OutOfMemoryError("CUDA out of memory"), "smaller batch_size"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory"), "smaller batch_size"),
    (RuntimeError("CUDA error: device-side assert triggered"), "device-side assert"),
]


@pytest.mark.parametrize(("error", "message"), LASTING)
def test_what_would_fail_again_ends_the_call(failing: Any, error: Exception, message: str) -> None:
    engine, runs = failing(error, lambda shown: BAD in shown)
    for call in (
        lambda: engine.answer_probs([*map(ask, GOOD), ask(BAD)]),
        lambda: engine.reason([*map(think, GOOD), think(BAD)]),
    ):
        runs.clear()
        with pytest.raises(EngineCallError, match=message):
            call()
        assert len(runs) <= 2


def test_a_model_that_fails_on_everything_ends_the_call(failing: Any) -> None:
    engine, _ = failing(RuntimeError("boom"), lambda _: True)
    with pytest.raises(EngineCallError, match=r"fails on a trivial question as well.*boom"):
        engine.answer_probs(list(map(ask, GOOD)))
    with pytest.raises(EngineCallError, match="trivial"):
        engine.answer_probs([trivial.PROBES[0]])
