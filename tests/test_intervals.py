"""Estimates: what they say, intervals that cover, and none where nothing can be said."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats.intervals import (
    MIN_GROUPS,
    Estimate,
    codes_of,
    combined,
    corrected,
    gained,
    grouped,
    mean_of,
    share,
    share_interval,
    share_of,
    sums_of,
    t_quantile,
    wilson,
)
from safejudge.evals.stats.jackknife import estimate, estimates, jackknifed
from safejudge.evals.stats.rates import rates_of
from safejudge.types import Outcome

YES, NO = Outcome.YES, Outcome.NO


# --- shares -------------------------------------------------------------------------------------


@given(st.integers(0, 50), st.integers(0, 50))
def test_wilson_holds_the_share_and_is_symmetric(right, wrong):
    low, high = wilson(right, right + wrong)
    assert 0.0 <= low <= high <= 1.0
    if right + wrong:
        assert low - 1e-12 <= right / (right + wrong) <= high + 1e-12
        other = wilson(wrong, right + wrong)
        assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high))


def test_wilson_against_the_published_example():
    # Newcombe 1998, table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(0, 50), st.integers(0, 50))
def test_the_corrected_one_holds_wilsons(right, wrong):
    low, high = corrected(right, right + wrong)
    plain = wilson(right, right + wrong)
    assert 0.0 <= low <= plain[0] + 1e-12
    assert plain[1] - 1e-12 <= high <= 1.0


def test_the_corrected_one_against_the_published_example():
    # Newcombe 1998, table I, method 4: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    assert corrected(81, 263) == pytest.approx((0.2535, 0.3682), abs=5e-5)
    assert corrected(15, 148) == pytest.approx((0.0598, 0.1644), abs=5e-5)
    assert corrected(0, 20) == pytest.approx((0.0, 0.2005), abs=5e-5)
    assert corrected(1, 29) == pytest.approx((0.0018, 0.1963), abs=5e-5)


def test_t_is_that_of_the_tables():
    # Percentage points of Student's t, 0.975.
    for freedom, wanted in ((9, 2.2622), (14, 2.1448), (19, 2.093), (39, 2.023), (199, 1.972)):
        assert t_quantile(freedom) == pytest.approx(wanted, abs=1e-3)


# --- rows in groups -------------------------------------------------------------------------------

flags = st.lists(st.booleans(), min_size=1, max_size=60)


@given(flags)
def test_rows_that_stand_alone_have_wilsons_interval(hits):
    found = share_of(hits)
    assert found.n == len(hits)
    assert found.interval == pytest.approx(corrected(sum(hits), len(hits)))
    assert found == share_of(hits, groups=[str(n) for n in range(len(hits))])


@given(flags, st.integers(2, 5), st.integers(0, 9))
def test_copies_make_no_interval_narrower(hits, copies, seed):
    once = share_of(hits)
    groups = [n for n in range(len(hits)) for _ in range(copies)]
    copied = share_of([hit for hit in hits for _ in range(copies)], groups)
    assert copied.value == pytest.approx(once.value)
    assert copied.n == copies * once.n
    if len(hits) < MIN_GROUPS:
        assert copied.interval is None
    else:
        low, high = copied.interval
        assert low <= once.low + 1e-9
        assert high >= once.high - 1e-9
        order = random.Random(seed).sample(range(len(groups)), len(groups))
        shuffled = share_of([hits[groups[row]] for row in order], [groups[row] for row in order])
        assert shuffled.interval == pytest.approx(copied.interval)


@pytest.mark.parametrize(
    "groups", [[0] * 40, [n % 3 for n in range(40)], [n % 9 for n in range(40)]]
)
def test_few_groups_have_no_interval(groups):
    hits = [n % 2 == 0 for n in range(40)]
    assert share_of(hits, groups).interval is None
    assert share_of(hits, groups).value == 0.5
    assert mean_of([float(n) for n in range(40)], groups).interval is None
    assert estimate(ag.pearson, range(40), hits, groups=groups).interval is None
    assert gained(hits, hits[::-1], groups).interval is None


@pytest.mark.parametrize("size", [1, 2, 25])
@pytest.mark.parametrize("hit", [True, False])
def test_all_alike_is_no_certainty(size, hit):
    groups = [n for n in range(20) for _ in range(size)]
    found = share_of([hit] * len(groups), groups)
    low, high = found.interval
    assert high - low > 0.1  # however many rows: twenty groups are twenty pieces of evidence
    assert (high if hit else low) == found.value == float(hit)
    assert mean_of([2.5] * len(groups), groups).interval is None  # who knows what else there is


def test_what_does_not_count_counts_for_nothing():
    found = share_of([True, False, True, True], counts=[1, 1, 0, 1])
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert found.interval == pytest.approx(corrected(2, 3))
    nothing = share_of([True], counts=[0])
    assert math.isnan(nothing.value)
    assert (nothing.n, nothing.interval) == (0, None)
    assert share_of([], []).interval is None
    assert share_of([True], intervals=False).interval is None


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), max_size=60))
def test_bounds_hold_the_value_and_stay_in_range(rows):
    groups = [f"g{n}" for n, _, _ in rows] + [f"h{n}" for n in range(len(rows))]
    hits = [hit for _, hit, _ in rows] * 2
    other = [flag for _, _, flag in rows] * 2
    for found, low, high in (
        (share_of(hits, groups), 0, 1),
        (share_of(hits, groups, other), 0, 1),
        (gained(hits, other, groups), -1, 1),
    ):
        if found.interval is not None:
            assert low - 1e-9 <= found.low <= found.value + 1e-9
            assert found.value - 1e-9 <= found.high <= high + 1e-9
            assert found.low < found.high


def test_the_mean_of_two_shares_lies_between_theirs():
    codes = codes_of(range(40))
    ones = sums_of(codes, [1.0] * 40)
    half = sums_of(codes, [float(n % 2) for n in range(40)])
    low, high = combined((half, ones), (half, ones), 1, 0.5)
    whole = share_interval(half, ones, whole=True)
    assert (low, high) == pytest.approx(whole, abs=0.01)  # the same rows twice are one share
    other = sums_of(codes, [float(n % 2 == 0) for n in range(40)])
    narrow = combined((half, ones), (other, ones), 1, 0.5)
    assert 0 < narrow[1] - narrow[0] < (high - low) / 2  # one is right exactly where one is wrong


def test_what_is_gained_and_lost_by_chance_has_room_on_both_sides():
    same = gained([True] * 20, [True] * 20, range(20))
    assert same.value == 0.0
    assert -same.low == pytest.approx(same.high)
    assert 0.1 < same.high < 0.25
    assert gained([], [], []).n == 0


# --- rates ----------------------------------------------------------------------------------------


def test_f1_of_few_rows_that_are_all_right_is_no_certainty():
    calls = [(True, YES), (True, YES), (False, NO)]
    found = rates_of(calls, "abc")
    assert {name: rate.value for name, rate in found.items()} == {
        "precision": 1.0, "recall": 1.0, "F1": 1.0, "FPR": 0.0
    }  # fmt: skip
    assert found["recall"].interval == pytest.approx(corrected(2, 2))
    assert found["F1"].low == pytest.approx(2 * corrected(2, 2)[0] / (1 + corrected(2, 2)[0]))
    assert found["FPR"].high > 0.7
    one_video = rates_of(calls * 13, ["a"] * 39)
    assert all(rate.interval is None for rate in one_video.values())
    pairs = rates_of([calls[0], calls[2]] * 20, [n // 2 for n in range(40)])
    assert all(rate.high - rate.low > 0.05 for rate in pairs.values())


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([YES, NO, Outcome.UNDECIDED])), max_size=40)
)
def test_f1_lies_in_its_interval(calls):
    found = rates_of(calls, range(len(calls)))["F1"]
    if calls and not math.isnan(found.value):
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9


# --- anything else --------------------------------------------------------------------------------


def test_correlations_stay_within_one_and_groups_widen_them():
    rng = random.Random(1)
    x = [rng.randint(1, 5) for _ in range(40)]
    y = [a + rng.randint(-1, 1) for a in x]
    found = estimate(ag.pearson, x, y, correlation=True)
    assert -1 < found.low < found.value < found.high < 1
    # Fisher's own interval, of normal variables.
    z, half = math.atanh(found.value), 1.96 / math.sqrt(37)
    assert found.low == pytest.approx(math.tanh(z - half), abs=0.1)
    assert found.high == pytest.approx(math.tanh(z + half), abs=0.1)
    groups = [row for row in range(40) for _ in range(4)]
    copied = estimate(
        ag.pearson, [x[g] for g in groups], [y[g] for g in groups], groups=groups, correlation=True
    )
    assert copied.interval == pytest.approx(found.interval)
    assert estimate(ag.pearson, x, x, correlation=True).interval is None  # nothing varies


def test_several_statistics_share_their_rows():
    rng = random.Random(2)
    x, y = ([rng.random() for _ in range(300)] for _ in range(2))
    both = estimates({"a": ag.pearson, "b": ag.spearman}, x, y, correlations=["a"])
    assert both["a"] == estimate(ag.pearson, x, y, correlation=True)
    assert both["b"] == estimate(ag.spearman, x, y)
    assert both == estimates({"a": ag.pearson, "b": ag.spearman}, x, y, correlations=["a"])
    bare = estimates({"a": ag.pearson}, x, y, intervals=False)["a"]
    assert (bare.value, bare.interval) == (both["a"].value, None)


def test_a_jackknife_of_a_mean_is_students_interval():
    rows = [float(n * n % 7) for n in range(20)]
    low, high = jackknifed(rows, lambda some: sum(some) / len(some))
    spread = float(np.std(rows, ddof=1)) / math.sqrt(20)
    half = t_quantile(19) * spread
    assert (low, high) == pytest.approx((np.mean(rows) - half, np.mean(rows) + half))
    signed = mean_of([row - 3 for row in rows])
    assert signed.high - signed.value == pytest.approx(half * math.sqrt(20 / 19))
    assert signed.value - signed.low == pytest.approx(half * math.sqrt(20 / 19))
    # Distances are never below 0, and neither are the bounds of their mean.
    few = mean_of([0.0] * 18 + [1.0, 9.0])
    assert 0 < few.low < few.value < few.high
    assert all(map(math.isnan, jackknifed(rows[:9], max)))


def test_an_estimate_says_of_how_many_and_null_for_nothing():
    quarter = Estimate(0.25, 4, 0.1, 0.5)
    assert quarter.text() == "0.250 [0.100, 0.500] n=4"
    assert quarter.text(4) == quarter.cell() == "0.250 [0.100, 0.500]"
    assert quarter.json() == {"value": 0.25, "n": 4, "low": 0.1, "high": 0.5}
    assert Estimate(0.25, 4).cell() == "0.250 [-]"
    nothing = estimate(ag.pearson, [], [])
    assert nothing.text() == "- n=0"
    assert nothing.cell() == "-"
    assert nothing.json() == {"value": None, "n": 0, "low": None, "high": None}


def test_a_share_of_nothing_is_undefined():
    assert share(0, 0).interval is None
    assert share(3, 3).interval == corrected(3, 3)


def test_rows_are_grouped_in_their_order():
    assert grouped("baab") == {"b": [0, 3], "a": [1, 2]}
    assert list(codes_of("baab")) == [0, 1, 1, 0]
    assert list(sums_of(codes_of("baab"), [1, 2, 3, 4])) == [5, 5]
