"""Binomial tails against whole numbers, and the bounds against what defines them."""

from fractions import Fraction
from math import comb

import pytest

from safejudge.evals.stats import binomial


def exact(hits, n, share):
    share = Fraction(share)
    return sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits + 1))


@pytest.mark.parametrize("n", [1, 2, 7, 60, 300])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.93])
def test_tails_are_those_of_whole_numbers(n, share):
    for hits in range(0, n, max(1, n // 7)):
        assert binomial.at_most(hits, n, share) == pytest.approx(
            float(exact(hits, n, share)), rel=1e-10
        )
        rest = 1 - exact(hits - 1, n, share)
        assert binomial.at_least(hits, n, share) == pytest.approx(float(rest), rel=1e-9)


def test_tails_at_their_ends():
    assert binomial.at_most(-1, 5, 0.3) == 0.0
    assert binomial.at_most(5, 5, 0.3) == 1.0
    assert binomial.at_most(0, 0, 0.3) == 1.0
    assert binomial.at_most(2, 5, 0.0) == 1.0
    assert binomial.at_most(2, 5, 1.0) == 0.0
    assert binomial.at_least(0, 5, 0.3) == 1.0
    with pytest.raises(ValueError, match="a share of"):
        binomial.at_most(1, 5, float("nan"))


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 45), (3, 50), (49, 50), (40, 1000)])
def test_the_upper_bound_is_where_so_few_hits_have_the_rest_of_the_chance(hits, n):
    bound = binomial.upper(hits, n, 0.9)
    assert binomial.at_most(hits, n, bound) == pytest.approx(0.1, abs=1e-9)
    assert binomial.lower(n - hits, n, 0.9) == pytest.approx(1 - bound)


def test_published_bounds():
    # The rule of three, and table 1 of Clopper and Pearson at 95 % for 10 rows of which 2 are hits.
    assert binomial.upper(0, 100, 0.95) == pytest.approx(0.0295, abs=1e-4)
    assert binomial.lower(2, 10, 0.975) == pytest.approx(0.0252, abs=1e-4)
    assert binomial.upper(2, 10, 0.975) == pytest.approx(0.5561, abs=1e-4)


def test_bounds_without_evidence():
    assert (binomial.upper(0, 0, 0.9), binomial.lower(0, 0, 0.9)) == (1.0, 0.0)
    assert (binomial.upper(4, 4, 0.9), binomial.lower(0, 4, 0.9)) == (1.0, 0.0)


@pytest.mark.parametrize(("share", "delta"), [(0.05, 0.1), (0.1, 0.1), (0.3, 0.05)])
def test_what_is_allowed_is_what_the_bound_says(share, delta):
    most = binomial.allowed(200, share, delta)
    for n in range(1, 201):
        hits = int(most[n])
        assert hits < 0 or binomial.upper(hits, n, 1 - delta) <= share
        assert binomial.upper(hits + 1, n, 1 - delta) > share
    fewest = binomial.needed(share, delta)
    assert (most[fewest - 1], most[fewest]) == (-1, 0)
    assert binomial.needed(share, delta, 2) == int((most >= 2).argmax())
