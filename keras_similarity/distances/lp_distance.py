"""Distances of the Lp family."""

from __future__ import annotations

from typing import Any

from keras_similarity.array_ops import Array, Namespace, namespace
from keras_similarity.distances.base import as_floats, register
from keras_similarity.distances.base_distance import BaseDistance
from keras_similarity.distances.differences import sum_of_powers
from keras_similarity.distances.powers import largest, raised, raised_in_range
from keras_similarity.distances.squares import euclidean_power, unit_euclidean_power

# What PyTorch adds to each difference, so that a norm's slope is defined at 0.
_PAIRWISE_SHIFT = 1e-6


@register("lp")
class LpDistance(BaseDistance):
    """`(sum |q - k| ** p) ** (power / p)`; by default Euclidean, of unit vectors.

    For `p=2` one matrix product; for other `p` in blocks of features; both in `[N, M]`
    memory. The gradient at distance 0 is 0. With `p=2` rounding hides in float32 what is
    nearer than about 1e-3 times the norm: there the distance is 0.

    Args:
        **kwargs: Those of `BaseDistance` without `is_inverted`: `normalize_embeddings`
            (to p-norm 1; `True`), `p` (2), `power` (1), `collect_stats`, `name`.

    Example:
        >>> from keras_similarity.distances import LpDistance
        >>> LpDistance(power=2)([[2.0, 0.0]], [[5.0, 0.0], [0.0, 1.0]]).tolist()
        [[0.0, 2.0]]
        >>> manhattan = LpDistance(normalize_embeddings=False, p=1)
        >>> manhattan([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[7.0]]
    """

    default_name = "lp"
    takes_any_array = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(is_inverted=False, **kwargs)
        self.is_euclidean = self.p == 2

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        if type(self).compute_mat is not LpDistance.compute_mat:
            return super().matrix(query, key, ops)
        if self.p == 2 and self.normalize_embeddings:
            return unit_euclidean_power(query, key, self.power, ops)
        query, key = self._normalized(query, key, ops)
        return lp_power(query, key, self.p, self.power, ops)

    def compute_mat(self, query: Array, ref: Array) -> Array:
        return lp_power(query, ref, self.p, 1, namespace(query, ref))

    def pairwise_distance(self, query: Array, ref: Array) -> Array:
        """`||q - r + 1e-6||` of each row and the one beside it, as PyTorch defines it.

        Args:
            query: Embeddings `[N, D]`, taken as they are.
            ref: The same.

        Returns:
            Float `[N]`, not raised to `power`. `paired` normalises, raises and adds
            nothing.
        """
        ops = namespace(query, ref)
        shifted = as_floats(query, ops) - as_floats(ref, ops) + _PAIRWISE_SHIFT
        return self.get_norm(shifted)


def lp_power(query: Array, key: Array, p: float, power: float, ops: Namespace) -> Array:
    """`||q - k||_p ** power`: `[..., N, M]` of `[..., N, D]` and `[..., M, D]`."""
    if p == 2:
        return euclidean_power(query, key, power, ops)
    if p == 1:
        return raised_in_range(sum_of_powers(query, key, ops), power, ops)
    # Powers of numbers up to 1 cannot overflow.
    size = largest((query, key), ops)
    sums = sum_of_powers(query / size, key / size, ops, p)
    return raised_in_range(raised(sums, 1 / p, ops) * size, power, ops)
