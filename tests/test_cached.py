"""An engine whose answers are kept in a file, and the store of texts that it shares."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from safejudge.engines.cached import CachedEngine, _key
from safejudge.engines.fake import FakeEngine
from safejudge.engines.priors import PriorCache, answer_probes
from safejudge.engines.store import StoreError, TextStore
from safejudge.errors import OutputError
from safejudge.types import AnswerProbs, Message, Picture, Probe, Reasoning, Sampling

PICTURES = [Picture.of(np.full((4, 4, 3), shade, np.uint8)) for shade in (10, 20, 30)]


def test_what_is_known_is_not_asked_again(tmp_path):
    probes = [Probe("look", (picture,), "q") for picture in PICTURES]
    first = FakeEngine()
    cached = CachedEngine(first, tmp_path / "answers")
    answers = cached.answer_probs(probes[:2])
    cached.close()
    second = FakeEngine()
    again = CachedEngine(second, tmp_path / "answers")
    assert again.answer_probs(probes)[:2] == answers
    assert second.history == [(probes[2],)]
    assert again.answer_probs([probes[0], probes[0]]) == [answers[0]] * 2


def test_replies_are_kept_too(tmp_path):
    question = (Message("user", "What is it?"),)
    request = Reasoning("look", (PICTURES[0],), question)
    first, second = FakeEngine(), FakeEngine()
    reply = CachedEngine(first, tmp_path / "answers").reason([request])
    cached = CachedEngine(second, tmp_path / "answers")
    assert cached.reason([request]) == reply
    assert second.history == []
    cached.reason([Reasoning("look", (PICTURES[0],), question, max_tokens=9)])
    assert len(second.history) == 1


def test_a_seed_is_part_of_a_request_and_greedy_keys_stay_what_they_were(tmp_path):
    greedy = Reasoning("look", (PICTURES[0],), (Message("user", "What is it?"),))
    seeds = [replace(greedy, sampling=Sampling(t, seed)) for t, seed in ((1, 0), (1, 1), (0.5, 0))]
    engine = FakeEngine()
    cached = CachedEngine(engine, tmp_path / "answers")
    replies = cached.reason([greedy, *seeds, *seeds])
    assert len(set(replies)) == 4
    assert [len(wave) for wave in engine.history] == [4]
    assert _key("model", greedy) == (
        "ecf1b90c6a81bc47f2795ef390cd779495445566cdd6b36593961607fe0d91f3"
    )


def test_a_failure_is_asked_again(tmp_path):
    probe = Probe("look", (PICTURES[0],), "q")
    failing = FakeEngine([AnswerProbs((0.0, 0.0), problem="busy"), 0.5])
    cached = CachedEngine(failing, tmp_path / "answers")
    assert cached.answer_probs([probe])[0].problem == "busy"
    assert cached.answer_probs([probe])[0].score == 0.5
    assert cached.answer_probs([probe])[0].score == 0.5


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '[[0.5], "", true, null]', '[["a", 1], "", true, null]', "null",
             '[[0.5, 7.0], "", true, null]'],
)  # fmt: skip
def test_a_damaged_answer_is_asked_again(tmp_path, text):
    probe, file = Probe("look", (PICTURES[0],), "q"), tmp_path / "answers"
    answer = CachedEngine(FakeEngine(), file).answer_probs([probe])
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE answers SET value = ?", (text,))
    cached = CachedEngine(FakeEngine(), file)
    assert cached.answer_probs([probe]) == answer
    assert (cached.known, cached.asked) == (0, 1)
    assert cached.answer_probs([probe]) == answer
    assert (cached.known, cached.asked) == (1, 1)


def test_another_dialect_is_asked_anew(tmp_path):
    class Guard(FakeEngine):
        @property
        def card(self):
            return replace(super().card, dialect="shieldgemma")

    probe, engines = Probe("look", (PICTURES[0],), "q"), (FakeEngine(), Guard())
    for engine in engines:
        CachedEngine(engine, tmp_path / "answers").answer_probs([probe])
    assert all(engine.history == [(probe,)] for engine in engines)


def test_another_picture_or_wording_is_another_request(tmp_path):
    one, two, _ = PICTURES
    engine = FakeEngine()
    cached = CachedEngine(engine, tmp_path / "answers")
    probes = [
        Probe("look", (one,), "q"), Probe("look", (two,), "q"), Probe("look", (one,), "r"),
        Probe("see", (one,), "q"), Probe("look", (), "q"), Probe("look", (one,), "q", ("a", "b")),
    ]  # fmt: skip
    for probe in probes:
        cached.answer_probs([probe])
    assert [wave[0] for wave in engine.history] == probes


def test_what_is_inside_shows_through(tmp_path):
    inner = FakeEngine()
    inner.tokens = object()
    cached = CachedEngine(inner, tmp_path / "answers")
    assert cached.card == inner.card
    assert cached.tokens is inner.tokens


def test_a_long_call_is_kept_batch_by_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("safejudge.engines.cached._BATCH", 2)
    probes = [Probe("look", (), str(number)) for number in range(5)]

    def answer(probe):
        if probe.question == "4":
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        CachedEngine(FakeEngine(answer), tmp_path / "answers").answer_probs(probes)
    engine = FakeEngine(lambda _: 0.5)
    CachedEngine(engine, tmp_path / "answers").answer_probs(probes)
    assert [probe.question for wave in engine.history for probe in wave] == ["4"]


def garbage(path):
    path.write_bytes(b"no database at all, " * 100)


@pytest.mark.parametrize("damage", [garbage, Path.mkdir])
def test_a_file_that_cannot_be_used_is_refused_at_once(tmp_path, damage):
    damage(tmp_path / "answers")
    with pytest.raises(OutputError, match="answers cannot be kept there"):
        CachedEngine(FakeEngine(), tmp_path / "answers")


# --- the store ------------------------------------------------------------------------------------


def test_texts_are_read_back_by_key(tmp_path):
    store = TextStore(tmp_path / "new" / "folder" / "file", "texts")
    texts = {str(number): "\u00e9" * number for number in range(1200)}
    assert store.get(list(texts)) == {}
    store.put(texts)
    store.put({"7": "other"})
    assert store.get([*texts, "unknown"]) == texts | {"7": "other"}
    assert TextStore(store.path, "more").get(["7"]) == {}


def test_threads_share_one_store(tmp_path):
    store = TextStore(tmp_path / "file", "texts")
    numbers = range(40)

    def write(start):
        for number in numbers[start::4]:
            store.put({str(number): f"text {number}"})

    threads = [threading.Thread(target=write, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(list(map(str, numbers))) == {str(n): f"text {n}" for n in numbers}


def test_what_fails_leaves_nothing_half_done(tmp_path):
    store = TextStore(tmp_path / "file", "texts")
    with pytest.raises(StoreError):
        store.put({"a": "1", "b": object()})
    store.put({"c": "3"})
    with closing(sqlite3.connect(store.path)) as db:
        db.execute("INSERT INTO texts VALUES ('d', 4)")
        db.commit()
    assert store.get(["a", "b", "c"]) == {"c": "3"}


def test_a_store_of_limited_size_lets_go_of_what_came_first(tmp_path):
    store = TextStore(tmp_path / "file", "texts", 5)
    store.put({str(number): "x" for number in range(4)})
    store.put({"0": "again"})  # the last one now
    store.put({"4": "x", "5": "x"})
    assert store.get(list("012345")) == {"0": "again", "2": "x", "3": "x", "4": "x", "5": "x"}
    store.put({f"many {number}": "x" for number in range(50)})
    with closing(sqlite3.connect(store.path)) as db:
        (count,) = db.execute("SELECT count(*) FROM texts").fetchone()
    assert count == 5
    assert set(store.get(["many 49", "many 45", "many 44"])) == {"many 49", "many 45"}


def test_priors_with_captions_do_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("safejudge.engines.priors._MOST", 40)
    cache, engine = PriorCache(tmp_path / "priors"), FakeEngine()
    for number in range(100):
        captioned = [Probe("i", (), f"Caption: {number}\nStatement: {s}") for s in "abc"]
        answer_probes(engine, cache, captioned)
    with closing(sqlite3.connect(cache.path)) as db:
        (count,) = db.execute("SELECT count(*) FROM priors").fetchone()
    assert count == 40
    size = cache.path.stat().st_size
    for number in range(100, 400):
        answer_probes(engine, cache, [Probe("i", (), f"Caption: {number}\nStatement: a")])
    assert cache.path.stat().st_size <= size + 2**14
    asked = len(engine.history)
    answer_probes(engine, cache, [Probe("i", (), "Caption: 399\nStatement: a")])
    assert len(engine.history) == asked
