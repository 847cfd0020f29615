"""Estimates: what they say, intervals that cover, and resamples that stay what they were."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats.intervals import (
    MIN_CLUSTERS,
    Clusters,
    Estimate,
    bootstrap,
    bootstrap_sums,
    estimate,
    grouped,
    percentiles,
    share,
    wilson,
)


def columns(rows):
    rows = list(rows)
    return [float(a) for a, _ in rows], [float(b) for _, b in rows]


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


def test_intervals_cover_at_about_their_level():
    rng = random.Random(3)
    covered = 0
    for _ in range(150):
        rows = [rng.random() < 0.3 for _ in range(60)]
        low, high = bootstrap(rows, lambda some: sum(some) / len(some), 200)
        covered += low <= 0.3 <= high
    assert 130 <= covered <= 150


# --- resampling ---------------------------------------------------------------------------------


def test_intervals_of_clusters_cover_at_about_their_level():
    rng = random.Random(7)
    covered = 0
    for _ in range(120):
        rows, clusters = [], []
        for cluster in range(40):
            hit = float(rng.random() < 0.3)  # one answer for the whole cluster
            rows += [(hit, 1.0)] * 5
            clusters += [cluster] * 5
        ((low, high),) = bootstrap_sums(rows, clusters, lambda s: s[:, :1] / s[:, 1:], 200)
        covered += low <= 0.3 <= high
    assert 103 <= covered <= 120


def test_intervals_are_those_of_the_ordinary_bootstrap():
    rng = random.Random(1)
    x = [rng.randint(1, 5) for _ in range(40)]
    y = [a + rng.randint(-1, 1) for a in x]
    found = estimate(ag.pearson, x, y, draws=60)
    rows = list(zip(x, y, strict=True))
    assert (found.low, found.high) == pytest.approx(
        bootstrap(rows, lambda some: ag.pearson(*columns(some)), 60)
    )
    # In groups, too: a group is drawn whole.
    groups = [row // 3 for row in range(40)]
    members = [[rows[row] for row in some] for some in grouped(groups).values()]
    clustered = estimate(ag.signed_error, x, y, groups=groups, draws=60)
    assert clustered.interval == pytest.approx(
        bootstrap(members, lambda some: ag.signed_error(*columns(itertools.chain(*some))), 60)
    )
    assert clustered.value == ag.signed_error(x, y)


def test_few_rows_have_no_resampled_interval():
    assert math.isnan(estimate(ag.mean, [1.0] * (MIN_CLUSTERS - 1)).low)
    assert estimate(ag.mean, [1.0] * MIN_CLUSTERS).low == 1
    groups = ["one image"] * 50
    assert math.isnan(estimate(ag.mean, [1.0] * 50, groups=groups).low)
    # A share has one all the same, and it does not end at 1 after three rows.
    assert ag.accuracy(["right"] * 3).low < 0.6


def test_an_estimate_says_of_how_many_and_null_for_nothing():
    quarter = Estimate(0.25, 4, 0.1, 0.5)
    assert quarter.text() == "0.250 [0.100, 0.500] n=4"
    assert quarter.text(4) == "0.250 [0.100, 0.500]"
    assert quarter.json() == {"value": 0.25, "n": 4, "low": 0.1, "high": 0.5}
    nothing = estimate(ag.pearson, [], [])
    assert nothing.text() == "- n=0"
    assert nothing.json() == {"value": None, "n": 0, "low": None, "high": None}


def test_resamples_stay_what_they_were():
    rows = [float(n * n % 7) for n in range(20)]
    assert bootstrap(rows, np.mean, 50) == (1.51125, 2.7)
    clusters = [n // 4 for n in range(20)]
    (interval,) = bootstrap_sums(
        [(row, 1.0) for row in rows], clusters, lambda s: s[:, :1] / s[:, 1:]
    )
    assert interval == (1.65, 2.55)
    (drawn,) = Clusters.by("baabc" * 4).rows(1)
    assert list(drawn) == [4, 9, 14, 19, *[1, 2, 6, 7, 11, 12, 16, 17] * 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_a_cluster_is_drawn_whole(numbers):
    clusters = Clusters(numbers)
    assert len(clusters) == len(set(numbers))
    members = {number: [i for i, n in enumerate(numbers) if n == number] for number in numbers}
    for rows in clusters.rows(3):
        drawn = [numbers[row] for row in rows]
        counts = {number: drawn.count(number) / len(members[number]) for number in members}
        assert sum(counts.values()) == len(members)
        assert all(count.is_integer() for count in counts.values())
    ones = np.ones((len(numbers), 1))
    sizes = {len(rows) for rows in members.values()}
    if len(sizes) == 1:
        assert set(clusters.sums(ones, 3).ravel()) == {len(numbers)}


def test_a_draw_without_a_value_is_left_out():
    assert percentiles([1.0, math.nan, 1.0]) == (1.0, 1.0)
    assert all(map(math.isnan, percentiles([math.nan])))
    assert all(map(math.isnan, percentiles([])))


def test_a_share_of_nothing_is_undefined():
    assert share(0, 0).interval is None
    assert share(3, 3).interval == wilson(3, 3)
