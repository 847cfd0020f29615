"""Cuts keep what they promise: by simulation against worlds whose truth is known, with ties too."""

import importlib

import numpy as np
import pytest

from safejudge.decide import promises
from safejudge.decide.promises import Cut, NoCut, Promise
from safejudge.evals.stats import binomial

PROMISE = Promise(0.1, 0.1)
REPEATS = 600


class World:
    """Scores on a grid of 1,000, each with its share of rows and its chance of an error."""

    def __init__(self, error_at, weight_at=np.ones_like):
        self.scores = (np.arange(1000) + 0.5) / 1000
        self.error = np.clip([error_at(s) for s in self.scores], 0, 1)
        weights = np.array([weight_at(s) for s in self.scores])
        self.weights = weights / weights.sum()
        self.until = np.append(np.cumsum(self.weights)[:-1], 1.0)

    def sample(self, lot, n):
        rows = np.searchsorted(self.until, lot.random(n))
        return self.scores[rows], lot.random(n) < self.error[rows]

    def risk(self, acted):
        total = self.weights[acted].sum()
        return 0.0 if total == 0 else float((self.weights * self.error)[acted].sum() / total)


def levels(s):
    """One score in a hundred, all rows on it: 10 different scores in all."""
    return 1.0 if round(s * 1000 - 0.5) % 100 == 50 else 0.0


WORLDS = {
    "smooth": World(lambda s: 0.6 * (1 - s) ** 1.5),
    "all near the promise": World(lambda s: 0.1 + 0 * s),
    "just above it": World(lambda s: 0.102 + 0 * s),
    "ten different scores": World(lambda s: 0.35 * (1 - s), levels),
    "most at one score": World(
        lambda s: 0.02 if s > 0.999 else 0.4 - 0.3 * s, lambda s: 300 if s > 0.999 else 0.5
    ),
    "a step": World(lambda s: 0.01 if s > 0.7 else 0.5),
    "one bad score many share": World(
        lambda s: 0.0 if s > 0.8 else 0.9, lambda s: 200 if abs(s - 0.7995) < 1e-9 else 1.0
    ),
}
"""Errors never grow likelier with the score."""
BUMPED = {
    "errors again at the top": World(lambda s: 0.15 if s > 0.95 else 0.02 + 0.5 * (0.95 - s)),
    "a bad stretch": World(lambda s: 0.4 if 0.6 < s < 0.66 else 0.03),
}
"""Here they do, and the theorem is silent."""


def broken(world, find, acts, n):
    """How many of the repeats find a cut whose true share of errors is above the promise."""
    lot = np.random.default_rng(n)
    count = cuts = 0
    for _ in range(REPEATS):
        found = find(*world.sample(lot, n))
        if isinstance(found, Cut):
            cuts += 1
            count += world.risk(acts(world.scores, found.at)) > PROMISE.share + 1e-12
    return count, cuts


def is_kept(count):
    """Whether so many broken promises are to be expected at delta: an exact test at 1 in 1,000."""
    return binomial.at_least(count, REPEATS, PROMISE.delta) > 0.001


@pytest.mark.parametrize("n", [60, 250])
@pytest.mark.parametrize("name", [*WORLDS, *BUMPED])
def test_a_promise_is_broken_no_oftener_than_it_says(name, n):
    world = (WORLDS | BUMPED)[name]
    count, _ = broken(world, lambda s, e: promises.above(s, e, PROMISE), np.greater, n)
    assert is_kept(count), count
    # Turned round, with the room that passing has.
    count, _ = broken(world, lambda s, e: promises.below(-s, e, PROMISE), lambda s, at: -s < at, n)
    assert is_kept(count), count


def test_the_simulation_would_see_a_cut_at_face_value():
    def face_value(scores, errors):
        order = np.argsort(-scores)
        share = np.cumsum(errors[order]) / np.arange(1, len(scores) + 1)
        good = np.flatnonzero(share <= PROMISE.share)
        return Cut(float(scores[order][good[-1]]), 1, 0) if len(good) else NoCut(0, 0, 1)

    count, _ = broken(WORLDS["smooth"], face_value, np.greater, 300)
    assert count > 0.3 * REPEATS


