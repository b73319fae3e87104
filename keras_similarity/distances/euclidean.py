"""Euclidean distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.squares import euclidean_power


@register("euclidean", "l2", "pythagorean")
class EuclideanDistance(Distance):
    """Euclidean distance `||q - k||`, in the units of the embeddings.

    Made from the squared distance, whose rounding hides in float32 what is nearer than
    about 1e-3 times the embeddings' norm: there the distance is 0. The gradient at
    distance 0 is 0, where the formula's is undefined.

    Example:
        >>> from keras_similarity.distances import EuclideanDistance
        >>> EuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[5.0]]
    """

    default_name = "euclidean"
    is_euclidean = True

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        return euclidean_power(query, key, self.power, ops)
