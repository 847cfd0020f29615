"""Agreement: against brute force, under what must not matter, and where it is undefined."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safejudge.evals.stats import agreement as ag

levels = st.integers(1, 5)
pairs = st.lists(st.tuples(levels, levels), min_size=2, max_size=25)
reals = st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 3))
real_pairs = st.lists(st.tuples(reals, reals), min_size=2, max_size=20)
rankings = st.permutations("ABCD").map("".join)
words = st.text("ABC", max_size=5)


def columns(rows):
    rows = list(rows)
    return [float(a) for a, _ in rows], [float(b) for _, b in rows]


def same(one, other):
    return (math.isnan(one) and math.isnan(other)) or one == pytest.approx(other, abs=1e-9)


def slow_pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    below = math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
    return top / below if len(set(x)) > 1 and len(set(y)) > 1 else math.nan


def slow_ranks(x):
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def slow_kendall(x, y):
    score = left = right = 0
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        dx, dy = (a > c) - (a < c), (b > d) - (b < d)
        score, left, right = score + dx * dy, left + dx * dx, right + dy * dy
    return score / math.sqrt(left * right) if left * right else math.nan


@given(pairs | real_pairs)
def test_correlations_against_brute_force(rows):
    x, y = columns(rows)
    assert same(ag.pearson(x, y), slow_pearson(x, y))
    assert list(ag.ranks(x)) == slow_ranks(x)
    assert same(ag.spearman(x, y), slow_pearson(slow_ranks(x), slow_ranks(y)))
    assert same(ag.kendall(x, y), slow_kendall(x, y))


@given(pairs, st.integers(1, 9), st.integers(-9, 9))
def test_positive_affine_maps_change_no_correlation(rows, scale, shift):
    x, y = columns(rows)
    moved = [scale * a + shift for a in x]
    for statistic in (ag.pearson, ag.spearman, ag.kendall):
        assert same(statistic(moved, y), statistic(x, y))
        assert same(statistic([-a for a in x], y), -statistic(x, y))
        assert same(statistic(y, x), statistic(x, y))


@given(pairs)
def test_rising_maps_change_no_rank_correlation(rows):
    x, y = columns(rows)
    risen = [math.exp(a) - 1 / a for a in x]
    assert same(ag.spearman(risen, y), ag.spearman(x, y))
    assert same(ag.kendall(risen, y), ag.kendall(x, y))


@given(pairs, st.randoms())
def test_order_of_rows_does_not_matter(rows, rng):
    again = rows.copy()
    rng.shuffle(again)
    for statistic in (ag.pearson, ag.spearman, ag.kendall, ag.signed_error, ag.within):
        assert same(statistic(*columns(rows)), statistic(*columns(again)))


@given(st.lists(reals, max_size=9), reals)
def test_a_constant_agrees_with_nothing_and_disagrees_with_nothing(values, constant):
    still = [constant] * len(values)
    with np.errstate(all="raise"):  # known to be undefined, not found by dividing by 0
        for statistic in (ag.pearson, ag.spearman, ag.kendall):
            assert math.isnan(statistic(still, values))
            assert math.isnan(statistic(values, still))


def test_what_is_no_number_has_no_correlation():
    for statistic in (ag.pearson, ag.spearman, ag.kendall):
        assert math.isnan(statistic([1, math.nan, 3], [1, 2, 3]))
        with pytest.raises(ValueError, match="one of each"):
            statistic([1, 2], [1])
    assert math.isnan(ag.pearson([1, math.inf, 3], [1, 2, 3]))
    assert ag.pearson([0.1 + 0.2, 0.3, 0.7], [0.3, 0.3, 0.7]) == pytest.approx(1)


def test_correlations_at_their_ends():
    for statistic in (ag.pearson, ag.spearman, ag.kendall):
        assert statistic([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
        assert statistic([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_errors_of_scores():
    human, judge = [1, 3, 5], [2, 3, 3]
    assert ag.signed_error(human, judge) == pytest.approx(-1 / 3)
    assert ag.absolute_error(human, judge) == 1
    assert [ag.within(human, judge, k) for k in (0, 1, 2)] == pytest.approx([1 / 3, 2 / 3, 1])
    for statistic in (ag.signed_error, ag.absolute_error, ag.within):
        assert math.isnan(statistic([], []))
    assert math.isnan(ag.mean([]))


@given(st.lists(st.integers(0, 9), max_size=30))
def test_thirds_rise_and_keep_equal_lengths_together(lengths):
    thirds = ag.terciles(lengths)
    place = {"short": 0, "middle": 1, "long": 2}
    for (a, one), (b, other) in itertools.combinations(zip(lengths, thirds, strict=True), 2):
        assert (one == other) if a == b else (place[one] <= place[other]) == (a < b) or one == other
    if len(set(lengths)) == len(lengths) and len(lengths) % 3 == 0:
        assert set(Counter(thirds).values()) <= {len(lengths) // 3}


# --- rankings -----------------------------------------------------------------------------------


@given(words, words, words)
def test_edit_distance_is_a_metric(a, b, c):
    assert (ag.edit_distance(a, b) == 0) == (a == b)
    assert ag.edit_distance(a, b) == ag.edit_distance(b, a)
    assert ag.edit_distance(a, c) <= ag.edit_distance(a, b) + ag.edit_distance(b, c)


@given(words, words)
def test_edit_distance_against_its_definition(a, b):
    def slow(x, y):
        if not x or not y:
            return len(x) + len(y)
        replaced = slow(x[1:], y[1:]) + (x[0] != y[0])
        return min(replaced, slow(x[1:], y) + 1, slow(x, y[1:]) + 1)

    assert ag.edit_distance(a, b) == slow(a, b)


@given(rankings, rankings, rankings)
def test_distance_of_rankings_of_one_length_is_a_metric_up_to_one(a, b, c):
    assert ag.ranking_distance(a, a) == 0
    assert 0 <= ag.ranking_distance(a, b) <= 1
    middle = ag.ranking_distance(a, b) + ag.ranking_distance(b, c)
    assert ag.ranking_distance(a, c) <= middle + 1e-12


def test_distance_of_rankings_of_several_lengths():
    assert math.isnan(ag.ranking_distance("", ""))
    assert ag.ranking_distance("AB", "") == 1
    # Why the docstring says so: the triangle breaks across lengths.
    assert ag.ranking_distance("AB", "BA") > sum(
        (ag.ranking_distance("AB", "ABA"), ag.ranking_distance("ABA", "BA"))
    )


# --- choices and repeats ------------------------------------------------------------------------


def test_what_comes_of_a_choice():
    assert ag.mark("A", None) == "unread"
    assert ag.mark("A", "A") == ag.mark("C", "C", "C") == "right"
    assert ag.mark("A", "C", "C") == "tie"
    assert ag.mark("A", "C") == "wrong"


marks = st.lists(st.sampled_from(["right", "wrong", "tie", "unread"]), max_size=30)


@given(marks)
def test_open_answers_as_half_lie_in_the_middle(some):
    zero, half, one = (ag.accuracy(some, open_as) for open_as in (0.0, 0.5, 1.0))
    out = ag.accuracy(some)
    assert zero.n == half.n == one.n == len(some)
    assert out.n == sum(mark in {"right", "wrong"} for mark in some)
    assert same(half.value, (zero.value + one.value) / 2)
    if out.n == 0:
        assert math.isnan(out.value)
        assert math.isnan(out.low)
    else:
        assert zero.value - 1e-12 <= out.value <= one.value + 1e-12


def test_a_majority_is_more_than_half():
    assert ag.majority(["a"] * 4 + ["b"] * 2) == "a"
    assert ag.majority(["a"] * 3 + ["b"] * 3) is None
    assert ag.majority(["a"] * 3 + ["b", "c", "d"]) is None
    assert ag.majority([None] * 6) is None
    assert ag.majority([None, None, "a"]) is None  # unread answers were asked for too
    assert ag.majority([]) is None


def test_consistency_is_over_what_was_asked_again():
    figure = ag.consistency([["a", "a", "b"], ["a", "b"], ["a"], [None, None]])
    assert (figure.value, figure.n) == (pytest.approx(1 / 3), 3)
    assert math.isnan(ag.consistency([["a"]]).value)
    assert ag.consistency([["a"]]).n == 0


# --- scores from probabilities ------------------------------------------------------------------

logprobs = st.lists(st.floats(-30, 0), min_size=5, max_size=5)


@given(logprobs)
def test_a_weighted_score_is_the_mean_by_probability(lps):
    assume(all(abs(lp - ag.FLOOR) > 1e-4 for lp in lps))
    found = ag.weighted_score(lps)
    total = sum(math.exp(lp) for lp in lps)
    wanted = [math.exp(lp) / total for lp in lps]
    assert found.probabilities == pytest.approx(wanted)
    assert found.score == pytest.approx(sum(k * p for k, p in enumerate(wanted, 1)))
    assert found.missing == 0


@given(logprobs, st.integers(0, 4), st.sampled_from([None, math.nan, -math.inf, ag.FLOOR]))
def test_a_missing_token_stands_at_the_floor_and_is_marked(lps, place, nothing):
    assume(all(abs(lp - ag.FLOOR) > 1e-4 for lp in lps))
    found = ag.weighted_score([*lps[:place], nothing, *lps[place + 1 :]])
    assert found.missing == 1
    stands = math.exp(ag.FLOOR)
    total = stands + sum(math.exp(lp) for i, lp in enumerate(lps) if i != place)
    assert found.probabilities[place] == pytest.approx(stands / total)
    assert 1 <= found.score <= 5


def test_without_any_token_there_is_no_score():
    found = ag.weighted_score([None] * 5)
    assert math.isnan(found.score)
    assert found.missing == 5
    assert found.probabilities == pytest.approx([0.2] * 5)


def test_what_is_no_log_probability_is_refused():
    for wrong in ([0.5, -1, -1, -1, -1], [-1] * 4, [-1] * 6):
        with pytest.raises(ValueError, match="log-probabilit"):
            ag.weighted_score(wrong)


@given(st.lists(st.integers(0, 40), max_size=40))
def test_inversions_against_brute_force(codes):
    slow = sum(a > b for a, b in itertools.combinations(codes, 2))
    assert ag._inversions(np.array(codes, dtype=np.intp)) == slow
