"""Squared Euclidean distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register


@register("squared_euclidean", "sql2", "sqeuclidean")
class SquaredEuclideanDistance(Distance):
    """Squared Euclidean distance `||q - k||^2`, in squared units of the embeddings.

    One matrix product and `[N, M]` memory. The price is cancellation: in float32 the
    error is about 1e-7 times the squared norms, also where the distance is 0.

    Example:
        >>> from keras_similarity.distances import SquaredEuclideanDistance
        >>> SquaredEuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[25.0]]
    """

    default_name = "squared_euclidean"

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        query_norms = ops.sum(ops.square(query), axis=-1, keepdims=True)  # [N, 1]
        key_norms = ops.sum(ops.square(key), axis=-1, keepdims=True)  # [M, 1]
        inner = query @ ops.swapaxes(key, -1, -2)  # [N, M]
        squared = query_norms + ops.swapaxes(key_norms, -1, -2) - 2.0 * inner
        # Cancellation can leave a small negative number where q == k.
        return ops.relu(squared)
