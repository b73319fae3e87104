"""Manhattan distance."""

from __future__ import annotations

from typing import Any

from keras_similarity.array_ops import NUMPY, Array, Namespace
from keras_similarity.distances.base import Distance, register

# Features compared at once: `[N, M, 8]` is the largest intermediate.
_BLOCK = 8


@register("manhattan", "l1", "taxicab")
class ManhattanDistance(Distance):
    """Manhattan distance `sum |q - k|`, in the units of the embeddings.

    Computed in blocks of 8 features, forwards and backwards, so that memory is
    `[N, M]` and not `[N, M, D]`. The gradient where two features are equal is 0.

    Example:
        >>> from keras_similarity.distances import ManhattanDistance
        >>> ManhattanDistance()([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[7.0]]
    """

    default_name = "manhattan"

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        if ops is NUMPY or hasattr(query, "_keras_history"):
            return _sum_of_differences(query, key, ops)
        # Autodiff would keep every block; the gradient needs none of them.
        return _differentiable(ops)(query, key)


def _sum_of_differences(query: Array, key: Array, ops: Namespace) -> Array:
    total: Array = 0.0
    for start in range(0, query.shape[-1], _BLOCK):
        total = total + ops.sum(ops.abs(_differences(query, key, start)), axis=-1)
    return total


def _differences(query: Array, key: Array, start: int) -> Array:
    block = slice(start, start + _BLOCK)
    return query[..., :, None, block] - key[..., None, :, block]  # [..., N, M, block]


def _differentiable(ops: Namespace) -> Any:
    @ops.custom_gradient
    def sum_of_differences(query: Array, key: Array) -> Any:
        def gradient(*args: Array, upstream: Array | None = None) -> Any:
            if upstream is None:  # JAX and TensorFlow pass it by position.
                (upstream,) = args
            query_blocks, key_blocks = [], []
            for start in range(0, query.shape[-1], _BLOCK):
                slope = ops.sign(_differences(query, key, start)) * upstream[..., None]
                query_blocks.append(ops.sum(slope, axis=-2))
                key_blocks.append(-ops.sum(slope, axis=-3))
            return (
                ops.concatenate(query_blocks, axis=-1),
                ops.concatenate(key_blocks, axis=-1),
            )

        return _sum_of_differences(query, key, ops), gradient

    return sum_of_differences
