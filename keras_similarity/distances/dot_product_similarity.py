"""Inner product of vectors, normalised unless told not to."""

from __future__ import annotations

from typing import Any

from keras_similarity.array_ops import Array, Namespace, namespace
from keras_similarity.distances.base import as_floats, register
from keras_similarity.distances.base_distance import BaseDistance
from keras_similarity.distances.normalize import cosines
from keras_similarity.distances.squares import inner_products


@register("dot_product")
class DotProductSimilarity(BaseDistance):
    """`(q . k) ** power`: a similarity, larger means closer.

    Normalises by default, which makes it the cosine similarity; with
    `normalize_embeddings=False` it is `InnerProductSimilarity`.

    Args:
        **kwargs: Those of `BaseDistance` without `is_inverted`: `normalize_embeddings`
            (to p-norm 1; `True`), `p` (2), `power` (1), `collect_stats`, `name`.

    Raises:
        ValueError: If `power` is not a whole number: products can be negative.

    Example:
        >>> from keras_similarity.distances import DotProductSimilarity
        >>> similarity = DotProductSimilarity(normalize_embeddings=False)
        >>> similarity([[1.0, 2.0]], [[3.0, 4.0]]).tolist(), similarity.is_similarity
        ([[11.0]], True)
    """

    default_name = "dot_product"
    takes_any_array = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(is_inverted=True, **kwargs)
        if self.power != int(self.power):
            raise ValueError(
                "`power` of a similarity must be a whole number, since a product can be "
                f"negative. Received: power={self.power}."
            )
        is_cosine = self.normalize_embeddings and self.p == 2 and self.power == 1
        self.cosine_offset = 0.0 if is_cosine else None

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        is_own = type(self).compute_mat is DotProductSimilarity.compute_mat
        if not (is_own and self.normalize_embeddings and self.p == 2):
            return super().matrix(query, key, ops)
        found = cosines(query, key, ops)
        return found if self.power == 1 else found**self.power

    def compute_mat(self, query: Array, ref: Array) -> Array:
        ops = namespace(query, ref)
        if self.normalize_embeddings:
            return query @ ops.swapaxes(ref, -1, -2)
        return inner_products(query, ref, ops)

    def pairwise_distance(self, query: Array, ref: Array) -> Array:
        """`q . r` of each row and the one beside it `[N]`, as they are."""
        ops = namespace(query, ref)
        return ops.sum(as_floats(query, ops) * as_floats(ref, ops), axis=-1)
