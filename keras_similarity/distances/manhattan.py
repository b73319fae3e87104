"""Manhattan distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.differences import sum_of_powers


@register("manhattan", "l1", "taxicab")
class ManhattanDistance(Distance):
    """Manhattan distance `sum |q - k|`, in the units of the embeddings.

    Computed in blocks of features, so that memory is `[N, M]` and not `[N, M, D]`. The
    gradient where two features are equal is 0.

    Example:
        >>> from keras_similarity.distances import ManhattanDistance
        >>> ManhattanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[7.0]]
    """

    default_name = "manhattan"
    p = 1

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        return sum_of_powers(query, key, ops)
