"""Engines that answer one by one: the same judgments as in waves, whatever comes first."""

import random
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge import EngineCallError, InputError, Judge, Policy
from safejudge.constitution.load import load_constitution
from safejudge.engines.eyes import Eyes
from safejudge.engines.fake import FakeDetector, FakeEncoder, FakeEngine
from safejudge.engines.meter import Meter
from safejudge.engines.models import Models
from safejudge.engines.priors import PriorCache
from safejudge.engines.streaming import streaming
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import ClosingError
from safejudge.flow import Pool, drive, gather, pool
from safejudge.queueing import Front, Limits
from safejudge.types import AnswerProbs, Box, Message, Picture, Probe, Reasoning

PATIENCE = 60
"""Seconds after which a test that hangs is given up; none waits for as long."""


class OneByOne(FakeEngine):
    """Answers what it has in an order of its own, from a thread."""

    def __init__(self, seed=0, fails_after=None, **options):
        super().__init__(**options)
        self.order = random.Random(seed)
        self.fails_after = fails_after
        self.begun = []
        self.doubled = False
        self._left = []
        self._inbox = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def begin(self, requests, tell):
        self.begun.append(list(requests))
        left = set(requests)
        self.doubled |= any(left & other for other in self._left)
        self._left.append(left)
        for request in requests:
            self._inbox.put((request, tell, left))

        return left.clear

    def _work(self):
        waiting = []
        answered = 0
        while True:
            waiting.append(self._inbox.get())
            try:
                while True:
                    waiting.append(self._inbox.get_nowait())
            except Empty:
                pass
            self.order.shuffle(waiting)
            for _ in range(self.order.randint(1, len(waiting))):
                request, tell, left = waiting.pop()
                if request not in left:
                    continue
                left.discard(request)
                answered += 1
                if self.fails_after is not None and answered > self.fails_after:
                    tell(request, EngineCallError("the engine is gone"))
                    continue
                one = self.answer_probs if isinstance(request, Probe) else self.reason
                tell(request, one([request])[0])
            for item in waiting:
                self._inbox.put(item)
            waiting = []


def pictures(count):
    return list(np.random.default_rng(4).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))


def judge(engine, **changes):
    return Judge(load_constitution("sketch"), models_of(engine), Policy(**OPEN, **changes))


def models_of(engine, *also):
    return Models(
        engine,
        encoder=FakeEncoder(lambda request: request.picture.pixels.mean() / 255),
        detector=FakeDetector(lambda _: (BOX,)),
        also=also,
    )


OPEN = {"relevance_threshold": 0.0}
BOX = Box(word="knife", confidence=0.4, left=2, top=2, right=20, bottom=20)


def told(results):
    """All but what differs between two engine objects: times and who was asked first."""
    return [
        result.model_dump(mode="json", exclude={"provenance": True, "usage": True})
        for result in results
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), window=st.integers(1, 9))
def test_the_order_of_answers_changes_no_judgment(seed, window):
    shown = pictures(12)
    expected = told(judge(FakeEngine()).stream(shown, window=window))
    engine = OneByOne(seed)
    assert told(judge(engine).stream(shown, window=window)) == expected
    assert not engine.doubled, "an equal request was put twice at once"


def test_a_later_image_begins_before_an_earlier_one_ends():
    """No tail idles: what an engine is given next does not wait for a whole wave."""
    engine = OneByOne(3)
    list(judge(engine).stream(pictures(24), window=4))
    assert len(engine.begun) > 24 / 4 * 3


def test_reasoning_is_put_as_soon_as_it_is_wanted():
    """So it stands before the questions of images that come later."""
    asked = Probe("", (), "cheap"), Reasoning("", (), (Message("user", "dear"),))
    put = []

    class Recorded:
        def takes(self, _):
            return True

        def put(self, requests):
            put.extend(requests)

        def answered(self, *, wait):
            assert wait
            request = put[len(done)]
            done.append(request)
            probe = isinstance(request, Probe)
            return {request: AnswerProbs((0.5, 0.5)) if probe else "text"}

        def close(self):
            pass

    done = []

    def flow(number):
        yield (Probe("", (), f"cheap {number}"),)
        yield (asked[1] if number == 0 else Probe("", (), f"more {number}"),)

    running = Pool(lambda wave: pytest.fail(f"a wave of {wave}"), 8, Recorded())
    running.begin(flow(n) for n in range(3))
    while running.under_way:
        running.step()
    questions = [getattr(r, "question", "dear") for r in put]
    assert questions.index("dear") < questions.index("more 1") < questions.index("more 2")


