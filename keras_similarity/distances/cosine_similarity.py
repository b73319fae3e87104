"""Cosine similarity."""

from __future__ import annotations

from typing import Any

from keras_similarity.distances.base import register
from keras_similarity.distances.dot_product_similarity import DotProductSimilarity


@register("cosine_similarity")
class CosineSimilarity(DotProductSimilarity):
    """`cos(q, k) ** power`, from -1 to 1: a similarity, larger means closer.

    Always normalises. `CosineDistance` is 1 less it, for losses whose formula knows
    distances.

    Args:
        **kwargs: Those of `DotProductSimilarity`: `p` (the norm; 2), `power` (1),
            `collect_stats`, `name`.

    Raises:
        ValueError: If `normalize_embeddings` is given as `False`.

    Example:
        >>> from keras_similarity.distances import CosineSimilarity
        >>> CosineSimilarity()([[2.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]]).tolist()
        [[1.0, 0.0]]
    """

    default_name = "cosine_similarity"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.normalize_embeddings:
            raise ValueError(
                "`CosineSimilarity` always normalises. Received: normalize_embeddings="
                f"{self.normalize_embeddings}. Use `DotProductSimilarity`."
            )
