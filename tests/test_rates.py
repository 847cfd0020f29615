"""Rates: the wrong side of undecided, and NaN for nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats.intervals import ratio
from safejudge.evals.stats.rates import Counts
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
