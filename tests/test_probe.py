"""Questions, reads, and the disk's memory of language priors."""

import math
import multiprocessing
import sqlite3
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from safejudge import prompts
from safejudge.engines.priors import PriorCache, answer_probes
from safejudge.errors import EngineCallError
from safejudge.method.questions import picture_probe, prior_probe, read_answer
from safejudge.types import AnswerProbs, EngineCard, Picture, Precondition, Probe

LEAF = Precondition(statement="A dog is visible.")
PICTURE = Picture.of(np.zeros((2, 2, 3), np.uint8))


class Counting:
    """An engine that answers by length of the question and counts what it was asked."""

    def __init__(self, revision="r1", answer=None):
        self.card = EngineCard(uri="test:", model="test", revision=revision)
        self.asked = []
        self.answer = answer

    def answer_probs(self, probes):
        self.asked.extend(probes)
        if self.answer is not None:
            return [self.answer for _ in probes]
        return [AnswerProbs((0.1 + 0.2, 1 / 3 / 7), top="Yés", exact=False) for _ in probes]


def priors(count):
    return [prior_probe(Precondition(statement=f"Thing {i}.")) for i in range(count)]


# --- questions and reads --------------------------------------------------------------------------


def test_prior_is_the_same_question_without_the_image():
    for caption in (None, "a walk in the park"):
        full, prior = picture_probe(LEAF, PICTURE, caption), prior_probe(LEAF, caption)
        assert full.images == (PICTURE,)
        assert prior == Probe(full.instruction, (), full.question, full.labels)
        assert (caption or "") in prior.question
    assert full.instruction == prompts.ASK
    assert full.labels == ("yes", "no")


def test_read():
    read, problem = read_answer("full", AnswerProbs((0.6, 0.2), top="Yes", exact=False))
    assert problem is None
    assert read.score == pytest.approx(0.75)
    assert read.label_mass == pytest.approx(0.8)
    assert (read.view, read.top, read.exact) == ("full", "Yes", False)


@pytest.mark.parametrize(
    "numbers",
    [(math.nan, 0.5), (0.5, math.nan), (math.inf, 0.1), (-0.1, 0.5), (2.0, 0.0), ()],
)
def test_numbers_that_are_no_probabilities_are_a_problem(numbers):
    read, problem = read_answer("full", AnswerProbs(numbers))
    assert problem
    assert read.score is None
    assert read.label_mass == 0.0
    read.model_dump_json()


def test_an_engines_problem_is_kept_and_its_numbers_are_not():
    answer = AnswerProbs((0.9, 0.1), top="\ud800", problem="too long \udfff")
    read, problem = read_answer("no_image", answer)
    assert problem == "view no_image: too long ?"
    assert (read.score, read.label_mass) == (None, 0.0)
    read.model_dump_json()


def test_no_mass_is_no_score():
    read, problem = read_answer("full", AnswerProbs((0.0, 0.0)))
    assert problem is None
    assert (read.score, read.label_mass) == (None, 0.0)


# --- cache ----------------------------------------------------------------------------------------


def test_priors_are_asked_once_and_come_back_exactly(tmp_path):
    probes = priors(3)
    path = tmp_path / "deep" / "folder" / "priors.sqlite3"
    first, second = Counting(), Counting()
    answers = answer_probes(first, PriorCache(path), probes)
    assert answer_probes(second, PriorCache(path), probes) == answers
    assert first.asked == probes
    assert second.asked == []


def test_questions_with_an_image_are_never_cached(tmp_path):
    class Views(Counting):
        def answer_probs(self, probes):
            self.asked.extend(probes)
            return [AnswerProbs((0.9, 0.1) if p.images else (0.5, 0.5)) for p in probes]

    full, prior = picture_probe(LEAF, PICTURE), prior_probe(LEAF)
    for number, order in enumerate([(full, prior), (prior, full)]):
        engine, cache = Views(), PriorCache(tmp_path / f"c{number}")
        for again in (order, order, (full,), (prior,)):
            answers = answer_probes(engine, cache, again)
            assert [a.score for a in answers] == [0.9 if p.images else 0.5 for p in again]
        assert engine.asked == [*order, full, full]


@pytest.mark.parametrize(
    "other",
    [
        Probe(prompts.ASK, (), "Statement: A cat is visible."),
        Probe("other instruction", (), prior_probe(LEAF).question),
        Probe(prompts.ASK, (), prior_probe(LEAF).question, ("no", "yes")),
        prior_probe(LEAF, "a caption"),
    ],
)
def test_every_part_of_the_question_is_in_the_key(tmp_path, other):
    engine, cache = Counting(), PriorCache(tmp_path / "c")
    answer_probes(engine, cache, [prior_probe(LEAF)])
    answer_probes(engine, cache, [other])
    assert engine.asked == [prior_probe(LEAF), other]


