"""Cosine distance."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.normalize import cosines


@register("cosine")
class CosineDistance(Distance):
    """Cosine distance `1 - cos(q, k)`, from 0 (same direction) to 2 (opposite).

    Normalises its inputs, always, so that training and searching agree whatever the
    network's last layer is. A zero vector is at distance 1 from everything.

    Example:
        >>> from keras_similarity.distances import CosineDistance
        >>> CosineDistance()([[2.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]).tolist()
        [[0.0, 1.0]]
    """

    default_name = "cosine"
    normalize_embeddings = True
    cosine_offset = 1.0

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        # Rounding can leave a cosine a little above 1.
        return ops.relu(1.0 - cosines(query, key, ops))
