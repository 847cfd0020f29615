"""Ranking, thresholds and calibration, against definitions worked out the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.evals.stats import curves
from safejudge.evals.stats.curves import (
    auroc,
    average_precision,
    brier,
    calibration_error,
    reliability,
    sweep,
)

ROWS = st.lists(st.tuples(st.integers(0, 10).map(lambda n: n / 10), st.booleans()), max_size=30)


def split(rows):
    return [score for score, _ in rows], [truth for _, truth in rows]


@given(ROWS)
def test_auroc_is_the_share_of_pairs_won(rows):
    yes = [score for score, truth in rows if truth]
    no = [score for score, truth in rows if not truth]
    wins = [1.0 if one > other else 0.5 * (one == other) for one in yes for other in no]
    expected = sum(wins) / len(wins) if wins else math.nan
    assert auroc(*split(rows)) == pytest.approx(expected, nan_ok=True)


@given(ROWS)
def test_points_are_what_their_thresholds_call(rows):
    scores, truths = split(rows)
    points = sweep(scores, truths)
    assert [point.threshold for point in points] == sorted(set(scores), reverse=True)
    for point in points:
        called = [truth for score, truth in rows if score >= point.threshold]
        assert point.precision == pytest.approx(sum(called) / len(called))
        if any(truths):
            assert point.recall == pytest.approx(sum(called) / sum(truths))
        else:
            assert math.isnan(point.recall)


class Counting(np.ndarray):
    """An array that counts the elements that numpy computes with."""

    elements = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        Counting.elements += max(np.size(array) for array in inputs)
        return getattr(ufunc, method)(*map(np.asarray, inputs), **options)


@pytest.mark.parametrize("measure", [sweep, auroc, average_precision])
def test_work_grows_with_the_rows_and_not_with_their_square(monkeypatch, measure):
    ranked = curves._ranked
    monkeypatch.setattr(
        curves, "_ranked", lambda *rows: tuple(array.view(Counting) for array in ranked(*rows))
    )
    Counting.elements = 0
    measure([row / 3000 for row in range(3000)], [row % 7 == 0 for row in range(3000)])
    assert 0 < Counting.elements < 10 * 3000


@given(ROWS.filter(lambda rows: any(truth for _, truth in rows)), st.randoms())
def test_no_figure_depends_on_the_order_of_rows(rows, random):
    before = average_precision(*split(rows))
    random.shuffle(rows)
    assert average_precision(*split(rows)) == pytest.approx(before)
    assert 0 < before <= 1


def test_average_precision_by_hand():
    assert average_precision([0.9, 0.8, 0.7, 0.6], [True, False, True, False]) == pytest.approx(
        0.5 * 1 + 0.5 * 2 / 3
    )
    assert average_precision([0.5] * 4, [True, False, False, False]) == pytest.approx(0.25)
    assert math.isnan(average_precision([0.5], [False]))
    assert math.isnan(average_precision([], []))


def test_calibration_by_hand():
    scores, truths = [0.05, 0.05, 0.95, 0.95], [False, True, True, True]
    low, high = reliability(scores, truths)
    assert (low.low, low.high, low.count, low.share_true) == (0.0, 0.1, 2, 0.5)
    assert (high.low, high.high, high.count, high.share_true) == (0.9, 1.0, 2, 1.0)
    assert calibration_error(scores, truths) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert brier(scores, truths) == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.05**2) / 4)
    assert math.isnan(brier([], []))
    assert math.isnan(calibration_error([], []))


@given(ROWS)
def test_every_row_is_in_one_bin(rows):
    scores, truths = split(rows)
    assert sum(one.count for one in reliability(scores, truths, 7)) == len(rows)
    perfect = [float(truth) for truth in truths]
    assert calibration_error(perfect, truths) == (
        pytest.approx(0) if rows else pytest.approx(math.nan, nan_ok=True)
    )


@pytest.mark.parametrize("scores", [[math.nan], [1.5], [-0.1], [0.5, 0.5]])
def test_what_is_no_score_is_refused(scores):
    with pytest.raises(ValueError, match="score"):
        sweep(scores, [True])
