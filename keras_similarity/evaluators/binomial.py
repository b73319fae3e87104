"""Exact binomial probabilities and bounds, without SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable

# Of the continued fraction: a term changes the value by less than this.
_CONVERGED = 1e-14
_TINY = 1e-300


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """`P(X <= successes)` for `X ~ Bin(trials, probability)`.

    By the regularised incomplete beta function, `I_{1-p}(n - k, k + 1)`, in about
    `sqrt(n)` steps.

    Args:
        successes: From 0; from `trials` on the answer is 1.
        trials: Number of trials.
        probability: Of a success, from 0 to 1.

    Example:
        >>> from keras_similarity.evaluators.binomial import binomial_cdf
        >>> round(binomial_cdf(1, 3, 0.5), 12)
        0.5
    """
    if successes >= trials or probability <= 0.0:
        return 1.0
    if successes < 0 or probability >= 1.0:
        return 0.0
    return _incomplete_beta(trials - successes, successes + 1.0, 1.0 - probability)


def clopper_pearson_upper(successes: int, trials: int, confidence: float) -> float:
    """The one-sided upper bound of a probability: exact, whatever that is.

    The largest `p` with `P(Bin(n, p) <= k) >= 1 - confidence`.

    Args:
        successes: How many there were, `k`.
        trials: Of how many, `n`; 1 is the bound where there were none.
        confidence: Between 0 and 1.

    Reference:
        Clopper and Pearson, 1934: The use of confidence or fiducial limits illustrated
        in the case of the binomial, Biometrika 26.
    """
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if binomial_cdf(successes, trials, middle) >= 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def largest_true(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The last number from `low` to `high` that holds, if those that hold come first.

    `low - 1` where none does.
    """
    low, high = low - 1, high + 1
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """`I_x(a, b)`, the regularised incomplete beta function."""
    log_front = (
        math.lgamma(a + b)
        - math.lgamma(a)
        - math.lgamma(b)
        + a * math.log(x)
        + b * math.log1p(-x)
    )
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):  # Where the fraction converges fast.
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of `I_x(a, b)` (DLMF 8.17.22), by Lentz's method."""
    c = 1.0
    d = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    value = d
    m = 1
    while True:
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < _CONVERGED:
            return value
        m += 1


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
