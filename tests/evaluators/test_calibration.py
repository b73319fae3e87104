import numpy as np
import pytest

from keras_similarity.classification_metrics import FalsePositiveRate, Precision, Recall
from keras_similarity.evaluators.calibration import (
    candidate_thresholds,
    cutpoint,
    cutpoint_indices,
    optimal_index,
    target_index,
)

pytestmark = pytest.mark.keras_free


def test_thresholds_are_the_distances_that_occur():
    distances = np.array([[0.3, 0.1], [0.1, np.inf]], "float32")
    expected = np.float32([0.1, 0.3, np.inf])
    assert candidate_thresholds(distances).tolist() == expected.tolist()


def test_the_last_of_equals_is_optimal():
    values = np.array([0.1, 0.7, 0.2, 0.7, 0.1])
    assert optimal_index(values, maximize=True) == 3
    assert optimal_index(values, maximize=False) == 4


@pytest.mark.parametrize(
    "values, target, maximize, increasing, expected",
    [
        ([0.2, 0.5, 0.7, 0.9], 0.5, True, True, 1),  # recall
        ([0.9, 0.7, 0.8, 0.5], 0.8, True, False, 2),  # precision
        ([0.0, 0.1, 0.2, 0.3], 0.2, False, True, 2),  # false positive rate
        ([0.3, 0.2, 0.1, 0.0], 0.2, False, False, 1),  # a miss rate
        ([0.2, 0.5, 0.7, 0.9], 0.95, True, True, None),
        ([0.2, 0.5, 0.7, 0.9], 0.1, False, True, None),
    ],
)
def test_targets(values, target, maximize, increasing, expected):
    actual = target_index(
        np.array(values), target, maximize=maximize, increasing=increasing
    )
    assert actual == expected


def test_values_are_compared_rounded():
    values = np.array([0.5, 0.8 - 1e-9, 0.8, 0.8 - 1e-9])
    targets = {"third": 1 / 3, "most": 0.8}
    rounded = cutpoint_indices(values, targets, Recall(), 6)
    assert rounded == {"optimal": 3, "third": 0, "most": 1}
    exact = cutpoint_indices(values, targets, Recall(), None)
    assert exact == {"optimal": 2, "third": 0, "most": 2}
    third = cutpoint_indices(np.array([1 / 3]), {"third": 1 / 3}, Recall(), 6)
    assert third["third"] == 0


def test_the_metric_says_the_direction():
    values = np.array([0.1, 0.2, 0.3])
    targets = {"target": 0.2}
    assert cutpoint_indices(values, targets, Recall(), 6) == {"optimal": 2, "target": 1}
    precision = cutpoint_indices(values, targets, Precision(), 6)
    assert precision == {"optimal": 2, "target": 2}
    rate = cutpoint_indices(values, targets, FalsePositiveRate(), 6)
    assert rate == {"optimal": 0, "target": 1}


def test_a_cutpoint_is_plain_data():
    columns = {"distance": np.float32([0.1, 0.2]), "value": np.array([0.5, 0.6])}
    point = cutpoint("mine", 1, columns)
    assert point == {"name": "mine", "distance": float(np.float32(0.2)), "value": 0.6}
    assert type(point["distance"]) is float
