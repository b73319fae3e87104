"""Rates that are kept: by the definition, and over many calibrations."""

import math

import numpy as np
import pytest

from keras_similarity.evaluators.false_accepts import (
    Trials,
    check_trials,
    false_accept_threshold,
)

pytestmark = pytest.mark.keras_free

DRAWS = 600


def exact_cdf(successes, trials, probability):
    """Summed term by term, from the smallest."""
    terms = [
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
        for k in range(successes + 1)
    ]
    return math.fsum(terms)


def threshold_of(costs, target, confidence=0.95, unit="query", classes=None):
    classes = np.arange(len(costs)) if classes is None else np.asarray(classes)
    return false_accept_threshold(
        Trials(np.asarray(costs), classes), target, confidence, unit
    )


def is_about(share, expected, draws=DRAWS, errors=4.0):
    return abs(share - expected) <= errors * math.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize("trials", [0, 1, 28, 29, 60, 150])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_threshold_by_trying_all(trials, confidence):
    costs = np.random.default_rng(trials).random(trials).astype("float32")
    # How many accepts are too few to be likely at the target?
    allowed = [k for k in range(trials) if exact_cdf(k, trials, 0.1) <= 1 - confidence]
    threshold, promise = threshold_of(costs, 0.1, confidence)
    if not allowed:
        assert threshold == -np.inf and not promise.is_met
        return
    beyond = np.sort(costs)[allowed[-1]]  # The (k + 1)-th smallest.
    assert threshold < beyond <= np.nextafter(np.float32(threshold), np.float32(2))
    assert promise.accepted == allowed[-1] and promise.is_met
    assert exact_cdf(promise.accepted, trials, promise.bound) == pytest.approx(
        1 - confidence
    )
    assert promise.bound <= 0.1


@pytest.mark.parametrize("confidence, trials", [(0.95, 1000), (0.9, 400), (0.95, 299)])
def test_the_rate_is_kept_as_often_as_promised(confidence, trials):
    """Of uniform costs, the true rate of a threshold is the threshold."""
    random = np.random.default_rng(0)
    target = 0.01
    rates = np.array(
        [threshold_of(random.random(trials), target, confidence)[0] for _ in range(DRAWS)]
    )
    accepted = max(k for k in range(50) if exact_cdf(k, trials, target) <= 1 - confidence)
    violations = (rates > target).mean()
    # The probability is that of so few accepts, exactly: not above the level, not far
    # below it.
    assert is_about(violations, exact_cdf(accepted, trials, target))
    assert violations <= 1 - confidence + 4 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert violations >= (1 - confidence) / 3


def test_a_stricter_bound_is_kept_too():
    random = np.random.default_rng(1)
    found = [threshold_of(random.random(500), 0.01, 0.9) for _ in range(DRAWS)]
    bounds = {promise.bound for _, promise in found}
    assert len(bounds) == 1 and bounds.pop() < 0.01  # Known before the data.
    violations = np.mean([rate > promise.bound for rate, promise in found])
    assert is_about(violations, 0.1)


def test_ties_break_no_promise():
    """A tenth of all trials have one and the same distance, just above the target."""
    random = np.random.default_rng(2)
    violations = 0
    for _ in range(DRAWS):
        costs = random.random(400)
        costs = np.where(costs < 0.105, 0.105 * (costs >= 0.005), costs)
        threshold, _ = threshold_of(costs, 0.1)
        true_rate = 0.005 if 0 <= threshold < 0.105 else max(threshold, 0.0)
        violations += true_rate > 0.1
    assert violations / DRAWS <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / DRAWS)


def correlated(random, num_classes, each):
    """Costs whose class decides, uniform over all classes, and the classes."""
    classes = np.repeat(np.arange(num_classes), each)
    return random.random(num_classes)[classes], classes


def test_trials_of_a_class_are_one_where_the_class_is_the_unit():
    random = np.random.default_rng(3)
    target, violations = 0.05, {"query": 0, "class": 0}
    for _ in range(DRAWS):
        costs, classes = correlated(random, 150, 10)
        for unit in violations:
            threshold, _ = threshold_of(costs, target, unit=unit, classes=classes)
            violations[unit] += threshold > target
    # By query the same value is counted ten times: the promise is not kept.
    assert violations["query"] / DRAWS > 0.2
    assert violations["class"] / DRAWS <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / DRAWS)
    assert violations["class"] > 0