def test_an_engine_that_fails_ends_the_run_and_gives_the_rest_up():
    engine = OneByOne(1, fails_after=20)
    with pytest.raises(EngineCallError, match="the engine is gone"):
        list(judge(engine).stream(pictures(12)))
    assert not any(engine._left)


def test_who_stops_listening_gives_up_what_is_under_way():
    engine = OneByOne(2)
    results = judge(engine).stream(pictures(40), window=8)
    next(results)
    results.close()
    assert not any(engine._left)


def test_a_closed_judge_begins_nothing_more():
    """Its engine may be open still: it is the caller's."""
    engine = OneByOne(6)
    closing = judge(engine)
    results = closing.stream(pictures(40), window=4)
    next(results)
    closing.close()
    with pytest.raises(InputError, match="this judge is closed"):
        list(results)
    assert not any(engine._left)


def test_many_callers_are_answered_one_by_one_too():
    engine = OneByOne(5)
    shown = pictures(10)
    expected = told(judge(FakeEngine())(shown))
    with judge(engine).front(Limits(size=4)) as front:
        futures = [front.submit(picture) for picture in shown]
        results = [future.result(timeout=PATIENCE) for future in futures]
    expected = [{**one, "image": None} for one in expected]
    assert [{**one, "image": None} for one in told(results)] == expected


class Blind(OneByOne):
    """Answers as if there were no picture."""

    def answer_probs(self, probes):
        return super().answer_probs(
            [Probe(p.instruction, (), p.question, p.labels) for p in probes]
        )


def test_an_engine_that_sees_nothing_is_noticed_in_any_order():
    engine = Blind(7)
    models = models_of(engine)
    models.eyes = Eyes("server:x", takes_tokens=False)
    blind = Judge(load_constitution("sketch"), models, Policy(**OPEN))
    with (
        pytest.raises(EngineCallError, match="does not see pictures"),
        pytest.warns(UserWarning, match=r"\d pictures got the numbers"),
    ):
        list(blind.stream(pictures(30)))


@pytest.mark.parametrize("priors_last", [False, True])
def test_one_question_alone_makes_no_engine_blind(priors_last):
    """Of every picture the question comes first that is answered as without: the others are not."""

    def script(probe):
        return AnswerProbs((0.9, 0.1) if probe.images and probe.question == "b" else (0.3, 0.7))

    engine = Held(script=script)
    models = models_of(engine)
    models.eyes = Eyes("server:x")
    shown = [Picture.of(pixels) for pixels in pictures(12)]
    priors = [Probe("", (), question) for question in "ab"]
    asked = [Probe("", (picture,), question) for question in "ab" for picture in shown]
    requests = [*asked, *priors] if priors_last else [*priors, *asked]
    stream = models.stream()
    stream.put(requests)
    answers = {}
    for _ in requests:
        engine.answer()
        answers |= stream.answered(wait=True)
    assert answers.keys() == set(requests)


def test_a_wrapper_that_changes_answers_is_not_gone_around():
    class Wrapper(WrappedEngine):
        pass

    assert streaming(OneByOne()) is not None
    assert streaming(FakeEngine()) is None
    assert streaming(Wrapper(OneByOne())) is None
    assert Models(FakeEngine()).stream() is None


def test_several_engines_are_answered_through_one_stream():
    """One of them in waves, beside the other."""
    shown = pictures(6)

    def panel(one, other):
        return Judge(load_constitution("sketch"), models_of(one, other), Policy(**OPEN))

    first, second = (FakeEngine(uri=f"fake:{n}") for n in "ab")
    expected = told(panel(first, second)(shown))
    assert told(panel(OneByOne(1, uri="fake:a"), second)(shown)) == expected
    assert told(panel(OneByOne(1, uri="fake:a"), OneByOne(2, uri="fake:b"))(shown)) == expected


