"""Probabilities of rules: what they recover, and when they are left alone."""

import numpy as np
import pytest

from safejudge.decide import probability
from safejudge.decide.probability import Line, NoLine, Rows
from safejudge.evals.stats.curves import calibration_error


def rows(seed, n, offset, slope, name="i"):
    """Rows whose true log-odds are offset + slope * margin."""
    lot = np.random.default_rng(seed)
    margins = lot.normal(0, 2, n)
    chance = 1 / (1 + np.exp(-(offset + slope * margins)))
    return Rows.of(margins, lot.random(n) < chance, [f"{name}{k}" for k in range(n)])


def test_a_crooked_score_is_set_right():
    found = probability.fit(
        {"a": rows(1, 2000, -1.0, 0.5), "b": rows(2, 2000, 1.0, 0.5, "j")}
    ).lines
    assert found["a"].offset == pytest.approx(-1.0, abs=0.25)
    assert found["b"].offset == pytest.approx(1.0, abs=0.25)
    assert found["a"].slope == pytest.approx(0.5, abs=0.1)
    assert found["a"].after < found["a"].before


def test_a_rule_with_few_labels_leans_on_the_others():
    others = {f"r{k}": rows(k, 400, -1.5, 0.6, f"r{k}-") for k in range(5)}
    few = rows(99, 20, -1.5, 0.6, "few")
    line = probability.fit(others | {"few": few}).lines["few"]
    assert isinstance(line, Line)
    assert line.offset == pytest.approx(-1.5, abs=0.4)


@pytest.mark.parametrize("seed", range(6))
def test_a_score_that_is_right_is_left_alone(seed):
    (line,) = probability.fit({"a": rows(seed, 100, 0.0, 1.0)}).lines.values()
    assert isinstance(line, NoLine)
    assert "100 labels" in line.why
    assert "standard errors" in line.why


def test_too_few_labels_are_refused_with_their_number():
    found = probability.fit({"a": rows(1, 49, -3.0, 0.2), "b": rows(2, 0, 0, 1)}).lines
    assert found["a"] == NoLine("49 labels over all rules, 100 are the fewest", 51)
    assert found["b"] == NoLine("0 labels, 10 are the fewest", 10)
    found = probability.fit({"a": rows(1, 400, -3.0, 0.2), "b": rows(2, 9, -3.0, 0.2)}).lines
    assert isinstance(found["a"], Line)
    assert found["b"] == NoLine("9 labels, 10 are the fewest", 1)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_labels_of_one_kind_do_not_break_it(truth):
    part = rows(1, 80, 0.0, 1.0)
    alike = Rows(part.margins, np.full(80, truth), part.folds, part.images)
    (line,) = probability.fit({"a": alike}).lines.values()
    if isinstance(line, Line):
        assert all(0 <= line(margin) <= 1 for margin in (-20.0, 0.0, 20.0))


def test_a_score_that_says_the_opposite_gets_no_line():
    (line,) = probability.fit({"a": rows(1, 800, 0.0, -1.0)}).lines.values()
    assert isinstance(line, NoLine)
    assert "no likelier" in line.why


def test_rows_left_out_are_said_by_lines_that_did_not_see_them():
    part = rows(5, 1500, -1.0, 0.4)
    fitted = probability.fit({"a": part})
    line = fitted.lines["a"]
    seen = np.array([line(margin) for margin in part.margins])
    left_out = fitted.left_out["a"]
    assert not np.array_equal(seen, left_out)
    assert np.abs(seen - left_out).max() < 0.1
    raw = 1 / (1 + np.exp(-part.margins))
    truths = part.truths == 1
    assert calibration_error(left_out, truths) < calibration_error(raw, truths) / 2


def test_it_is_the_same_whatever_the_order_of_rows():
    part = rows(3, 300, -1.0, 0.5)
    order = np.random.default_rng(0).permutation(300)
    turned = part.where(order)
    first, second = (probability.fit({"a": p}).lines["a"] for p in (part, turned))
    assert first.offset == pytest.approx(second.offset, abs=1e-6)
    assert first.slope == pytest.approx(second.slope, abs=1e-6)


def test_one_image_under_many_rules_is_one_piece_of_evidence():
    # Alone, 110 rows gain too little to be sure; the same images under 9 more rules add nothing.
    part = rows(20, 110, -0.4, 0.9)
    alone = probability.fit({"a": part}).lines["a"]
    many = probability.fit({f"r{k}": part for k in range(10)}).lines
    assert isinstance(alone, NoLine)
    assert all(isinstance(line, NoLine) for line in many.values())


def test_margins_at_their_limit_count_as_ten():
    line = Line(0.0, 1.0, 0.7, 0.6)
    assert line(20.0) == line(10.0) == pytest.approx(1 / (1 + np.exp(-10)))