def test_classes_of_one_trial_are_the_trials():
    costs = np.random.default_rng(4).random(500)
    by_query, by_class = (
        threshold_of(costs, 0.02),
        threshold_of(costs, 0.02, unit="class"),
    )
    assert by_query[0] == by_class[0]
    assert by_query[1].bound == by_class[1].bound and by_class[1].trials == 500


def p_value_by_loops(costs, classes, threshold, target):
    shares = [
        np.mean(
            [c <= threshold for c, k in zip(costs, classes, strict=True) if k == name]
        )
        for name in sorted(set(classes))
    ]
    n, rate = len(shares), float(np.mean(shares))
    low = min(rate, target)
    entropy = (low * math.log(low / target) if low else 0.0) + (1 - low) * math.log(
        (1 - low) / (1 - target)
    )
    bentkus = math.e * exact_cdf(math.ceil(n * rate - 1e-9), n, target)
    return min(math.exp(-n * entropy), bentkus)


def test_class_thresholds_by_trying_all():
    random = np.random.default_rng(5)
    classes = random.integers(0, 60, 300).tolist()
    costs = random.random(300).astype("float32")
    threshold, promise = threshold_of(costs, 0.2, unit="class", classes=classes)
    passes = [
        cost
        for cost in np.sort(costs)
        if p_value_by_loops(costs.tolist(), classes, cost, 0.2) <= 0.05
    ]
    assert passes and promise.trials == len(set(classes))
    assert (costs <= threshold).sum() == len(passes) == promise.accepted
    shares = [np.mean((costs <= threshold)[np.array(classes) == c]) for c in set(classes)]
    assert promise.rate == pytest.approx(np.mean(shares))
    assert promise.bound == 0.2


@pytest.mark.parametrize("unit, needed", [("query", 2995), ("class", 2995)])
def test_too_few_trials_accept_nothing_and_say_how_many_it_takes(unit, needed):
    # (1 - 0.001) ** 2995 <= 0.05 < (1 - 0.001) ** 2994
    classes = np.arange(1000) // 2 if unit == "class" else np.arange(1000)
    threshold, promise = threshold_of(np.ones(1000), 1e-3, unit=unit, classes=classes)
    assert threshold == -np.inf and promise.accepted == 0 and promise.rate == 0
    assert not promise.is_met
    assert promise.more_trials == needed - promise.trials
    assert promise.bound == pytest.approx(1 - 0.05 ** (1 / promise.trials))
    assert promise.bound > 1e-3
    assert f"{promise.more_trials:,} more" in str(promise) and "NO thresh" in str(promise)


def test_as_many_as_it_takes_are_enough():
    _, promise = threshold_of(np.random.default_rng(6).random(2995), 1e-3)
    assert promise.is_met and promise.more_trials == 0 and promise.accepted == 0
    assert f"at most {promise.bound:.4g} with 0.95 confidence" in str(promise)


def test_so_many_more_trials_let_nearly_all_of_the_target_through():
    random = np.random.default_rng(7)
    _, promise = threshold_of(random.random(1000), 0.05)
    assert promise.rate < 0.9 * 0.05 and promise.tight_trials > 0
    enough = 1000 + promise.tight_trials
    _, tight = threshold_of(random.random(enough), 0.05)
    assert tight.rate >= 0.9 * 0.05 - 1 / enough and tight.tight_trials == 0
    _, loose = threshold_of(random.random(enough // 2), 0.05)
    assert loose.rate < 0.9 * 0.05


def test_what_is_never_accepted_is_a_trial_too():
    costs = np.r_[np.full(100, np.nan), np.full(100, np.inf), np.linspace(0, 1, 100)]
    threshold, promise = threshold_of(costs, 0.05)
    assert promise.trials == 300 and promise.accepted < 15 and threshold < 1
    threshold, promise = threshold_of(np.full(300, np.nan), 0.05)
    assert threshold == np.finfo("float32").max and promise.accepted == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"target": 0.0}, "`target_far`.*0.0"),
        ({"target": 1.0}, "`target_far`"),
        ({"target": float("nan")}, "`target_far`"),
        ({"confidence": 95}, "`confidence`.*95"),
        ({"unit": "pair"}, "`unit` must be one of .*'pair'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        threshold_of([0.5], **{"target": 0.1, **arguments})


def test_wrong_kind_of_trials():
    with pytest.raises(ValueError, match=r"`trials` must be one of .*'pairs'"):
        check_trials("pairs")
