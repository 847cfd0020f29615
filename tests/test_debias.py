"""The published inequalities, and scores that never contradict them."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safejudge.method.debias import decide, margin, moved, weigh
from safejudge.policy import Policy
from safejudge.types import Outcome, Read

unit = st.floats(0.0, 1.0)
published = Policy()
policies = st.builds(lambda r, a: Policy(reject_factor=r, accept_factor=a), unit, unit)


def read(view, score, label_mass=1.0):
    return Read(view=view, score=score, label_mass=label_mass)


@given(unit, unit)
def test_tests_are_the_printed_inequalities(m, p0):
    decision = weigh(m, p0, published)
    if m - p0 < -0.3 * p0:
        assert (decision.outcome, decision.test) == (Outcome.NO, "reject")
    elif m - p0 > 0.8 * (1 - p0):
        assert (decision.outcome, decision.test) == (Outcome.YES, "accept")
    else:
        assert (decision.outcome, decision.test) == (Outcome.UNDECIDED, "open")


@given(unit, unit)
def test_tests_are_the_equivalent_absolute_thresholds(m, p0):
    assume(abs(m - 0.7 * p0) > 1e-12)
    assume(abs(m - (0.8 + 0.2 * p0)) > 1e-12)
    outcome = weigh(m, p0, published).outcome
    assert (outcome is Outcome.NO) == (m < 0.7 * p0)
    assert (outcome is Outcome.YES) == (m > 0.8 + 0.2 * p0)


@given(unit, unit, unit, policies)
def test_score_and_outcome_grow_with_m(m1, m2, p0, policy):
    low, high = sorted((m1, m2))
    below, above = weigh(low, p0, policy), weigh(high, p0, policy)
    order = [Outcome.NO, Outcome.UNDECIDED, Outcome.YES]
    assert below.score <= above.score
    assert order.index(below.outcome) <= order.index(above.outcome)
    assert margin(below.score) <= margin(above.score)


@given(unit, unit, policies)
def test_score_stands_on_the_side_of_the_outcome(m, p0, policy):
    decision = weigh(m, p0, policy)
    bounds = {Outcome.NO: (0, 0.25), Outcome.UNDECIDED: (0.25, 0.75), Outcome.YES: (0.75, 1)}
    low, high = bounds[decision.outcome]
    assert low <= decision.score <= high


@pytest.mark.parametrize("p0", [0.05, 0.3, 0.5, 0.9])
def test_score_at_the_corners(p0):
    low, high = 0.7 * p0, p0 + 0.8 * (1 - p0)
    for m, score in [(0.0, 0.0), (low, 0.25), ((low + high) / 2, 0.5), (high, 0.75), (1.0, 1.0)]:
        assert weigh(m, p0, published).score == pytest.approx(score, abs=1e-9)


def test_degenerate_priors():
    # p0 = 0: rejecting is impossible; p0 = 1: accepting is (method: both go to the cascade).
    assert weigh(0.0, 0.0, published).test == "open"
    assert weigh(1.0, 0.0, published).score == 1.0
    assert weigh(1.0, 1.0, published).test == "open"
    assert weigh(0.0, 1.0, published).score == 0.0


@given(st.floats(0.25, 0.75))
def test_reasoning_moves_the_score_to_its_side(score):
    assert moved(score, Outcome.YES) > 0.5
    assert moved(score, Outcome.NO) < 0.5
    assert moved(score, Outcome.UNDECIDED) == score


@given(unit)
def test_margin_is_finite_log_odds(score):
    value = margin(score)
    assert abs(value) <= 20.0
    json.dumps(value, allow_nan=False)
    if 1e-6 < score < 1 - 1e-6:
        assert value == pytest.approx(math.log(score / (1 - score)), abs=1e-6)


@pytest.mark.parametrize("p0", [0.1, 0.5, 0.8])
def test_margin_follows_the_log_odds_near_the_ends(p0):
    for m in (1e-5, 1e-6):
        shift = math.log(4 * 0.7 * p0)
        expected = math.log(m / (1 - m)) - shift
        assert margin(weigh(m, p0, published).score) == pytest.approx(expected, abs=1e-3)
        expected = -math.log(m / (1 - m)) + math.log(4 * 0.2 * (1 - p0))
        assert margin(weigh(1 - m, p0, published).score) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("prior", [0.0, 0.3, 1.0, None])
def test_low_label_mass_is_undecided_and_uses_no_number(prior):
    without = None if prior is None else read("no_image", prior)
    decision = decide(read("full", 0.99, 0.1), without, published)
    assert (decision.outcome, decision.test) == (Outcome.UNDECIDED, "label_mass")
    assert decision.score == 0.5
    assert "view full" in decision.note


@given(unit, st.one_of(unit, st.none()), st.floats(0, 0.49))
def test_half_stands_for_a_prior_of_low_label_mass(m, p0, mass):
    decision = decide(read("full", m), read("no_image", p0, mass), published)
    assert (
        replace(decision, note=None)
        == weigh(m, 0.5, published)
        == decide(read("full", m), None, published)
    )
    assert "view no_image" in decision.note
    assert decision.note.endswith("1/2 stands for the prior")


def test_missing_prior_is_never_taken_for_zero():
    decision = decide(read("full", 0.99), read("no_image", None, 0.0), Policy.clue())
    assert decision.outcome is Outcome.UNDECIDED
    assert decision.score == 0.5
    assert decision.note is not None


def test_clue_ignores_label_mass():
    full, prior = read("full", 0.99, 0.01), read("no_image", 0.1, 0.01)
    assert decide(full, prior, Policy.clue()).outcome is Outcome.YES
    assert decide(full, prior, published).test == "label_mass"
