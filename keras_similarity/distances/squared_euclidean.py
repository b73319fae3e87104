"""Squared Euclidean distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.squares import euclidean_power


@register("squared_euclidean", "sql2", "sqeuclidean")
class SquaredEuclideanDistance(Distance):
    """Squared Euclidean distance `||q - k||^2`, in squared units of the embeddings.

    One matrix product and `[N, M]` memory. The price is cancellation: in float32 the
    error is about 1e-7 times the squared norms, also where the distance is 0. A square
    beyond float32 is its largest number, with gradient 0.

    Example:
        >>> from keras_similarity.distances import SquaredEuclideanDistance
        >>> SquaredEuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[25.0]]
    """

    default_name = "squared_euclidean"
    is_euclidean = True
    power = 2

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        return euclidean_power(query, key, self.power, ops)
