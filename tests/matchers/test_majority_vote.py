from collections import Counter

import numpy as np
import pytest

from keras_similarity.matchers import MatchMajorityVote
from keras_similarity.matchers.majority_vote import majority_label
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

INF = float("inf")
NAN = float("nan")
NONE = NO_LABEL


def test_labels_are_those_of_a_loop():
    labels = np.random.default_rng(0).integers(0, 4, (200, 6))
    # A Counter lists labels equally frequent in the order in which they came.
    expected = [Counter(row).most_common(1)[0][0] for row in labels.tolist()]
    assert majority_label(labels).tolist() == expected


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([5, 3, 3, 5], 5),
        ([3, 5, 5, 3], 3),
        ([1, 5, 3, 3, 5], 5),
        ([4, NONE, NONE, NONE], 4),
        ([NONE, NONE, 4, 4], 4),
        ([NONE, NONE], NONE),
    ],
)
def test_ties_and_missing_labels(labels, expected):
    assert majority_label(np.array([labels])).tolist() == [expected]


@pytest.mark.parametrize(
    "labels, distances, expected",
    [
        ([1, 2, 2], [1.0, 2.0, 6.0], 3.0),
        ([1, NONE, 1], [1.0, 2.0, 6.0], 3.0),
        ([1, 1, NONE], [1.0, 2.0, INF], INF),
        ([1, 1, NONE], [1.0, 2.0, NAN], INF),
    ],
)
def test_distance_is_the_mean_of_all_neighbours(labels, distances, expected):
    _, derived = MatchMajorityVote().derive_match([labels], [distances])
    assert derived.tolist() == [[expected]]


def test_equal_distances_have_themselves_as_mean():
    value = np.float32(0.1)
    _, derived = MatchMajorityVote().derive_match([[1] * 7], np.full((1, 7), value))
    assert derived[0, 0] == value
