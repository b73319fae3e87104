"""Do 95 % intervals hold what they promise?"""

import numpy as np
import pytest

from keras_similarity.evaluators import evaluate
from keras_similarity.evaluators.intervals import (
    MOST_UNITS,
    Units,
    bounded_intervals,
    difference_intervals,
    wilson_intervals,
)
from keras_similarity.evaluators.sampling import Sampling
from keras_similarity.evaluators.student import t_quantile

pytestmark = pytest.mark.keras_free

DRAWS = 500


def units_of(values, labels=None, unit="queries", average="micro"):
    sampling = Sampling(labels, unit=unit)
    return sampling.units(np.asarray(values, "float64")[:, None], [average])


def coverage(draw, truth, resamples=400, intervals=bounded_intervals):
    """Share of draws whose interval holds the truth."""
    found = [intervals(draw(), 0.95, resamples, seed)[0] for seed in range(DRAWS)]
    low, high = np.array(found).T
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize(
    ("kind", "truth", "queries"),
    [
        # Fewer come in steps too coarse for two per cent.
        ("hits", 0.7, 100),
        ("hits", 0.95, 300),
        ("middling", 0.6, 50),
        ("middling", 0.6, 300),
        ("mostly ones", 8 / 9, 50),
        ("mostly ones", 8 / 9, 300),
    ],
)
def test_over_queries(kind, truth, queries):
    rng = np.random.default_rng(queries)

    def draw():
        if kind == "hits":
            return units_of(rng.random(queries) < truth)
        if kind == "middling":
            return units_of(rng.beta(3, 2, queries))
        return units_of(rng.beta(4, 0.5, queries))

    assert 0.93 <= coverage(draw, truth) <= 0.97


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("classes", [25, 100])
def test_over_classes(classes, average):
    """Classes differ in how hard and how large they are."""
    rng = np.random.default_rng(classes)

    def draw():
        sizes = rng.integers(2, 12, classes)
        labels = np.repeat(np.arange(classes), sizes)
        chances = rng.beta(4, 1, classes)[labels]
        return units_of(rng.random(len(labels)) < chances, labels, "classes", average)

    assert 0.93 <= coverage(draw, 0.8) <= 0.97


def test_queries_are_the_wrong_unit_where_classes_were_drawn():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 10)

    def draw():
        chances = rng.beta(2, 1, 40)[labels]
        return units_of(rng.random(400) < chances)

    assert coverage(draw, 2 / 3) < 0.8


def drawn_set(rng, classes, rows, noise=0.6, dim=8):
    labels = np.repeat(np.arange(classes), rows)
    spread = noise * np.exp(0.3 * rng.normal(size=(classes, 1)))[labels]
    centers = rng.normal(size=(classes, dim))[labels]
    return centers + spread * rng.normal(size=(len(labels), dim)), labels


METRICS = ["r_precision", "precision_at_1", "mean_average_precision_at_r"]


def test_of_an_evaluation_of_queries_against_keys():
    """Queries of the classes that an index holds: as many of them as come in use."""
    rng = np.random.default_rng(3)
    keys, labels = drawn_set(rng, classes=30, rows=5)
    centers = np.stack([keys[labels == label].mean(axis=0) for label in range(30)])

    def queries(count):
        chosen = rng.integers(0, 30, count)
        return centers[chosen] + 0.8 * rng.normal(size=(count, 8)), chosen

    options = {"key_embeddings": keys, "key_labels": labels, "resamples": 400}
    seeds = range(DRAWS)  # One seed for all would be one error for all.
    truth = evaluate(*queries(100_000), METRICS, **options)
    results = [evaluate(*queries(150), METRICS, seed=i, **options) for i in seeds]
    for name in METRICS:
        intervals = np.array([result.interval(name) for result in results])
        held = (intervals[:, 0] <= truth[name]) & (truth[name] <= intervals[:, 1])
        assert 0.93 <= held.mean() <= 0.97, name


def test_of_an_evaluation_of_a_set_against_itself():
    """New classes in each draw, which stand in each other's way."""
    rng = np.random.default_rng(2)
    options = {"resamples": 400, "distance": "euclidean"}
    sets = [drawn_set(rng, classes=60, rows=4) for _ in range(DRAWS)]
    results = [
        evaluate(*each, METRICS, seed=seed, **options) for seed, each in enumerate(sets)
    ]
    for name in METRICS:
        truth = np.mean([result[name] for result in results])
        intervals = np.array([result.interval(name) for result in results])
        held = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
        assert 0.93 <= held.mean() <= 0.97, (name, held.mean())


