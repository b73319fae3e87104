import math
from fractions import Fraction

import numpy as np
import pytest

from keras_similarity.evaluators.binomial import (
    binomial_cdf,
    clopper_pearson_upper,
    largest_true,
)

pytestmark = pytest.mark.keras_free


def exact_cdf(successes, trials, probability):
    p = Fraction(probability)
    terms = (
        math.comb(trials, k) * p**k * (1 - p) ** (trials - k)
        for k in range(successes + 1)
    )
    return float(sum(terms))


@pytest.mark.parametrize("trials", [1, 2, 7, 40, 200])
@pytest.mark.parametrize("probability", [1e-4, 0.03, 0.5, 0.875])
def test_distribution_is_the_sum_of_its_terms(trials, probability):
    for successes in sorted({0, 1, trials // 3, trials // 2, trials - 1}):
        expected = exact_cdf(min(successes, trials), trials, probability)
        actual = binomial_cdf(successes, trials, probability)
        assert actual == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_many_trials_are_poisson():
    # Summed in logarithms: exp(-m) m^k / k!.
    mean, successes = 50.0, 40
    k = np.arange(successes + 1)
    logs = -mean + k * math.log(mean) - np.cumsum(np.log(np.maximum(k, 1)))
    expected = np.exp(logs).sum()
    actual = binomial_cdf(successes, 10**9, mean / 10**9)
    assert actual == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "successes, trials, probability, expected",
    [(-1, 5, 0.5, 0), (5, 5, 0.5, 1), (9, 5, 0.5, 1), (2, 5, 0.0, 1), (2, 5, 1.0, 0)],
)
def test_edges(successes, trials, probability, expected):
    assert binomial_cdf(successes, trials, probability) == expected


@pytest.mark.parametrize("successes, trials", [(0, 1), (0, 2994), (3, 50), (49, 50)])
def test_bound_is_where_so_few_are_just_unlikely(successes, trials):
    bound = clopper_pearson_upper(successes, trials, 0.95)
    assert exact_cdf(successes, trials, bound) == pytest.approx(0.05, rel=1e-6)


def test_bounds_without_an_event_and_with_all():
    assert clopper_pearson_upper(0, 100, 0.9) == pytest.approx(1 - 0.1 ** (1 / 100))
    assert clopper_pearson_upper(7, 7, 0.9) == 1.0


@pytest.mark.parametrize("last", [-1, 0, 3, 10])
def test_largest_true(last):
    assert largest_true(lambda number: number <= last, 0, 10) == last
