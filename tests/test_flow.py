"""Flows merged into waves, driven by a counting stand-in for an engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.errors import EngineCallError
from safejudge.flow import AHEAD, LATE, ask, drive, gather, pool, room
from safejudge.types import AnswerProbs, Message, Probe, Reasoning


def probe(name):
    return Probe("", (), name)


def reasoning(name):
    return Reasoning("", (), (Message("user", name),))


def name_of(request):
    return request.question if isinstance(request, Probe) else request.messages[-1].text


class Engine:
    """Answers by name and writes down every wave."""

    def __init__(self):
        self.waves = []

    def __call__(self, requests):
        self.waves.append([name_of(request) for request in requests])
        return [
            AnswerProbs((0.5,), top=r.question) if isinstance(r, Probe) else f"text {name_of(r)}"
            for r in requests
        ]


def script(*waves):
    """Yield each tuple of requests in turn and return every answer heard."""
    heard = []
    for requests in waves:
        heard.extend((yield tuple(requests)))
    return heard


def test_equal_requests_are_asked_once_ever():
    engine = Engine()
    flows = [
        script([probe("a"), probe("b")], [probe("c")]),
        script([probe("b")], [probe("a")], [probe("c")]),
        script([probe("d"), probe("d")]),
    ]
    results = drive(gather(flows), engine)
    asked = [name for wave in engine.waves for name in wave]
    assert asked == ["a", "b", "d", "c"]
    assert [answer.top for answer in results[1]] == ["b", "a", "c"]
    assert [answer.top for answer in results[2]] == ["d", "d"]


def test_waves_are_merged():
    engine = Engine()
    drive(gather(script([probe(f"{i}")], [probe(f"{i}'")]) for i in range(5)), engine)
    assert [len(wave) for wave in engine.waves] == [5, 5]


def test_reasoning_waits_for_every_probe():
    engine = Engine()
    flows = [
        script([reasoning("slow")], [probe("after")]),
        script([probe("1")], [probe("2")], [reasoning("late")]),
    ]
    drive(gather(flows), engine)
    assert engine.waves == [["1"], ["2"], ["slow", "late"], ["after"]]


def test_tiers_hold_through_nested_gathers():
    engine = Engine()
    inner = gather([script([reasoning("slow")]), script([probe("1")])])
    drive(gather([inner, script([probe("1")], [probe("2")])]), engine)
    assert engine.waves == [["1"], ["2"], ["slow"]]


def test_a_mixed_wave_gets_its_probes_first():
    engine = Engine()
    (heard,) = drive(gather([script([reasoning("r"), probe("p")])]), engine)
    assert engine.waves == [["p"], ["r"]]
    assert heard[0] == "text r"
    assert heard[1].top == "p"


def test_flows_that_ask_nothing():
    engine = Engine()
    assert drive(gather([]), engine) == []
    assert drive(gather([script(), script([])]), engine) == [[], []]
    assert engine.waves == []
    assert drive(script(), engine) == []


requests = st.sampled_from(
    [*(probe(name) for name in "abcd"), *(reasoning(name) for name in "abc")]
)
scripts = st.lists(st.lists(st.lists(requests, max_size=3), max_size=3), max_size=5)


@given(scripts)
def test_gather_gives_what_each_flow_gives_alone(waves):
    alone = [drive(script(*wave), Engine()) for wave in waves]
    engine = Engine()
    assert drive(gather(script(*wave) for wave in waves), engine) == alone
    assert [] not in engine.waves


def test_an_exception_inside_a_flow_comes_through_and_closes_the_rest():
    closed = []

    def failing():
        yield (probe("a"),)
        raise ZeroDivisionError

    def other():
        try:
            yield (probe("b"),)
            yield (probe("c"),)
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError):
        drive(gather([other(), failing()]), Engine())
    assert closed == [True]


def test_an_engine_error_comes_through_and_closes_the_flows():
    closed = []

    def waiting():
        try:
            yield (probe("a"),)
        finally:
            closed.append(True)

    def broken(requests):
        raise EngineCallError("out of memory")

    with pytest.raises(EngineCallError, match="out of memory"):
        drive(gather([waiting(), waiting()]), broken)
    assert closed == [True, True]


def test_a_short_answer_list_is_an_engine_error():
    with pytest.raises(EngineCallError, match="1 answers to 2 requests"):
        drive(script([probe("a"), probe("b")]), lambda _: ["x"])


def test_a_probe_answered_with_text_is_an_engine_error():
    with pytest.raises(EngineCallError, match="str"):
        drive(ask(probe("a")), lambda _: ["yes"])


# --- pools ----------------------------------------------------------------------------------------


@given(scripts, st.integers(1, 6))
def test_a_pool_gives_what_each_flow_gives_alone(waves, size):
    alone = [drive(script(*wave), Engine()) for wave in waves]
    engine = Engine()
    assert list(pool((script(*wave) for wave in waves), engine, size)) == alone
    assert [] not in engine.waves


@given(st.lists(st.lists(st.booleans(), max_size=6), max_size=40), st.integers(1, 8))
def test_a_pool_holds_its_size_and_asks_each_flow_once(steps, size):
    """Flows of their own requests, probes and reasonings: nothing twice, never more than `size`."""
    live, most, begun, ended = set(), [0], [0], [0]

    def flow(index):
        live.add(index)
        begun[0] += 1
        most[0] = max(most[0], len(live))
        for step, cheap in enumerate(steps[index]):
            yield ((probe if cheap else reasoning)(f"{index} {step}"),)
        live.discard(index)
        ended[0] += 1
        return index

    engine = Engine()
    for shown, index in enumerate(pool(map(flow, range(len(steps))), engine, size)):
        assert index == shown
        assert begun[0] - shown <= AHEAD * size
    asked = [name for wave in engine.waves for name in wave]
    assert sorted(asked) == sorted(
        f"{i} {j}" for i, some in enumerate(steps) for j in range(len(some))
    )
    assert most[0] <= size
    assert ended[0] == len(steps)


def test_a_slow_flow_leaves_no_wave_with_itself_alone():
    """Windows would ask the long flow's questions one by one; a pool fills up beside it."""
    long = script(*([probe(f"long {i}")] for i in range(4)))
    short = (script([probe(f"{i}")]) for i in range(40))
    engine = Engine()
    list(pool((flow for flows in ([long], short) for flow in flows), engine, 8))
    assert all(len(wave) > 1 for wave in engine.waves[: AHEAD + 1])


