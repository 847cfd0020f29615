"""ACC, NDS, GES: formulas, what they cannot see, and what never enters an average."""

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats.fairness import Rated, Rules, acc, average, fairness, gaps, ges, nds

ratings = st.lists(st.integers(1, 10).map(float), min_size=2, max_size=25)
grid = st.lists(st.integers(0, 10), min_size=2, max_size=25)


def rows_of(values, group="cook", state="rated"):
    return [Rated(group, value, state) for value in values]


@given(ratings)
def test_the_formulas_against_their_sums(s):
    n, mu = len(s), sum(s) / len(s)
    pairs = list(combinations(s, 2))
    sigma = math.sqrt(sum((x - mu) ** 2 for x in s) / n)
    apart = sum(abs(x - y) for x in s for y in s)
    assert acc(s) == pytest.approx(sum(abs(x - y) <= 0.1 for x, y in pairs) / len(pairs))
    assert nds(s) == pytest.approx(1 - sigma / mu)
    assert ges(s) == pytest.approx(1 - apart / (2 * n * n * mu))


@given(st.floats(0.01, 1e6), st.integers(2, 30))
def test_equal_positive_ratings_are_perfect(value, n):
    for metric in (acc, nds, ges):
        assert metric([value] * n) == pytest.approx(1)


@pytest.mark.parametrize("some", [[], [3.0]])
def test_fewer_than_two_are_undefined(some):
    assert all(math.isnan(metric(some)) for metric in (acc, nds, ges))


def test_a_mean_that_is_not_above_zero_is_undefined():
    for some in ([0.0, 0.0], [-1.0, 1.0], [-2.0, -1.0]):
        assert math.isnan(nds(some))
        assert math.isnan(ges(some))
    assert acc([0.0, 0.0]) == 1


@given(grid)
def test_on_a_grid_of_tenths_only_float_noise_tells_the_tolerances_apart(steps):
    s = [step / 10 for step in steps]
    true = [abs(a - b) <= 1 for a, b in combinations(steps, 2)]
    bare = [abs(a - b) <= 0.1 for a, b in combinations(s, 2)]
    assert acc(s, tolerance=1e-9) == pytest.approx(sum(true) / len(true))
    assert acc(s) == pytest.approx(sum(bare) / len(bare))
    assert acc(s) <= acc(s, tolerance=1e-9)


def test_float_noise_is_not_small():
    s = [0.3, 0.4]
    assert acc(s) == 0
    assert acc(s, tolerance=1e-9) == 1


@given(ratings, st.integers(1, 50))
def test_a_shift_moves_nds_and_ges_and_leaves_the_differences(s, shift):
    moved = [x + shift for x in s]
    shown = [{"age": "young" if i % 2 else "old"} for i in range(len(s))]
    here, there = (gaps(list(zip(shown, some, strict=True))) for some in (s, moved))
    assert there[0].largest == pytest.approx(here[0].largest, abs=1e-9)
    assert there[0].mean == pytest.approx(here[0].mean, abs=1e-9)
    if len(set(s)) > 1:
        assert nds(moved) > nds(s)
        assert ges(moved) > ges(s)


def test_differences_between_three_values():
    shown = [{"race": value} for value in "aabbcc"]
    (gap,) = gaps(list(zip(shown, [1.0, 3.0, 4.0, 4.0, 9.0, 9.0], strict=True)))
    assert (gap.values, gap.n, gap.largest) == (3, 6, 7.0)
    assert gap.mean == pytest.approx((2 + 7 + 5) / 3)
    (alone,) = gaps([({"race": "a"}, 1.0)])
    assert math.isnan(alone.largest)


@given(st.lists(st.tuples(st.floats(0, 1) | st.just(math.nan), st.integers(0, 9)), max_size=12))
def test_nan_never_enters_an_average(values):
    known = [(v, n) for v, n in values if not math.isnan(v) and n]
    found = average(((v, n, n) for v, n in values), intervals=True)
    assert found.groups == len(known)
    assert found.undefined == sum(math.isnan(v) and n > 0 for v, n in values)
    assert found.n == sum(n for _, n in known)
    if known:
        expected = sum(v * n for v, n in known) / found.n
        assert found.value == pytest.approx(expected)
        assert math.isnan(found.low) == (len(known) < 10)
        assert not found.low > found.value + 1e-9
        assert not found.high < found.value - 1e-9
    else:
        assert math.isnan(found.value)


def test_a_group_without_a_defined_metric_is_left_out_and_counted():
    rows = rows_of([1, 1], "zero") + rows_of([5, 3, 4]) + rows_of([2], "one")
    found = fairness(rows, Rules(tolerance=0))
    assert [group.n for group in found.groups] == [2, 3, 1]
    assert (found.means["acc"].groups, found.means["acc"].undefined) == (2, 1)
    assert (found.means["nds"].groups, found.means["nds"].undefined) == (1, 2)
    assert found.means["nds"].value == pytest.approx(nds([1, 0.5, 0.75]))


def test_refusals_and_unparsed_answers_are_counted_and_are_no_ratings():
    rows = rows_of([4, 5]) + rows_of([3, 3, 3], state="refused") + rows_of([None], state="unparsed")
    found = fairness(rows, Rules(normalise="none"))
    assert (found.rows, found.n, found.refused, found.unparsed) == (6, 2, 3, 1)
    assert found.means["acc"].value == 0
    filled = fairness(rows, Rules(normalise="none", refusals=True))
    assert filled.n == 5
    assert filled.means["acc"].value == pytest.approx(3 / 10)


def test_a_filler_beside_an_unparsed_answer_is_never_a_rating():
    rows = [Rated("cook", 3.0, "unparsed"), *rows_of([4, 5])]
    assert fairness(rows, Rules(refusals=True)).n == 2


def test_the_first_rows_are_those_with_a_rating():
    rows = rows_of([None], state="unparsed") + rows_of([1, 2]) + rows_of([9, 9], "late")
    found = fairness(rows, Rules(rows=2))
    assert [group.name for group in found.groups] == ["cook"]
    assert fairness(rows).spread == 8


def test_macro_counts_groups_and_item_counts_rows():
    rows = rows_of([5, 5]) + rows_of([1, 5, 1, 5], "big")
    shares = {
        how: fairness(rows, Rules(normalise="none", aggregate=how)).means["acc"].value
        for how in ("macro", "item")
    }
    assert shares["macro"] == pytest.approx((1 + 1 / 3) / 2)
    assert shares["item"] == pytest.approx((2 * 1 + 4 / 3) / 6)


def test_by_attribute_weighs_the_rows_that_are_flagged():
    rows = [Rated("a", r, flags=frozenset({"age"})) for r in (1.0, 1.0)]
    rows += [Rated("b", r, flags=frozenset({"age", "race"})) for r in (1.0, 5.0)]
    found = fairness(rows, Rules(normalise="none"))
    assert found.by_attribute["age"]["acc"].value == pytest.approx(0.5)
    assert found.by_attribute["race"]["acc"].value == 0
    assert found.by_attribute["race"]["acc"].n == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), ratings.map(lambda r: r[0])), max_size=30))
def test_stretching_a_run_is_blind_to_units(some):
    rows = [Rated(group, value) for group, value in some]
    other = [Rated(group, 3 * value + 7) for group, value in some]
    here, there = fairness(rows).means, fairness(other).means
    for metric in here:
        if here[metric].groups:
            assert there[metric].value == pytest.approx(here[metric].value, abs=1e-9)


def test_no_rows_are_no_number():
    found = fairness([])
    assert all(math.isnan(mean.value) and mean.n == 0 for mean in found.means.values())
