"""Flows of many clients in one pool: who is next, who leaves, and what happens when it ends."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge import (
    AllOf,
    Constitution,
    EngineCallError,
    InputError,
    Judge,
    Precondition,
    Rule,
    Severity,
)
from safejudge.engines.fake import FakeEngine
from safejudge.errors import ClosingError, DeadlineError, QueueFullError
from safejudge.queueing import FlowQueue, Limits
from safejudge.queueing.line import FairLine
from safejudge.types import AnswerProbs, Failure, Probe

PATIENCE = 60
"""Seconds after which a test that hangs is given up; none waits for as long."""


def probe(name):
    return Probe("", (), name)


def asking(*names):
    """Begin a flow that asks its questions one after the other, and returns what it heard."""

    def flow():
        heard = []
        for name in names:
            (answer,) = yield (probe(name),)
            heard.append(answer.top)
        return heard

    return flow


class Held:
    """An engine that answers a wave when it is told to, and writes down what it was asked."""

    def __init__(self, *, opened=False):
        self.asked = []
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(10**6 if opened else 0)
        self.error = None

    def __call__(self, wave):
        self.asked.append([request.question for request in wave])
        self.begun.release()
        assert self.allowed.acquire(timeout=PATIENCE)
        if self.error is not None:
            raise self.error
        return [AnswerProbs((0.5,), top=request.question) for request in wave]

    def wait(self):
        """Wait until it is asked a wave."""
        assert self.begun.acquire(timeout=PATIENCE)

    def go(self, waves=10**6):
        self.allowed.release(waves)


def result(entry):
    return entry.future.result(timeout=PATIENCE)


def until(condition):
    """Wait for what another thread does; how long it takes decides nothing."""
    for _ in range(PATIENCE * 200):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("never came")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), max_size=40))
def test_clients_take_turns(entries):
    line = FairLine()
    for client, number in entries:
        line.add(client, (client, number))
    taken = []
    while (entry := line.take()) is not None:
        taken.append(entry)
    for client in "abc":  # nothing is lost, and those of one client keep their order
        assert [e for e in taken if e[0] == client] == [e for e in entries if e[0] == client]
    for place, (client, _) in enumerate(taken):
        # Nobody is served twice while somebody else who was there waits.
        others = {c for c, _ in taken[place:]} - {client}
        since = [c for c, _ in taken[:place]]
        last = place - 1 - since[::-1].index(client) if client in since else None
        if last is not None:
            assert others <= set(since[last + 1 :])
    assert len(line) == 0


def test_one_image_does_not_wait_for_the_thousand_of_another():
    engine = Held()
    with FlowQueue(engine, Limits(size=4, per_client=200)) as queue:
        many = queue.submit([asking(f"many {n}") for n in range(100)], client="many")
        engine.wait()  # with the first of them
        (one,) = queue.submit([asking("one")], client="one")
        engine.go()
        result(one)
        done = sum(entry.future.done() for entry in many)
        for entry in many:
            result(entry)
    before = [name for wave in engine.asked for name in wave]
    # The pool and those read ahead of it were there before.
    assert before.index("one") <= 4 + 2 + 2
    assert done < 100


def test_what_waits_when_the_engine_is_free_is_one_wave():
    engine = Held()
    with FlowQueue(engine, Limits(size=32, readers=1)) as queue:
        first = queue.submit([asking("first", "again")])
        engine.wait()
        others = queue.submit([asking(f"other {n}") for n in range(8)])
        until(lambda: len(queue._ready) == 8)
        engine.go()
        for entry in (*first, *others):
            result(entry)
    assert engine.asked[0] == ["first"]
    assert sorted(engine.asked[1]) == sorted(["again", *(f"other {n}" for n in range(8))])


def test_whoever_leaves_is_asked_nothing_more():
    engine = Held()
    with FlowQueue(engine, Limits()) as queue:
        left, kept = queue.submit([asking("a", "never asked"), asking("b", "c")])
        engine.wait()
        assert left.future.cancel()
        engine.go()
        assert result(kept) == ["b", "c"]
        with pytest.raises(CancelledError):
            left.future.result()
    assert "never asked" not in [name for wave in engine.asked for name in wave]


def test_whoever_leaves_while_waiting_makes_room():
    engine = Held()
    limits = Limits(size=1, waiting=2, per_client=100, readers=1)
    with FlowQueue(engine, limits) as queue:
        queue.submit([asking("under way")])
        engine.wait()
        queue.submit([asking("read")])
        until(lambda: len(queue._ready) == 1)
        waiting = queue.submit([asking("x"), asking("y")])
        with pytest.raises(QueueFullError, match="2 images"):
            queue.submit([asking("z")])
        waiting[0].future.cancel()
        (later,) = queue.submit([asking("z")])
        engine.go()
        assert result(later) == ["z"]
    assert "x" not in [name for wave in engine.asked for name in wave]


def test_several_join_all_or_none():
    engine = Held()
    with FlowQueue(engine, Limits(per_client=3)) as queue:
        queue.submit([asking("a"), asking("b")], client="k")
        with pytest.raises(InputError, match="than may ever wait"):
            queue.submit([asking(str(n)) for n in range(4)], client="k")
        with pytest.raises(QueueFullError, match="of this client"):
            queue.submit([asking("c"), asking("d")], client="k")
        (other,) = queue.submit([asking("e")], client="other")
        engine.go()
        assert result(other) == ["e"]
    asked = {name for wave in engine.asked for name in wave}
    assert asked == {"a", "b", "e"}


def test_bytes_that_wait_are_limited():
    engine = Held()
    with FlowQueue(engine, Limits(size=1, waiting_bytes=100, readers=1)) as queue:
        queue.submit([asking("a")], sizes=[90])
        engine.wait()
        queue.submit([asking("b")], sizes=[90])
        until(lambda: len(queue._ready) == 1)
        queue.submit([asking("c")], sizes=[90])
        with pytest.raises(QueueFullError, match="bytes"):
            queue.submit([asking("d")], sizes=[11])
        queue.submit([asking("e")], sizes=[10])
        engine.go()


def test_a_deadline_is_told_and_nothing_is_asked_after_it():
    now = [100.0]
    engine = Held()
    with FlowQueue(engine, Limits(), clock=lambda: now[0]) as queue:
        (late,) = queue.submit([asking("a", "too late")], seconds=5.0)
        engine.wait()
        (early,) = queue.submit([asking("b", "c")], seconds=50.0)
        now[0] = 105.0
        engine.go()
        assert result(early) == ["b", "c"]
        with pytest.raises(DeadlineError):
            result(late)
    assert "too late" not in [name for wave in engine.asked for name in wave]


def test_a_flow_that_raises_ends_no_other():
    def broken():
        yield (probe("x"),)
        raise ZeroDivisionError

    def unreadable():
        raise MemoryError("no room for this picture")

    engine = Held(opened=True)
    with FlowQueue(engine, Limits()) as queue:
        bad, worse, good = queue.submit([broken, unreadable, asking("a")])
        assert result(good) == ["a"]
        with pytest.raises(ZeroDivisionError):
            result(bad)
        with pytest.raises(MemoryError):
            result(worse)
        (later,) = queue.submit([asking("b")])
        assert result(later) == ["b"]


def test_an_engine_that_fails_fails_all_at_once():
    told = []
    engine = Held()
    queue = FlowQueue(engine, Limits(size=2), failed=told.append)
    entries = queue.submit([asking(str(n)) for n in range(20)])
    engine.wait()
    engine.error = EngineCallError("the engine is gone")
    engine.go()
    for entry in entries:
        with pytest.raises(EngineCallError, match="gone"):
            result(entry)
    until(lambda: told)
    assert str(queue.error) == "the engine is gone"
    with pytest.raises(EngineCallError, match="has failed"):
        queue.submit([asking("more")])
    assert len(engine.asked) == 1
    queue.close()


def test_what_waits_is_read_although_nobody_wants_what_was_read_before():
    engine, looks = Held(), []
    limits = Limits(size=4, readers=1)
    with FlowQueue(engine, limits, has_room=lambda: looks.append(1) or True) as queue:

        def seen(action):
            """Do something, and wait until the reader has looked and waits again."""
            before = len(looks)
            done = action()
            until(lambda: len(looks) > before)
            return done

        (first,) = queue.submit([asking("first", "again")])
        engine.wait()
        (left,) = queue.submit([asking("left")])
        until(lambda: len(queue._ready) == 1)
        (last,) = seen(lambda: queue.submit([asking("last")]))
        seen(left.future.cancel)
        engine.go(1)
        engine.wait()  # with the second question: what was read is not there any more
        until(lambda: len(queue._ready) == 1)  # so the next is read now, although nothing ended
        engine.go()
        result(first), result(last)
    assert "left" not in [name for wave in engine.asked for name in wave]


def test_a_queue_of_those_who_left_closes():
    begun, held = threading.Event(), threading.Event()

    def reading():
        begun.set()
        assert held.wait(PATIENCE)
        raise ValueError("first")

    queue = FlowQueue(Held(opened=True), Limits(size=4, readers=1))
    first, last = queue.submit([reading, asking("last")])
    assert begun.wait(PATIENCE)
    last.future.cancel()
    keep = queue._line.keep

    def slowly(wanted):
        queue._changed.wait(0.05)  # the engine's thread looks once more, and sees the last one
        return keep(wanted)

    queue._line.keep = slowly
    closing = threading.Thread(target=queue.close, daemon=True)
    closing.start()
    until(lambda: queue._closing)
    held.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert isinstance(first.future.exception(), ValueError)


def test_what_is_no_exception_ends_no_thread_silently():
    class Panic(BaseException):
        """As Rust code raises it."""

    def broken():
        raise Panic("reading")

    engine = Held(opened=True)
    queue = FlowQueue(engine, Limits(readers=1))
    bad, good = queue.submit([broken, asking("good")])
    with pytest.raises(EngineCallError, match="Panic: reading"):
        result(bad)
    assert result(good) == ["good"]
    engine.error = Panic("answering")
    (failed,) = queue.submit([asking("failed")])
    with pytest.raises(EngineCallError, match="Panic: answering"):
        result(failed)
    with pytest.raises(EngineCallError):
        queue.submit([asking("later")])
    queue.close()


def test_limits_that_let_nothing_in_are_refused():
    with pytest.raises(InputError, match=r"Limits\.size is 0"):
        Limits(size=0)
    limits = Limits(size=4, waiting_bytes=10, per_client=3)
    with FlowQueue(Held(opened=True), limits) as queue:
        for many, sizes in ((4, [0] * 4), (1, [11])):
            with pytest.raises(InputError, match="fewer at a time"):
                queue.submit([asking("x")] * many, sizes=sizes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_is_told_that_the_threads_stayed_behind():
    with FlowQueue(Held(opened=True), Limits()) as queue:
        child = os.fork()
        if child == 0:
            try:
                queue.submit([asking("x")])
            except InputError:
                queue.close()  # and waits for nobody
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_queue_that_closes_answers_what_it_accepted():
    engine = Held()
    queue = FlowQueue(engine, Limits(size=2))
    entries = queue.submit([asking(str(n), f"{n} again") for n in range(30)])
    engine.wait()
    closing = threading.Thread(target=queue.close)
    closing.start()
    until(lambda: queue._closing)
    with pytest.raises(ClosingError):
        queue.submit([asking("more")])
    engine.go()
    assert [result(entry) for entry in entries] == [[str(n), f"{n} again"] for n in range(30)]
    closing.join(PATIENCE)
    assert not any(thread.is_alive() for thread in queue._threads)


def test_what_is_not_drained_in_time_fails():
    engine = Held()
    queue = FlowQueue(engine, Limits(size=2))
    entries = queue.submit([asking(str(n)) for n in range(9)])
    engine.wait()
    queue.close(seconds=0.0)
    for entry in entries:
        with pytest.raises(ClosingError):
            result(entry)
    engine.go()
    until(lambda: not any(thread.is_alive() for thread in queue._threads))
    assert len(engine.asked) == 1


def test_memory_that_is_full_lets_one_in_at_a_time():
    engine = Held(opened=True)
    with FlowQueue(engine, Limits(size=8), has_room=lambda: False) as queue:
        entries = queue.submit([asking(str(n)) for n in range(12)])
        assert [result(entry) for entry in entries] == [[str(n)] for n in range(12)]
    assert max(len(wave) for wave in engine.asked) <= 2  # a reader each


# --- the front of a judge -----------------------------------------------------------------------


def things():
    leaves = tuple(Precondition(statement=f"thing {n} is visible") for n in range(3))
    rules = tuple(
        Rule(
            id=f"rule-{n}",
            category="things",
            severity=Severity.LOW,
            text=f"No thing {n}.",
            objective=f"No thing {n}.",
            condition=AllOf(all=(leaves[n], leaves[(n + 1) % 3])),
        )
        for n in range(3)
    )
    return Constitution(name="things", rules=rules)


def opened():
    return Judge.load(things(), FakeEngine(), cache=None)


@pytest.fixture
def judge():
    with opened() as judge:
        yield judge


def pictures(count):
    random = np.random.default_rng(3)
    return list(random.integers(0, 255, (count, 24, 24, 3), dtype=np.uint8))


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(0, 20),
    size=st.integers(1, 9),
    clients=st.integers(1, 4),
    readers=st.integers(1, 3),
)
def test_a_front_says_what_the_judge_says(count, size, clients, readers):
    with opened() as judge:
        images = [*pictures(count), b"no picture"]
        expected = judge(images)
        with judge.front(Limits(size=size, readers=readers)) as front:
            futures = [front.submit(i, client=str(n % clients)) for n, i in enumerate(images)]
            said = [future.result(timeout=PATIENCE) for future in futures]

        async def streamed():
            async with judge.front(Limits(size=size, readers=readers, waiting=3)) as front:
                return [one async for one in front.stream(images)]

        streams = asyncio.run(streamed())
    for one, other, third in zip(expected, said, streams, strict=True):
        if isinstance(one, Failure):
            assert isinstance(other, Failure)
            assert isinstance(third, Failure)
            assert one.reason == other.reason == third.reason
        else:
            assert one.rules == other.rules == third.rules
            assert one.id == other.id


def test_many_await_at_once(judge):
    images = pictures(12)

    async def ask():
        async with judge.front() as front:
            return await asyncio.gather(*(front.judge(i, client="a") for i in images))

    said = asyncio.run(ask())
    assert [one.label for one in said] == [one.label for one in judge(images)]


def test_who_stops_to_wait_leaves_the_queue(judge):
    async def ask():
        async with judge.front() as front:
            stream = front.stream(pictures(30))
            async for _ in stream:
                break
            await stream.aclose()
            await asyncio.to_thread(until, lambda: front.queue.under_way == 0)
            await asyncio.to_thread(until, lambda: front.queue.waiting == 0)

    asyncio.run(ask())


def test_lists_of_other_lengths_are_refused(judge):
    async def ask():
        async with judge.front() as front:
            return [one async for one in front.stream(pictures(2), ["one"])]

    with pytest.raises(InputError, match="2 images but 1 prompt"):
        asyncio.run(ask())


def test_a_front_asks_no_other_models(judge):
    with (
        opened() as other,
        judge.front() as front,
        pytest.raises(InputError, match="other models"),
    ):
        front.submit_all([(b"x", None)], judge=other)


def test_what_images_one_after_the_other_ask_alike_is_asked_once():
    """However many waves each takes: an answer grows old by flows that begin, not by waves."""
    engine = Held(opened=True)
    with FlowQueue(engine, Limits(size=4)) as queue:
        for number in range(6):
            own = [f"{number}, step {step}" for step in range(4)]
            (entry,) = queue.submit([asking("prior", *own)])
            assert result(entry) == ["prior", *own]
    assert sum("prior" in wave for wave in engine.asked) == 1
