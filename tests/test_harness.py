"""The harness of live runs: the same samples for the same seed, and no record twice."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.constitution.load import load_constitution
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import InputError, OutputError
from safejudge.evals import harness
from safejudge.evals.suite import Run
from safejudge.policy import Policy

PARTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=120)


def run_of(tmp_path, engine=None, encoder=None, **settings):
    return Run(tmp_path, Models(engine or FakeEngine(), encoder), Policy(), **settings)


# --- sample -------------------------------------------------------------------------------------


@given(PARTS, st.integers(1, 60), st.integers(0, 9))
def test_a_part_is_drawn_from_as_if_it_were_alone(tmp_path_factory, parts, limit, seed):
    run = run_of(tmp_path_factory.getbasetemp(), limit=limit, seed=seed)
    expected = []
    for part in "abc":
        rows = [row for row, name in enumerate(parts) if name == part]
        expected += random.Random(seed).sample(rows, min(limit, len(rows)))
    assert harness.sampled(parts, run) == sorted(expected)


@given(PARTS, st.integers(1, 60), st.integers(0, 9))
def test_a_nested_sample_grows(tmp_path_factory, parts, limit, seed):
    run = run_of(tmp_path_factory.getbasetemp(), limit=limit, seed=seed)
    more = run_of(tmp_path_factory.getbasetemp(), limit=limit + 7, seed=seed)
    rows = harness.sampled(parts, run, nested=True)
    assert set(rows) <= set(harness.sampled(parts, more, nested=True))
    sizes = Counter(parts[row] for row in rows)
    assert sizes == {part: min(limit, count) for part, count in Counter(parts).items()}


def test_without_a_seed_the_first_are_taken_and_only_of_parts_that_are_named(tmp_path):
    parts = list("abcabcabc")
    assert harness.sampled(parts, run_of(tmp_path)) == list(range(9))
    assert harness.sampled(parts, run_of(tmp_path, limit=2)) == [0, 1, 2, 3, 4, 5]
    assert harness.sampled(parts, run_of(tmp_path, limit=2, splits=("c",))) == [2, 5]
    with pytest.raises(InputError, match="limit=0"):
        harness.sampled(parts, run_of(tmp_path, limit=0))


# --- record -------------------------------------------------------------------------------------


def judged(run, samples):
    """Run over some samples; return the windows that were judged."""
    windows = []

    def judge(window):
        windows.append(list(window))
        return ({"image": name, "label": "safe"} for name in window)

    made_by = harness.provenance(run, ["plain"], "0" * 64)
    with harness.record_file(run, made_by, harness.digest("data")) as file:
        harness.record(run, file, samples, str, judge)
    return windows


def test_what_has_a_record_is_not_judged_again(tmp_path):
    ticks = []
    assert judged(run_of(tmp_path, window=2), ["a", "b", "a"]) == [["a", "b"], ["a"]]
    run = run_of(
        tmp_path, window=2, resume=True, progress=lambda n: ticks.append(n) or ticks.append
    )
    assert judged(run, ["a", "c", "b", "a", "a", "d"]) == [["c", "a"], ["d"]]
    assert ticks == [6, 3, 2, 1]
    assert judged(run, iter(["b", "e"])) == [["e"]]
    assert ticks[4:] == [0, 1]  # how many a stream holds is not known
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines[1:]] == list("abacade")
    assert set(harness.recorded(tmp_path)) == set("abcde")


def test_a_stream_is_read_no_further_than_a_window(tmp_path):
    drawn = []

    def stream():
        for number in range(5):
            drawn.append(number)
            yield str(number)

    run = run_of(tmp_path, window=2)
    with harness.record_file(run, harness.provenance(run, [], ""), "") as file:
        with pytest.raises(RuntimeError):
            harness.record(run, file, stream(), str, fails)
        assert drawn == [0, 1]


def fails(_):
    raise RuntimeError


def test_another_run_is_not_gone_on_with(tmp_path):
    judged(run_of(tmp_path), ["a"])
    with pytest.raises(OutputError, match="exists already"):
        judged(run_of(tmp_path), ["b"])
    with pytest.raises(OutputError, match="another model"):
        judged(run_of(tmp_path, FakeEngine(uri="fake:other"), resume=True), ["b"])


def test_an_engine_alone_answers_for_nothing_else(tmp_path):
    encoder = FakeEncoder(lambda _: 0.5)
    run = run_of(tmp_path, encoder=encoder, constitution=load_constitution("sketch"))
    whole = harness.provenance(run, ["x"], "")
    alone = harness.provenance(run, ["x"], "", engine_alone=True)
    assert (whole.encoder is not None, bool(whole.constitution)) == (True, True)
    assert (alone.encoder, alone.constitution) == (None, "")
    assert harness.provenance(run, ["y"], "").policy != whole.policy == alone.policy


def test_what_a_folder_lacks_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"has no a, records\.jsonl; name a folder that eval wrote"
    ):
        harness.need(tmp_path, "a", harness.RECORDS)
    assert harness.data_of(tmp_path) == {}
    (tmp_path / "data.json").write_text('{"left_out": ["x"]}')
    assert harness.data_of(tmp_path) == {"left_out": ["x"]}
    for text in ("{", "[]", ""):
        (tmp_path / "data.json").write_text(text)
        assert harness.data_of(tmp_path) == {}
