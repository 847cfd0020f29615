"""Agreement of raters, against published examples and numbers worked out by hand."""

import math

import pytest

from safejudge.evals.stats.raters import cohen_kappa, krippendorff_alpha


def test_kappa_of_cohens_kind_of_table():
    # 50 proposals: both yes 20, only the first 5, only the second 10, neither 15:
    # p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    answers = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = cohen_kappa(answers)
    assert found.value == pytest.approx(0.4)
    assert found.n == 50


def test_kappa_below_chance_and_of_three_words():
    assert cohen_kappa([("a", "b"), ("b", "a")]).value == pytest.approx(-1.0)
    # p_o = 3/4, p_e = (2*1 + 1*2 + 1*1) / 16 = 5/16.
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("c", "c")]
    assert cohen_kappa(pairs).value == pytest.approx((3 / 4 - 5 / 16) / (11 / 16))


def test_what_says_nothing_is_undefined():
    assert math.isnan(cohen_kappa([]).value)
    assert math.isnan(cohen_kappa([("y", "y")] * 9).value)
    assert math.isnan(krippendorff_alpha([]).value)
    assert math.isnan(krippendorff_alpha([("y",), ("n", None)]).value)
    same = krippendorff_alpha([("y", "y", "y")] * 4)
    assert math.isnan(same.value)
    assert same.n == 4


def test_alpha_of_krippendorffs_four_observers():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part C: nominal 0.743."""
    observers = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    units = zip(*(row.split() for row in observers), strict=True)
    found = krippendorff_alpha([[None if a == "." else a for a in unit] for unit in units])
    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert found.n == 11


def test_alpha_of_two_observers_without_gaps():
    """The same paper, part A: ten units, two observers, alpha = 0.095."""
    left, right = "0100000010", "1110001000"
    assert krippendorff_alpha(list(zip(left, right, strict=True))).value == pytest.approx(
        0.095, abs=0.0005
    )
