"""Sums over features of powers of differences, in `[N, M]` memory."""

from __future__ import annotations

from typing import Any

from keras_similarity.array_ops import NUMPY, Array, Namespace
from keras_similarity.backend import torch_manhattan

# Features compared at once: `[N, M, 8]` is the largest intermediate.
_BLOCK = 8


def sum_of_powers(query: Array, key: Array, ops: Namespace, p: float = 1) -> Array:
    """`sum |q - k| ** p` over the features, `[..., N, M]`.

    Computed in blocks of 8 features, forwards and backwards, so that memory is
    `[N, M]` and not `[N, M, D]`. The slope where two features are equal is 0.

    Args:
        query: Float array `[..., N, D]`.
        key: Float array `[..., M, D]`.
        ops: `keras.ops` or NumPy's namespace.
        p: Exponent, from 1.
    """
    if ops is NUMPY or hasattr(query, "_keras_history"):
        return _in_blocks(query, key, ops, p)
    if p == 1 and hasattr(query, "detach"):
        return torch_manhattan(query, key)
    # Autodiff would keep every block; the gradient needs none of them.
    return _differentiable(ops, p)(query, key)


def _in_blocks(query: Array, key: Array, ops: Namespace, p: float) -> Array:
    total: Array = 0.0
    for start in range(0, query.shape[-1], _BLOCK):
        sizes = ops.abs(_differences(query, key, start))
        total = total + ops.sum(_power(sizes, p), axis=-1)
    return total


def _differences(query: Array, key: Array, start: int) -> Array:
    block = slice(start, start + _BLOCK)
    return query[..., :, None, block] - key[..., None, :, block]  # [..., N, M, block]


def _power(sizes: Array, exponent: float) -> Array:
    return sizes if exponent == 1 else sizes**exponent


def _slopes(differences: Array, ops: Namespace, p: float) -> Array:
    signs = ops.sign(differences)
    if p == 1:
        return signs
    return signs * (p * _power(ops.abs(differences), p - 1))


def _differentiable(ops: Namespace, p: float) -> Any:
    @ops.custom_gradient
    def differentiable(query: Array, key: Array) -> Any:
        def gradient(*args: Array, upstream: Array | None = None) -> Any:
            if upstream is None:  # JAX and TensorFlow pass it by position.
                (upstream,) = args
            query_blocks, key_blocks = [], []
            for start in range(0, query.shape[-1], _BLOCK):
                slopes = _slopes(_differences(query, key, start), ops, p)
                slopes = slopes * ops.expand_dims(upstream, -1)
                query_blocks.append(ops.sum(slopes, axis=-2))
                key_blocks.append(-ops.sum(slopes, axis=-3))
            return (
                ops.concatenate(query_blocks, axis=-1),
                ops.concatenate(key_blocks, axis=-1),
            )

        return _in_blocks(query, key, ops, p), gradient

    return differentiable