def test_another_model_revision_is_asked_anew(tmp_path):
    cache, other = PriorCache(tmp_path / "c"), Counting("r2")
    answer_probes(Counting("r1"), cache, priors(2))
    answer_probes(other, cache, priors(2))
    assert len(other.asked) == 2


def test_an_engine_without_a_revision_is_not_remembered(tmp_path):
    cache = PriorCache(tmp_path / "c")
    for _ in range(2):
        engine = Counting("")
        answer_probes(engine, cache, priors(2))
        assert len(engine.asked) == 2


@pytest.mark.parametrize(
    "bad", [AnswerProbs((0.5, 0.5), problem="busy"), AnswerProbs((math.nan, 0.5))]
)
def test_problems_are_not_remembered(tmp_path, bad):
    cache = PriorCache(tmp_path / "c")
    answer_probes(Counting(answer=bad), cache, priors(1))
    engine = Counting()
    answer_probes(engine, cache, priors(1))
    assert len(engine.asked) == 1


def test_answers_keep_their_order_when_some_are_known(tmp_path):
    cache, probes = PriorCache(tmp_path / "c"), priors(1200)

    class Echo(Counting):
        def answer_probs(self, probes):
            self.asked.extend(probes)
            return [AnswerProbs((0.5, 0.5), top=probe.question) for probe in probes]

    answer_probes(Echo(), cache, probes[::2])
    engine = Echo()
    answers = answer_probes(engine, cache, probes)
    assert [answer.top for answer in answers] == [probe.question for probe in probes]
    assert engine.asked == probes[1::2]


def test_without_a_cache():
    engine = Counting()
    assert len(answer_probes(engine, None, [*priors(2), *priors(2)])) == 4
    assert len(engine.asked) == 2
    assert answer_probes(engine, None, []) == []


def test_a_wrong_number_of_answers_is_an_engine_error(tmp_path):
    class Short(Counting):
        def answer_probs(self, probes):
            return super().answer_probs(probes)[:-1]

    with pytest.raises(EngineCallError, match="2 answers to 3 probes"):
        answer_probes(Short(), PriorCache(tmp_path / "c"), priors(3))


def garbage(path):
    path.write_bytes(b"not a database" * 100)


def other_table(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE priors (something INTEGER)")
    db.commit()
    db.close()


@pytest.mark.parametrize("damage", [garbage, other_table, Path.mkdir])
def test_a_file_that_cannot_be_used_is_a_warning(tmp_path, damage):
    path = tmp_path / "c"
    damage(path)
    cache, engine = PriorCache(path), Counting()
    with pytest.warns(RuntimeWarning, match="asked anew"):
        assert len(answer_probes(engine, cache, priors(2))) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert len(answer_probes(engine, cache, priors(2))) == 2
    assert len(engine.asked) == 4


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(RuntimeWarning, match="SAFEJUDGE_CACHE"):
        answer_probes(Counting(), PriorCache(tmp_path / "file" / "c"), priors(1))


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[]",
        "{}",
        '{"p": [0.5], "top": "", "exact": true}',
        '{"p": [NaN, 0.5], "top": "", "exact": true}',
        '{"p": [5.0, 0.5], "top": "", "exact": true}',
        '{"p": ["x", 0.5], "top": "", "exact": true}',
        None,
        7,
    ],
)
def test_a_damaged_row_is_asked_anew(tmp_path, value):
    path = tmp_path / "c"
    answer_probes(Counting(), PriorCache(path), priors(1))
    db = sqlite3.connect(path)
    db.execute("UPDATE priors SET value = ?", (value,))
    db.commit()
    db.close()
    engine = Counting()
    answer_probes(engine, PriorCache(path), priors(1))
    assert len(engine.asked) == 1


def _write(path, start):
    cache = PriorCache(path)
    for i in range(start, start + 10):
        probe = prior_probe(Precondition(statement=f"Thing {i}."))
        answer_probes(Counting(), cache, [probe])


def test_threads_and_processes_share_one_file(tmp_path):
    path = tmp_path / "c"
    workers = [threading.Thread(target=_write, args=(path, 10 * i)) for i in range(3)]
    context = multiprocessing.get_context("spawn")
    workers += [context.Process(target=_write, args=(path, 10 * i)) for i in range(2, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    engine = Counting()
    answer_probes(engine, PriorCache(path), priors(50))
    assert engine.asked == []


def test_where_the_file_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("SAFEJUDGE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert PriorCache.default_path().parent == Path("/home/someone/.cache/safejudge")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert PriorCache.default_path().parent == tmp_path / "safejudge"
    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path / "mine"))
    assert PriorCache.default_path().parent == tmp_path / "mine"