def test_a_good_score_gets_a_cut():
    _, cuts = broken(WORLDS["a step"], lambda s, e: promises.above(s, e, PROMISE), np.greater, 300)
    assert cuts > 0.7 * REPEATS


def test_equal_scores_stand_on_one_side_and_the_row_at_the_cut_does_not_count():
    scores = [0.9] * 30 + [0.5] * 5 + [0.1]
    found = promises.above(scores, [False] * 36, PROMISE)
    assert found == Cut(0.1, 35, 0)
    assert found.bound(0.1) == binomial.upper(0, 35, 0.9)
    found = promises.above(scores, [False] * 30 + [True] * 5 + [False], PROMISE)
    assert isinstance(found, Cut)
    assert (found.at, found.n, found.errors) == (0.5, 30, 0)
    assert isinstance(promises.above([0.7] * 50, [False] * 50, PROMISE), NoCut)


def test_the_first_cut_that_fails_ends_it():
    # Four errors at rank 23 to 26; behind them 500 rows without one would be promised again.
    errors = [False] * 22 + [True] * 4 + [False] * 500
    scores = np.linspace(1, 0, len(errors))
    found = promises.above(scores, errors, PROMISE)
    assert isinstance(found, Cut)
    assert (found.n, found.errors) == (22, 0)


@pytest.mark.parametrize("n", [0, 1, 10, 22])
def test_too_few_rows_get_no_cut_and_are_told_how_many_are_missing(n):
    found = promises.above(np.linspace(1, 0, n), [False] * n, PROMISE)
    assert found == NoCut(0, 0, 23 - n)
    more = n + found.missing
    assert isinstance(promises.above(np.linspace(1, 0, more), [False] * more, PROMISE), Cut)


def test_errors_at_the_top_say_how_many_rows_they_cost():
    errors = [True] + [False] * 60
    scores = np.linspace(1, 0, 61)
    found = promises.above(scores, errors, PROMISE)
    assert found == NoCut(22, 1, binomial.needed(0.1, 0.1, 1) - 22)


def test_the_order_of_rows_is_of_no_account():
    lot = np.random.default_rng(3)
    scores, errors = WORLDS["ten different scores"].sample(lot, 200)
    order = lot.permutation(200)
    first = promises.above(scores, errors, PROMISE)
    assert promises.above(scores[order], errors[order], PROMISE) == first


def test_passing_begins_later_where_rows_abound():
    assert promises.start(1000, PROMISE) == 22
    assert promises.start(1000, PROMISE, 0.25) > 200
    assert promises.start(1000, PROMISE, 0.25) <= 250
    assert promises.start(20, PROMISE, 0.25) == 22


@pytest.mark.parametrize("bad", [[0.1, float("nan")], [0.1, float("inf")], [0.1]])
def test_rows_without_a_number_are_refused(bad):
    with pytest.raises(ValueError, match="finite score"):
        promises.above(bad, [False, True], PROMISE)


def test_where_both_sides_overlap_one_cut_keeps_both():
    assert promises.met(0.2, 0.8) == 0.5
    assert promises.met(0.6, 0.8) == 0.6
    assert promises.met(0.1, 0.3) == 0.3


def test_how_many_labels_a_cut_would_take():
    wanted = promises.labels_for(20, 1, 100, PROMISE)
    rows = wanted * 20 / 100
    assert binomial.upper(round(rows * 0.05), round(rows), 0.9) <= 0.101
    assert promises.labels_for(20, 2, 100, PROMISE) is None
    assert promises.labels_for(0, 0, 100, PROMISE) is None
    assert promises.labels_for(10, 0, 100, PROMISE) == 220


def test_on_real_probabilities_too():
    bench = importlib.import_module("promises")  # of benchmarks/
    for (_, share, n), count in bench.kept(bench.PACK, bench.SEEDS["dev"], 1).items():
        assert binomial.at_least(count.broken, count.runs, bench.DELTA) > 0.001, (share, n)
        assert count.face_broken > 0.3 * count.runs