def test_dear_requests_are_asked_in_batches_and_the_oldest_does_not_wait_for_all():
    """Every fourth flow reasons: those of half a pool are asked together, soon after they ask."""
    flows = (script([probe(f"{i}")], *([[reasoning(f"r{i}")]] if i % 4 == 0 else []))
             for i in range(64))  # fmt: skip
    engine = Engine()
    list(pool(flows, engine, 16))
    sizes = [len(wave) for wave in engine.waves if wave[0].startswith("r")]
    assert sum(sizes) == 16
    assert sorted(sizes)[1] >= 16 // LATE // 4  # the last may be a remainder
    order = [name for wave in engine.waves for name in wave]
    for index in range(0, 64, 4):
        cheap = [name for name in order[: order.index(f"r{index}")] if name.isdigit()]
        begun_after = [name for name in cheap if int(name) > index]
        assert len(begun_after) < 16 + room(16)


def test_equal_requests_of_neighbours_are_asked_once_and_later_ones_again():
    engine = Engine()
    names = ["same", "same", *"bcdefghijk", "same"]
    list(pool((script([probe(name)]) for name in names), engine, 4))
    asked = [name for wave in engine.waves for name in wave]
    assert asked.count("same") == 2
    assert len(asked) == len(set(names)) + 1


def test_an_answer_that_is_awaited_is_never_forgotten():
    """The first flow waits for reasoning beside a probe that was answered many flows ago."""
    first = script([probe("early"), reasoning("late")])
    others = (script([probe(f"{i}")]) for i in range(20))
    engine = Engine()
    results = list(pool((flow for flows in ([first], others) for flow in flows), engine, 2))
    assert len(results) == 21
    assert [name for wave in engine.waves for name in wave].count("early") == 1


def test_a_pool_that_is_left_closes_its_flows():
    closed = []

    def flow(index):
        try:
            yield (probe(f"{index}"),)
            yield (probe(f"{index}'"),)
        finally:
            closed.append(index)
        return index

    running = pool(map(flow, range(100)), Engine(), 4)
    next(running)
    running.close()
    assert len(closed) <= 4 * AHEAD
    assert sorted(closed) == list(range(len(closed)))


def test_a_pool_passes_on_what_answering_raises():
    def fails(_requests):
        raise EngineCallError("gone")

    with pytest.raises(EngineCallError, match="gone"):
        list(pool([script([probe("a")])], fails, 4))
    with pytest.raises(EngineCallError, match="0 answers to 1"):
        list(pool([script([probe("a")])], lambda _requests: [], 4))
