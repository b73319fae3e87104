"""Inner product."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.squares import inner_products


@register("inner_product", "ip")
class InnerProductSimilarity(Distance):
    """Inner product `q . k`: a similarity, larger means closer.

    Losses work on its cost, `-q . k`; a search returns the largest first. A product
    beyond the dtype is the largest number that it has.

    Example:
        >>> from keras_similarity.distances import InnerProductSimilarity
        >>> similarity = InnerProductSimilarity()
        >>> similarity([[1.0, 2.0]], [[3.0, 4.0]]).tolist(), similarity.is_similarity
        ([[11.0]], True)
    """

    is_similarity = True
    default_name = "inner_product"

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        return inner_products(query, key, ops)