@pytest.mark.parametrize("queries", [50, 400])
def test_of_differences(queries):
    """Two models that agree on most queries."""
    rng = np.random.default_rng(queries)

    def draw():
        chance = rng.random(queries)
        return units_of(1.0 * (chance < 0.12) - 1.0 * (chance > 0.92))

    assert 0.93 <= coverage(draw, 0.04, intervals=difference_intervals) <= 0.97


def test_all_right_is_not_certainty():
    low, high = bounded_intervals(units_of(np.ones(50)), 0.95, 400, 0)[0]
    assert 0.92 < low < 0.94 and high == 1
    low, high = bounded_intervals(units_of(np.zeros(50)), 0.95, 400, 0)[0]
    assert low == 0 and 0.06 < high < 0.08
    low, high = difference_intervals(units_of(np.zeros(50)), 0.95, 400, 0)[0]
    assert -0.1 < low < -0.02 and high == pytest.approx(-low)


def test_one_unit_says_nothing():
    one = units_of([0.5])
    assert np.isnan(bounded_intervals(one, 0.95, 400, 0)).all()
    assert np.isnan(difference_intervals(one, 0.95, 400, 0)).all()
    labels = np.zeros(5, int)
    assert np.isnan(
        bounded_intervals(units_of(np.eye(5)[0], labels, "classes"), *ARGS)
    ).all()


ARGS = (0.95, 400, 0)


def test_more_confidence_is_wider_and_the_seed_decides():
    rng = np.random.default_rng(5)
    units = units_of(rng.random(80))
    (low, high), (lower, higher) = (
        bounded_intervals(units, confidence, 2000, 0)[0] for confidence in (0.9, 0.99)
    )
    assert lower < low < high < higher
    again = bounded_intervals(units, 0.9, 2000, 0)[0]
    assert again.tolist() == [low, high]
    assert bounded_intervals(units, 0.9, 2000, 1)[0].tolist() != [low, high]


def test_beyond_many_units_the_limit_is_near_the_bootstrap():
    rng = np.random.default_rng(6)
    values = rng.beta(4, 1, MOST_UNITS)
    drawn = bounded_intervals(units_of(values), 0.95, 1000, 0)[0]
    limit = wilson_intervals(units_of(values), 0.95)[0]
    width = limit[1] - limit[0]
    np.testing.assert_allclose(drawn, limit, atol=0.12 * width)
    more = units_of(np.concatenate([values, values]))
    found = bounded_intervals(more, 0.95, 10, 0)
    np.testing.assert_array_equal(found, wilson_intervals(more, 0.95))


def test_metrics_do_not_touch_each_other():
    """Of several metrics each has its own queries; one lacks some."""
    rng = np.random.default_rng(7)
    values = rng.random((90, 2))
    values[:40, 1] = np.nan
    both = Sampling(None).units(values, ["micro", "micro"])
    alone = Sampling(None).units(values[:, :1], ["micro"])
    assert both.values[1] == pytest.approx(values[40:, 1].mean())
    np.testing.assert_allclose(
        bounded_intervals(both, *ARGS)[0], bounded_intervals(alone, *ARGS)[0]
    )
    low, high = bounded_intervals(both, *ARGS)[1]
    assert low < values[40:, 1].mean() < high
    half = 1.96 * values[40:, 1].std() / np.sqrt(50)
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


def test_standard_errors_are_those_of_a_ratio():
    """Against many draws of classes of different sizes."""
    rng = np.random.default_rng(8)

    def draw():
        w = rng.integers(1, 20, 60).astype(float)
        return Units((w * rng.beta(2, 1, 60))[:, None], w[:, None])

    drawn = [draw() for _ in range(2000)]
    spread = np.std([units.values[0] for units in drawn])
    estimated = np.mean([units.standard_errors[0] for units in drawn])
    assert estimated == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423)],
)
def test_quantiles_of_students_distribution(freedom, expected):
    """From the usual table."""
    assert t_quantile(0.975, freedom) == pytest.approx(expected, rel=2e-3)
    assert t_quantile(0.025, freedom) == pytest.approx(-expected, rel=2e-3)
