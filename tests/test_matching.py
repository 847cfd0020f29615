"""Mining, rerankers' replies, soft labels and recall: cases somebody else worked out, bad input."""

import json
import math
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.errors import InputError
from safejudge.evals.stats import retrieval
from safejudge.matching import mining
from safejudge.matching.replies import read_choice, read_published
from safejudge.matching.soft_labels import jensen_shannon, soft_labels, two_way_kullback_leibler

DATA = Path(__file__).parent / "data" / "matching"
MINING, REPLIES, RECALL, PAIRS = (
    json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    for name in ("mining", "replies", "recall", "pairs")
)
NAN = float("nan")


# --- mining ---------------------------------------------------------------------------------------


def mined(case, **options):
    near, scores = ([c[name] for c in case["candidates"]] for name in ("similarity", "score"))
    return mining.mine(near, scores, case["positive"], case["delta"], **options)


@pytest.mark.parametrize("case", MINING, ids=lambda case: case["id"])
def test_mining(case):
    found = mined(case)
    assert {
        "near": found.near,
        "kept": found.kept,
        "picked": [case["candidates"][place]["id"] for place in found.picked],
        "padded": found.padded,
    } == case["is"]
    assert bool(found.problem) == (not found.picked)


def test_strangers_are_called_matches_only_where_that_is_asked_for():
    case = next(c for c in MINING if c["id"] == "q30")
    ours, published = mined(case), mined(case, strangers=Random(1))
    assert (ours.picked, ours.problem) == ((), "no candidate near it scores below the positive")
    assert len(set(published.picked)) == 10
    assert published.scores == (1.0,) * 10
    few = mining.mine([0.5, 0.4], [1, 1], 0.9, strangers=Random(1))
    assert (len(few.picked), few.padded) == (10, 8)


@pytest.mark.parametrize(
    ("similarities", "scores", "positive", "says"),
    [
        ([], [], 0.5, "there is no candidate"),
        ([0.9], [0.1], 0.5, "no candidate is below delta"),
        ([0.5], [0.0], 0.009, "the positive scores below 0.01, so nothing can score less"),
        ([0.5], [0.1], None, "the positive has no score"),
        ([0.5], [0.1], NAN, "the positive has no score"),
        ([0.5], [None], 0.5, "no candidate near it scores below the positive"),
        ([NAN], [0.1], 0.5, "no candidate is below delta"),
    ],
)
def test_nothing_is_mined_and_it_says_why(similarities, scores, positive, says):
    found = mining.mine(similarities, scores, positive, 0.8)
    assert (found.picked, found.problem) == ((), says)


def test_the_margin_is_met_where_floats_miss_it():
    assert 0.0106 - 0.01 < 0.0006
    assert mining.mine([0.5], [0.0006], 0.0106).picked == (0,) * 10
    assert mining.mine([0.5], [0.00061], 0.0106).picked == ()


def test_unread_scores_are_counted_and_never_negatives():
    found = mining.mine([0.6, 0.5, 0.4, NAN], [None, NAN, 0.1, 0.1], 0.5)
    assert (set(found.picked), found.unread) == ({2}, 3)


@given(st.lists(st.integers(0, 99), max_size=60, unique=True), st.integers(1, 12))
def test_spread_takes_what_there_is_as_evenly_as_it_goes(places, wanted):
    picked = mining.spread(places, wanted)
    assert len(picked) == (wanted if places else 0)
    assert len(set(picked)) == min(wanted, len(places))


# --- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case["id"])
def test_replies(case):
    found = read_choice(case["reply"], case["candidates"])
    assert (found.number, found.why or None) == (case["is"]["ours"], case["is"]["why"])
    assert read_published(case["reply"]) == case["is"]["published"]


@pytest.mark.parametrize(
    ("reply", "number", "why"),
    [
        ("Ans: (2). No, wait. Ans: (3)", 3, ""),
        ("**Answer:** candidate (3)", 3, ""),
        ("The answer is (4)", 4, ""),
        ("Ans: (3), since (3) shows a dog", 3, ""),
        ("Ans: (3). (4) shows a dog", None, "two answers"),
        ("Ans: 3 or 4", None, "two answers"),
        ("Ans: 3/4", None, "two answers"),
        ("Ans: 3.5", None, "no answer"),
        ("Ans: -1", None, "no answer"),
        ("(3)", None, "no answer"),
        ("Answering (3) is hard", None, "no answer"),
        (f"Ans: {'9' * 5000}", None, "no answer"),
        ("Ans: ()", None, "no answer"),
        (None, None, "no answer"),
        (3, None, "no answer"),
    ],
)
def test_replies_that_people_and_models_write(reply, number, why):
    assert read_choice(reply, 5) == (number, why)


