"""What golden cases leave open; the values are theirs."""

import logging

import numpy as np
import pytest

from keras_similarity.evaluators import AccuracyCalculator, evaluate
from keras_similarity.search import LinearSearch

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 8, 60)
X = (RNG.normal(size=(8, 5))[LABELS] + RNG.normal(size=(60, 5))).astype("float32")
RETRIEVAL = (
    "mean_average_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
    "precision_at_1",
    "r_precision",
)


def test_it_is_a_view_of_evaluate():
    calculator = AccuracyCalculator(include=RETRIEVAL, k="max_bin_count")
    expected = dict(evaluate(X, LABELS, RETRIEVAL, distance="euclidean"))
    assert calculator.get_accuracy(X, LABELS) == pytest.approx(expected, rel=1e-12)


def test_all_metrics_are_computed_unless_chosen():
    everything = AccuracyCalculator().get_accuracy(X, LABELS)
    assert list(everything) == ["AMI", "NMI", *RETRIEVAL]
    calculator = AccuracyCalculator(exclude=("AMI", "NMI"))
    assert list(calculator.get_accuracy(X, LABELS)) == list(RETRIEVAL)
    found = calculator.get_accuracy(X, LABELS, include=["mean_reciprocal_rank"])
    expected = everything["mean_reciprocal_rank"]
    assert found == {"mean_reciprocal_rank": pytest.approx(expected, rel=1e-12)}
    found = calculator.get_accuracy(X, LABELS, exclude=("precision_at_1",))
    assert "precision_at_1" not in found and len(found) == 4


def test_large_labels_do_not_collide():
    calculator = AccuracyCalculator(include=("precision_at_1",))
    expected = calculator.get_accuracy(X, LABELS)
    assert calculator.get_accuracy(X, LABELS + 2**24) == expected


def test_distance_and_engine():
    options = {"include": ("r_precision",), "k": "max_bin_count"}
    cosine = AccuracyCalculator(**options, distance="cosine").get_accuracy(X, LABELS)
    assert cosine == dict(evaluate(X, LABELS, ["r_precision"]))
    assert cosine != AccuracyCalculator(**options).get_accuracy(X, LABELS)

    class Forgetful(LinearSearch):
        def _find(self, queries, k, allowed):
            rows, distances = super()._find(queries, k, allowed)
            return np.where(np.arange(rows.shape[1]) < 2, rows, -1), distances

    engine = Forgetful("euclidean", 5)
    calculator = AccuracyCalculator(**options, knn_func=engine)
    less = calculator.get_accuracy(X, LABELS)["r_precision"]
    assert 0 < less < AccuracyCalculator(**options).get_accuracy(X, LABELS)["r_precision"]


def test_classes_without_anything_relevant():
    labels = np.array([3, 3, 1, 9, 9])
    calculator = AccuracyCalculator(include=("precision_at_1",), return_per_class=True)
    x = np.array([[0.0], [0.1], [5.0], [9.0], [9.1]])
    assert calculator.get_accuracy(x, labels) == {"precision_at_1": [1.0, 1.0]}
    nothing = calculator.get_accuracy(x, np.arange(5))
    assert np.isnan(nothing["precision_at_1"]).tolist() == [True] * 5


def test_a_small_k_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        AccuracyCalculator(include=("r_precision",), k=2).get_accuracy(X, LABELS)
    assert "k=2 is less than" in caplog.text
    caplog.clear()
    AccuracyCalculator(include=("precision_at_1",), k=2).get_accuracy(X, LABELS)
    AccuracyCalculator(include=("r_precision",), k=59).get_accuracy(X, LABELS)
    assert not caplog.text


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"include": ("recall",)}, "`include` must hold some of AMI"),
        (TypeError, {"exclude": "AMI"}, "`exclude` must be a tuple or a list"),
        (ValueError, {"avg_of_avgs": True, "return_per_class": True}, "exclude each"),
        (ValueError, {"k": 0}, "`k` must be an integer greater than 0"),
        (ValueError, {"k": "all"}, "`k` must be an integer greater than 0"),
        (NotImplementedError, {"label_comparison_fn": np.equal}, "exclude 'AMI'"),
    ],
)
def test_bad_constructor_arguments(error, arguments, message):
    with pytest.raises(error, match=message):
        AccuracyCalculator(**arguments)


def test_bad_arguments():
    calculator = AccuracyCalculator(include=("precision_at_1",))
    with pytest.raises(ValueError, match="the same length"):
        calculator.get_accuracy(X, LABELS[1:])
    with pytest.raises(ValueError, match="`reference` and `reference_labels` must begin"):
        calculator.get_accuracy(X, LABELS, X[::-1], LABELS[::-1], ref_includes_query=True)
    with pytest.raises(ValueError, match="`reference` must have 5 columns"):
        calculator.get_accuracy(X, LABELS, X[:, 1:], LABELS)
