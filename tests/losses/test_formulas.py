"""The losses against loops over rows, in float64."""

import itertools

import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.losses import MultiSimilarityLoss, TripletLoss
from tests.losses.loops import cost_matrix, multi_similarity_by_loops, triplet_by_loops

RNG = np.random.default_rng(3)
EMBEDDINGS = RNG.normal(size=(12, 5)).astype("float32")
LABELS = {
    "three classes": np.arange(12) % 3,
    "some alone": np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 5]),
    "all alone": np.arange(12),
    "one class": np.full(12, 9),
}
DISTANCES = ["cosine", "inner_product", "squared_euclidean", "euclidean", "manhattan"]
over_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
over_distances = pytest.mark.parametrize("distance", DISTANCES)


@over_labels
@over_distances
def test_triplet(distance, labels):
    cost = cost_matrix(EMBEDDINGS, distance)
    for positive, negative, margin in itertools.product(
        ("hard", "easy"), ("hard", "semi-hard", "easy"), (None, 0.7)
    ):
        loss = TripletLoss(distance, positive, negative, margin, reduction="none")
        expected = triplet_by_loops(
            labels, cost, positive=positive, negative=negative, margin=margin
        )
        actual = ops.convert_to_numpy(loss(labels, EMBEDDINGS))
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@over_labels
@over_distances
@pytest.mark.parametrize("epsilon", [0.1, None])
def test_multi_similarity(distance, labels, epsilon):
    options = {"alpha": 2.0, "beta": 3.0, "epsilon": epsilon, "lmda": 0.4, "center": 0.9}
    expected = multi_similarity_by_loops(
        labels, cost_matrix(EMBEDDINGS, distance), **options
    )
    loss = MultiSimilarityLoss(distance, reduction="none", **options)
    actual = ops.convert_to_numpy(loss(labels, EMBEDDINGS))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