@given(st.text(alphabet="Ans: ()[]0123456789or.,/*", max_size=40), st.integers(0, 12))
def test_a_choice_is_a_candidate_or_says_why(reply, candidates):
    number, why = read_choice(reply, candidates)
    assert (number is None) == bool(why)
    assert number is None or 1 <= number <= candidates


# --- soft labels ----------------------------------------------------------------------------------


def test_what_is_called_jensen_shannon_is_something_else():
    judge = soft_labels([0.72, 0.44, 0.23, 0.02, 0.08])
    model = soft_labels([0.38, 0.37, 0.36, 0.35, 0.34])
    # By the textbook, a candidate at a time.
    rows = [(p, q, (p + q) / 2) for p, q in zip(judge.tolist(), model.tolist(), strict=True)]
    halves = [(p * math.log(p / m) + q * math.log(q / m)) / 2 for p, q, m in rows]
    logs = [math.log((p + 1e-8) / (q + 1e-8)) for p, q, _ in rows]
    both = [(p - q) * log / 2 for (p, q, _), log in zip(rows, logs, strict=True)]
    assert jensen_shannon(judge, model) == pytest.approx(sum(halves), abs=1e-12)
    assert two_way_kullback_leibler(judge, model) == pytest.approx(sum(both), abs=1e-9)
    assert two_way_kullback_leibler(judge, model) > 10 * jensen_shannon(judge, model)
    assert jensen_shannon(judge, judge) == two_way_kullback_leibler(judge, judge) == 0


numbers = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(numbers, numbers)
def test_distances_are_the_same_both_ways_and_one_has_a_bound(first, second):
    p, q = soft_labels(first), soft_labels(second)
    assert p.sum() == pytest.approx(1)
    assert 0 <= jensen_shannon(p, q) + 1e-12 <= math.log(2) + 1e-9
    for distance in (jensen_shannon, two_way_kullback_leibler):
        assert distance(p, q) == pytest.approx(distance(q, p), abs=1e-12)


@pytest.mark.parametrize(("scores", "temperature"), [([], 1), ([NAN], 1), ([1.0], 0), ([1.0], NAN)])
def test_no_soft_labels_of_what_is_no_score(scores, temperature):
    with pytest.raises(InputError):
        soft_labels(scores, temperature)


def test_labels_of_different_candidates_are_not_compared():
    with pytest.raises(InputError, match="of 2 and of 3 candidates"):
        jensen_shannon(soft_labels([1, 2]), soft_labels([1, 2, 3]))


# --- recall ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RECALL, ids=lambda case: case["id"])
def test_recall(case):
    scores, of = case["scores"], case["image_of_caption"]
    columns = list(zip(*scores, strict=True))
    ways = {
        "image_to_text": [(row, [c == i for c in of]) for i, row in enumerate(scores)],
        "text_to_image": [
            (column, [i == of[c] for i in range(len(scores))]) for c, column in enumerate(columns)
        ],
    }
    for way, queries in ways.items():
        ranks = [retrieval.rank_of(*query) for query in queries]
        for k, expected in case["is"][way].items():
            found = retrieval.recall_at(ranks, int(k))
            assert {t: pytest.approx(e.value, abs=5e-5) for t, e in found.items()} == expected


@pytest.mark.parametrize(
    ("scores", "right", "problem"),
    [
        ([], [], retrieval.NO_CANDIDATE),
        ([0.5, 0.4], [False, False], retrieval.NO_RIGHT),
        ([0.5, NAN], [True, False], retrieval.UNREAD),
        ([None, 0.5], [True, False], retrieval.UNREAD),
    ],
)
def test_a_query_without_a_rank_is_not_found_and_counts(scores, right, problem):
    lost, found = retrieval.rank_of(scores, right), retrieval.rank_of([0.9], [True])
    assert lost.problem == problem
    for estimate in retrieval.recall_at([lost, found], 10).values():
        assert (estimate.value, estimate.n) == (0.5, 2)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8))
def test_file_order_lies_between_the_ways_to_break_ties(rows):
    rank = retrieval.rank_of([float(s) for s, _ in rows], [right for _, right in rows])
    if not rank.problem:
        assert rank.ties_for <= rank.by_file_order <= rank.ties_against <= len(rows)


def test_pairs():
    found = retrieval.pair_shares([retrieval.outcome(p["right"], p["wrong"]) for p in PAIRS])
    assert found["strict"].value == pytest.approx(0.5833, abs=5e-5)
    assert found["ties_half"].value == pytest.approx(0.6667, abs=5e-5)
    assert found["ties"].value == pytest.approx(10 / 60)


def test_a_pair_without_a_score_is_no_win_and_is_counted():
    said = [retrieval.outcome(*pair) for pair in ((0.5, None), (NAN, 0.1), (0.5, 0.1))]
    found = retrieval.pair_shares(said)
    assert said == ["unread", "unread", "right"]
    assert (found["strict"].value, found["unread"].value) == (1 / 3, 2 / 3)
