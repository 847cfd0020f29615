"""The thread of one vLLM, with a scripted one: whoever waits is told, whatever happens."""

import gc
import time
import weakref
from queue import Empty, SimpleQueue
from types import SimpleNamespace

import numpy as np
import pytest

from safejudge import EngineCallError
from safejudge.engines.local.vllm_steps import Prompt, Steps, Ticket
from safejudge.engines.meter import Tokens
from safejudge.types import Picture

PATIENCE = 60
"""Seconds after which a test that hangs is given up; none waits for as long."""


class Scripted:
    """Takes prompts; a step ends one, once it may, or raises what it was given."""

    def __init__(self):
        self.llm_engine = self
        self.may_step = SimpleQueue()
        self.under_way = []
        self.count = 0
        self.abort_fails = False

    def enqueue(self, _prompts, _params, **_):
        self.count += 1
        self.under_way.append(str(self.count))
        return [f"{self.count}-more"]

    def step(self):
        fault = self.may_step.get(timeout=PATIENCE)
        if fault is not None:
            raise fault
        done = SimpleNamespace(finish_reason="stop")
        output = {"finished": True, "outputs": [done], "prompt_token_ids": [1]}
        return [SimpleNamespace(request_id=self.under_way.pop(0), num_cached_tokens=0, **output)]

    def abort_request(self, _numbers):
        if self.abort_fails:
            raise ValueError("what is to be aborted?")


@pytest.fixture
def llm():
    return Scripted()


@pytest.fixture
def steps(llm):
    opened = Steps(llm, (KeyError,), Tokens(), lambda error: EngineCallError(str(error)))
    yield opened
    for _ in range(20):
        llm.may_step.put(None)
    opened.close()


def ticket(told, batch=None, images=()):
    return Ticket(Prompt((1,), images, None), told.put, batch)


def test_a_thread_that_cannot_go_on_tells_whoever_waits(steps, llm):
    """Those under way, those behind them, and those that come when all is over."""
    told = SimpleQueue()
    given_up = object()
    llm.abort_fails = True
    steps.put([ticket(told, given_up), ticket(told, given_up), ticket(told)])
    steps.give_up(given_up)
    llm.may_step.put(None)
    first = told.get(timeout=PATIENCE)
    while not isinstance(first, EngineCallError):  # a step may have ended one before
        first = told.get(timeout=PATIENCE)
    assert "what is to be aborted?" in str(first)
    steps._thread.join(PATIENCE)
    steps.put([ticket(told)])
    assert "what is to be aborted?" in str(told.get(timeout=PATIENCE))


def test_who_may_give_up_a_batch_holds_no_pictures(steps, llm):
    told = SimpleQueue()
    picture = Picture.of(np.zeros((8, 8, 3), np.uint8))
    held = weakref.ref(picture.pixels)
    batch = object()
    steps.put([ticket(told, batch, (picture,))])
    llm.may_step.put(None)
    told.get(timeout=PATIENCE)
    steps.put([ticket(told, batch)])  # what the thread looked at last is another one
    llm.may_step.put(None)
    told.get(timeout=PATIENCE)
    del picture
    until = time.monotonic() + PATIENCE
    while held() is not None and time.monotonic() < until:
        gc.collect()
    assert held() is None
    assert batch is not None


def test_an_answer_that_cannot_be_read_ends_no_thread(steps, llm):
    told = SimpleQueue()

    def refuse(output):
        if not isinstance(output, EngineCallError):
            raise output.no_such_token
        told.put(output)

    steps.put([Ticket(Prompt((1,), (), None), refuse)])
    llm.may_step.put(None)
    assert "no_such_token" in str(told.get(timeout=PATIENCE))
    steps.put([ticket(told)])
    llm.may_step.put(None)
    assert told.get(timeout=PATIENCE).finished
    with pytest.raises(Empty):
        told.get_nowait()