class Held(OneByOne):
    """Answers what it is let answer."""

    given_up = False

    def begin(self, requests, tell):
        self.begun.append(list(requests))
        for request in requests:
            self._inbox.put((request, tell))

        def give_up():
            self.given_up = True

        return give_up

    def _work(self):
        """Not by a thread."""

    def answer(self, seconds=PATIENCE):
        request, tell = self._inbox.get(timeout=seconds)
        one = self.answer_probs if isinstance(request, Probe) else self.reason
        tell(request, one([request])[0])


def test_a_long_run_holds_no_more_than_a_short_one():
    """What was answered is not held for the sake of giving it up."""
    engine = OneByOne(4)
    stream = Models(engine).stream()
    (part,) = stream._streams.values()

    def flow(number):
        return (yield (Probe("", (), f"question {number}"),))

    most = 0
    for _ in pool((flow(n) for n in range(300)), None, 8, stream=stream):
        most = max(most, len(part._giving_up))
    assert most <= 2 * 8
    assert not any([part._giving_up, part._open, part._read, part._priors, stream._asked])


def test_priors_are_written_once_and_together(tmp_path):
    engine = Held()
    models = Models(engine, cache=PriorCache(tmp_path / "priors.sqlite3"))
    probes = [Probe("", (), f"question {n}") for n in range(5)]
    writes = []
    models.cache.put = lambda revision, answers: (
        writes.append(list(answers)) or PriorCache.put(models.cache, revision, answers)
    )
    stream = models.stream()
    stream.put(probes)
    for _ in probes:
        engine.answer()
    assert stream.answered(wait=True).keys() == set(probes)
    assert list(map(set, writes)) == [set(probes)]
    again = models.stream()
    again.put(probes)
    assert again.answered(wait=True).keys() == set(probes)
    assert len(writes) == len(engine.begun) == 1


def test_what_was_waited_for_is_counted_once():
    engine = Held()
    models = Models(engine, meter=Meter(told=lambda *told: stretches.append(told)))
    stretches = []
    stream = models.stream()
    reasoning = Reasoning("", (), (Message("user", "dear"),))
    stream.put([*(Probe("", (), f"question {n}") for n in range(3)), reasoning])
    for _ in range(4):
        engine.answer()
    stream.answered(wait=True)
    assert dict(models.meter.requests) == {"questions": 3, "reasoning": 1}
    assert len(stretches) == 2
    assert min(models.meter.seconds.values()) == 0.0 < max(models.meter.seconds.values())


def test_who_comes_does_not_wait_for_the_answers_of_others():
    """One image's question is under way; another's is put beside it before there is an answer."""
    engine = Held()
    with Front(judge(engine), Limits(size=4)) as front:
        first = front.submit(pictures(2)[0])
        until(lambda: engine.begun)
        second = front.submit(pictures(2)[1])
        until(lambda: len(engine.begun) > 1)
        assert not any([first.done(), second.done()])
        while not (first.done() and second.done()):
            with suppress(Empty):
                engine.answer(0.01)


def test_who_leaves_is_let_go_of_before_anybody_is_answered():
    """A cancelled image ends, and a front that closes in haste gives up what is under way."""
    engine = Held()
    front = Front(judge(engine), Limits(size=4))
    first, second = (front.submit(picture) for picture in pictures(2))
    until(lambda: front.queue.under_way == 2)
    first.cancel()
    until(lambda: front.queue.under_way == 1)
    until(lambda: engine.begun)
    front.close(drain=False)
    with pytest.raises(ClosingError):
        second.result(timeout=PATIENCE)
    until(lambda: not any(thread.is_alive() for thread in front.queue._threads))
    assert engine.given_up


def until(happened):
    """Wait for something that another thread does."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


def test_gather_is_as_before():
    def flow():
        (answer,) = yield (Probe("", (), "a"),)
        return answer.score

    answers = drive(gather([flow(), flow()]), lambda w: [AnswerProbs((0.25, 0.75))] * len(w))
    assert answers == [0.25, 0.25]
