"""Thresholds that keep the rate of false accepts, with a stated confidence.

**What is counted.** The matcher makes one answer of a query's neighbours: a label at a
distance. A trial is an answer that must not be accepted, and the false-accept rate of a
threshold `t`, `FAR(t) = P(distance <= t)`, is over all trials to come. Two kinds:

- `"wrong"`: the queries that the matcher answers wrongly, because their class is not in
  the index (impostors) or another is nearer. `FAR` is then `false_positive_rate`,
  `fp / (fp + tn)`.
- `"every"`: each query, its own class left out, as though it was not in the index. This
  is the rate for strangers who are like the queries (and meet one class less than there
  are). It also bounds how many of all queries are accepted with a wrong label, if the
  nearest neighbour decides: where the nearest within `t` is a wrong one, one is.

All impostor pairs would be many more, but they are not independent: a pair shares its
query and its row with thousands of others. Of a query only its answer counts.

**Why it holds.** Let the `n` trials be independent draws, and `k` the largest number with
`P(Bin(n, target) <= k) <= 1 - confidence`. The threshold is the largest number below the
`(k + 1)`-th smallest distance of the trials. Let `q = inf {t: FAR(t) > target}`, so that
`FAR(q) >= target`. A threshold with a larger rate than the target is at or above `q`, and
then at most `k` trials are within `q`: an event of probability at most
`P(Bin(n, target) <= k)`. This holds for every distribution, with ties too, and although
the threshold is chosen on the same trials, since it is an order statistic of them: only
the one point `q` is ever tested. The `bound` is Clopper and Pearson's for `k` accepts; it
is known before the distances are, and so holds as the target does.

Without a single accept `n` trials vouch for `1 - (1 - confidence) ** (1 / n)`, about
`3 / n` at 0.95. With fewer than that takes for the target, nothing is accepted.

**Dependence.** Queries of one class (pictures of one person) are alike, and so not `n`
independent trials: the promise is too strong then. `unit="class"` takes classes for what
is drawn: `FAR` is the mean over classes of the share of their trials within `t`, a class
is one value in [0, 1], and the threshold is the largest whose p-value, Hoeffding's or
Bentkus', is at most `1 - confidence`:
`p = min(exp(-n h(r, target)), e P(Bin(n, target) <= ceil(n r)))`, with `n` classes,
observed rate `r` and `h` the relative entropy of two coins. As `FAR` grows with `t`, this
is fixed-sequence testing, and holds by the same argument.

The promise is about the index as it is, and about queries drawn as these were. Rows that
are added come nearer to impostors; calibrate again then.

References:
    [Clopper and Pearson, 1934](https://doi.org/10.1093/biomet/26.4.404);
    [Wilks, 1941](https://doi.org/10.1214/aoms/1177731788), of order statistics;
    [Angelopoulos et al., 2021](https://arxiv.org/abs/2110.01052), Learn then Test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.evaluators.binomial import (
    binomial_cdf,
    clopper_pearson_upper,
    largest_true,
)
from keras_similarity.types import FalseAccepts, Floats, Ints

UNITS = ("query", "class")
KINDS = ("wrong", "every")
# The rate that a calibration may accept is tight where it is this share of the target.
_TIGHT = 0.9
_MOST_TRIALS = 10**12


@dataclass(frozen=True)
class Trials:
    """Answers that must not be accepted.

    Attributes:
        costs: Their distances `[n]`, smaller is closer; NaN and infinity are never
            accepted.
        classes: Labels `[n]` of their queries.
        kind: `"wrong"` or `"every"`; see this module.
    """

    costs: Floats
    classes: Ints
    kind: str = "wrong"


def false_accept_threshold(
    trials: Trials, target: float, confidence: float = 0.95, unit: str = "query"
) -> tuple[float, FalseAccepts]:
    """The largest threshold that keeps the false-accept rate; see this module.

    Args:
        trials: Answers that must not be accepted.
        target: The rate that is not to be exceeded, between 0 and 1.
        confidence: How often, of many calibrations, it is not; between 0 and 1.
        unit: What is independent: `"query"` or `"class"`.

    Returns:
        The threshold, a float32 value, minus infinity where the trials are too few for
        any; and what it promises.

    Raises:
        ValueError: If an argument is not one of these.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.evaluators import Trials, false_accept_threshold
        >>> costs = np.linspace(0.0, 1.0, 1001)
        >>> trials = Trials(costs, np.arange(1001))
        >>> threshold, promise = false_accept_threshold(trials, 0.01)
        >>> round(threshold, 4), promise.accepted, round(promise.bound, 5)
        (0.004, 4, 0.00912)
        >>> threshold, promise = false_accept_threshold(trials, 0.001)
        >>> threshold, promise.more_trials
        (-inf, 1994)
    """
    check_target(target, confidence, unit)
    costs = np.where(np.isnan(trials.costs), np.inf, trials.costs).astype("float32")
    order = np.argsort(costs, kind="stable")
    rates, count, is_exact = _rates(trials.classes[order], unit)
    test = _Test(target, 1.0 - confidence, is_exact)
    # Accepting no trial, the nearest, the two nearest ...
    most = largest_true(lambda k: test.passes(rates[k], count), 0, len(costs) - 1)
    threshold = _below(float(costs[order[most]])) if most >= 0 else -np.inf
    accepted = int((costs <= threshold).sum())
    if most < 0:
        bound = clopper_pearson_upper(0, count, confidence) if count else 1.0
    else:
        bound = clopper_pearson_upper(most, count, confidence) if is_exact else target
    return threshold, FalseAccepts(
        target=target,
        confidence=confidence,
        kind=trials.kind,
        unit=unit,
        trials=count,
        accepted=accepted,
        rate=float(rates[accepted]),
        bound=bound,
        more_trials=test.trials_for(0.0) - count if most < 0 else 0,
        tight_trials=max(test.trials_for(_TIGHT * target) - count, 0),
    )


def check_target(target: Any, confidence: Any, unit: str) -> None:
    """Raises a `ValueError` unless `false_accept_threshold` can take these."""
    for name, value in (("target_far", target), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"`{name}` must be between 0 and 1. Received: {value!r}.")
    if unit not in UNITS:
        raise ValueError(f"`unit` must be one of {UNITS}. Received: {unit!r}.")


def check_trials(trials: str) -> None:
    """Raises a `ValueError` unless it is `"auto"` or a kind of trials."""
    if trials not in ("auto", *KINDS):
        raise ValueError(
            f"`trials` must be one of {('auto', *KINDS)}. Received: {trials!r}."
        )


def _rates(classes: Ints, unit: str) -> tuple[Floats, int, bool]:
    """The rate `[n + 1]` if so many of the nearest trials are accepted, and units.

    The last says whether each unit is accepted or not, so that they are binomial.
    """
    num = len(classes)
    if unit == "query":
        return np.arange(num + 1) / max(num, 1), num, True
    _, place, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    shares = 1.0 / (sizes[place] * max(len(sizes), 1))
    rates = np.concatenate([[0.0], np.cumsum(shares)])
    return rates, len(sizes), bool((sizes == 1).all())


@dataclass(frozen=True)
class _Test:
    """Tests whether the rate to come may be above the target.

    Attributes:
        target: The rate.
        level: How often the test may pass where it is above.
        is_exact: Are units accepted or not, or in parts?
    """

    target: float
    level: float
    is_exact: bool

    def passes(self, rate: float, trials: int) -> bool:
        """Is so small an observed rate unlikely where the true one is the target?"""
        if trials == 0:
            return False
        # Sums of shares are whole numbers but for rounding.
        whole = math.ceil(rate * trials - 1e-6)
        binomial = binomial_cdf(whole, trials, self.target)
        if self.is_exact:
            return binomial <= self.level
        entropy = _relative_entropy(min(rate, self.target), self.target)
        return min(math.exp(-trials * entropy), math.e * binomial) <= self.level

    def trials_for(self, rate: float) -> int:
        """How many trials it takes to pass with an observed rate below the target."""
        return 1 + largest_true(lambda n: not self.passes(rate, n), 1, _MOST_TRIALS)


def _relative_entropy(a: float, b: float) -> float:
    """`a log(a / b) + (1 - a) log((1 - a) / (1 - b))`."""
    first = a * math.log(a / b) if a > 0.0 else 0.0
    return first + (1.0 - a) * (math.log1p(-a) - math.log1p(-b))


def _below(cost: float) -> float:
    """The largest finite float32 below a cost."""
    return float(np.nextafter(np.float32(cost), np.float32(-np.inf)))
