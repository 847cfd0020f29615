"""Rates: the wrong side of undecided, NaN for nothing, and intervals that cover."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats.rates import Counts, bootstrap, ratio, wilson
from safejudge.types import Outcome

YES, NO, OPEN = Outcome.YES, Outcome.NO, Outcome.UNDECIDED
calls = st.lists(st.tuples(st.booleans(), st.sampled_from([YES, NO, OPEN])), max_size=30)


def test_undecided_is_always_on_the_wrong_side():
    counts = Counts.of([(True, OPEN), (False, OPEN)])
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (0, 1, 1, 0)
    assert counts.coverage == 0.0


def test_a_worked_example():
    counts = Counts.of(
        [(True, YES)] * 6 + [(True, NO)] * 2 + [(False, YES)] * 3 + [(False, NO)] * 9
    )
    assert counts.precision == pytest.approx(6 / 9)
    assert counts.recall == pytest.approx(6 / 8)
    assert counts.f1 == pytest.approx(2 * (6 / 9) * (6 / 8) / (6 / 9 + 6 / 8))
    assert counts.fpr == pytest.approx(3 / 12)
    assert counts.coverage == 1.0


def test_nothing_is_no_number():
    counts = Counts.of([])
    for name in ("precision", "recall", "f1", "fpr", "coverage"):
        assert math.isnan(getattr(counts, name))
    assert math.isnan(ratio(1, 0))


@given(calls)
def test_settling_an_undecided_call_rightly_never_hurts(some):
    settled = [(truth, (YES if truth else NO) if said is OPEN else said) for truth, said in some]
    before, after = Counts.of(some), Counts.of(settled)
    assert after.tp >= before.tp
    assert after.fp <= before.fp
    assert before.asked == after.asked == len(some)


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
