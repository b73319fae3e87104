import json

import numpy as np
import pytest

from keras_similarity import classification_metrics
from keras_similarity.classification_metrics import (
    BinaryAccuracy,
    ClassificationMetric,
    F1Score,
    FalsePositiveRate,
    NegativePredictiveValue,
    Precision,
    Recall,
    make_classification_metric,
)

pytestmark = pytest.mark.keras_free

CLASSES = [
    BinaryAccuracy,
    F1Score,
    FalsePositiveRate,
    NegativePredictiveValue,
    Precision,
    Recall,
]
# Four thresholds of ten queries, six of them with the right label.
COUNTS = {
    "tp": [0, 1, 3, 6],
    "fp": [0, 0, 2, 4],
    "tn": [4, 4, 2, 0],
    "fn": [6, 5, 3, 0],
    "count": 10,
}


@pytest.mark.parametrize(
    "metric, expected",
    [
        (Precision(), [1, 1, 3 / 5, 6 / 10]),
        (Recall(), [0, 1 / 6, 3 / 6, 1]),
        (F1Score(), [0, 2 / 7, 6 / 11, 12 / 16]),
        (BinaryAccuracy(), [0, 0.1, 0.3, 0.6]),
        (FalsePositiveRate(), [0, 0, 0.5, 1]),
        (NegativePredictiveValue(), [0.4, 4 / 9, 2 / 5, 0]),
    ],
    ids=str,
)
def test_values(metric, expected):
    actual = metric.compute(**COUNTS)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_f1_is_the_harmonic_mean():
    p, r = Precision().compute(**COUNTS), Recall().compute(**COUNTS)
    expected = np.divide(2 * p * r, p + r)
    np.testing.assert_allclose(F1Score().compute(**COUNTS), expected, rtol=1e-12)


@pytest.mark.parametrize("cls", CLASSES)
def test_division_by_zero_gives_zero(cls):
    nothing = {key: [0.0] for key in ("tp", "fp", "tn", "fn")} | {"count": 0}
    assert cls().compute(**nothing).tolist() == [0.0]


def test_precision_is_one_only_where_the_first_of_several_thresholds_matches_nothing():
    none = {"tn": [0] * 3, "fn": [0] * 3, "count": 5}
    assert Precision().compute(tp=[0, 0, 1], fp=[0, 0, 1], **none).tolist() == [1, 0, 0.5]
    assert Precision().compute(tp=[0, 0, 1], fp=[1, 0, 1], **none).tolist() == [0, 0, 0.5]


@pytest.mark.parametrize(
    "alias, cls",
    [
        ("precision", Precision),
        ("recall", Recall),
        ("f1", F1Score),
        ("f1score", F1Score),
        ("f1_score", F1Score),
        ("binary_accuracy", BinaryAccuracy),
        ("fpr", FalsePositiveRate),
        ("false_positive_rate", FalsePositiveRate),
        ("npv", NegativePredictiveValue),
        ("negative_predicitve_value", NegativePredictiveValue),
        ("negative_predictive_value", NegativePredictiveValue),
    ],
)
def test_a_metric_is_named_by_the_alias_used(alias, cls):
    metric = make_classification_metric(alias.upper())
    assert (type(metric), metric.name) == (cls, alias)
    assert make_classification_metric(alias, name="mine").name == "mine"


def test_canonical_names_are_aliases():
    for cls in CLASSES:
        assert type(make_classification_metric(cls().canonical_name)) is cls


def test_an_object_is_itself_unless_renamed():
    metric = Recall()
    assert make_classification_metric(metric) is metric
    renamed = make_classification_metric(metric, name="mine")
    assert (type(renamed), renamed.name, metric.name) == (Recall, "mine", "recall")


def test_unknown_metric():
    with pytest.raises(
        ValueError, match=r"Unknown classification metric: 'recal'.*recall"
    ):
        make_classification_metric("recal")
    with pytest.raises(TypeError, match="classification metric"):
        make_classification_metric(3)


@pytest.mark.parametrize(
    "cls, maximize, increasing",
    [
        (BinaryAccuracy, True, True),
        (F1Score, True, True),
        (FalsePositiveRate, False, True),
        (NegativePredictiveValue, True, True),
        (Precision, True, False),
        (Recall, True, True),
    ],
)
def test_directions(cls, maximize, increasing):
    assert (cls().maximize, cls().increasing) == (maximize, increasing)


@pytest.mark.parametrize("cls", CLASSES)
def test_config_goes_through_json(cls):
    metric = cls(name="mine")
    config = json.loads(json.dumps(classification_metrics.serialize(metric)))
    assert set(config["config"]) == {"name", "canonical_name", "maximize", "increasing"}
    again = classification_metrics.deserialize(config)
    assert type(again) is cls
    assert again.get_config() == metric.get_config()


def test_texts():
    assert str(F1Score("mine")) == "mine"
    assert repr(F1Score("mine")) == "f1_score:mine"


def test_a_users_metric():
    class Errors(ClassificationMetric):
        def __init__(self, name="errors"):
            super().__init__(name, "errors", maximize=False)

        def compute(self, tp, fp, tn, fn, count):
            return np.add(fp, fn)

    assert Errors().compute(**COUNTS).tolist() == [6, 5, 5, 4]
    assert Errors.from_config(Errors("mine").get_config()).name == "mine"
