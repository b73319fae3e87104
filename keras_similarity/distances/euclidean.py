"""Euclidean distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import register
from keras_similarity.distances.squared_euclidean import SquaredEuclideanDistance


@register("euclidean", "l2", "pythagorean")
class EuclideanDistance(SquaredEuclideanDistance):
    """Euclidean distance `||q - k||`, in the units of the embeddings.

    Made from the squared distance, so that two equal unit vectors can come out 1e-3
    apart in float32. The gradient at distance 0 is 0, where the formula's is undefined.

    Example:
        >>> from keras_similarity.distances import EuclideanDistance
        >>> EuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[5.0]]
    """

    default_name = "euclidean"

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        squared = super().matrix(query, key, ops)
        # sqrt has an infinite slope at 0, and `where` differentiates both branches:
        # guard the input too, or 0 * inf makes the gradient NaN.
        is_zero = squared == 0.0
        return ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, squared)))
