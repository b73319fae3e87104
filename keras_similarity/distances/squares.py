"""Powers of Euclidean distances from one matrix product."""

from __future__ import annotations

import numpy as np

from keras_similarity.array_ops import Array, Namespace, dtype_name
from keras_similarity.distances.normalize import (
    among_rows,
    is_eager_torch,
    unit_and_presence,
)
from keras_similarity.distances.powers import raised, raised_in_range

# Squares of lengths from 1e-16 to 1e21 fit into float32. A power of 2 rounds nothing.
_SCALE = 2.0**-10
# What rounding leaves of |q|^2 + |k|^2 - 2 q.k where q = k, in epsilons of the squares.
_NOISE = 8.0


def euclidean_power(query: Array, key: Array, power: float, ops: Namespace) -> Array:
    """`||q - k|| ** power`: `[..., N, M]` of `[..., N, D]` and `[..., M, D]`.

    Unless `power` is 2, a distance that rounding cannot tell from 0 is 0, and so is its
    gradient. A power beyond the dtype is the largest number that it has, with slope 0.
    """
    query, key = query * _SCALE, key * _SCALE
    query_squares = ops.sum(query * query, axis=-1, keepdims=True)  # [N, 1]
    key_squares = ops.sum(key * key, axis=-1, keepdims=True)  # [M, 1]
    squares = query_squares + ops.swapaxes(key_squares, -1, -2)  # [N, M]
    squared = squares + (query * -2.0) @ ops.swapaxes(key, -1, -2)
    # Cancellation can leave a small negative number where q == k.
    if power == 2:
        largest = float(np.finfo(dtype_name(query)).max)
        return ops.clip(squared, 0.0, largest * _SCALE**2) * _SCALE**-2
    distances = raised(ops.relu(squared), 0.5, ops, squares * _noise(query))
    return raised_in_range(distances * (1.0 / _SCALE), power, ops)


def unit_euclidean_power(query: Array, key: Array, power: float, ops: Namespace) -> Array:
    """`euclidean_power` of rows scaled to length 1, zero rows staying zero."""
    is_same = key is query
    is_plain = is_eager_torch(query) and power in (1, 2)
    floor = 2.0 * _noise(query) if power == 1 else None
    if is_same and is_plain:
        return among_rows(query, ops, floor=floor)
    # The square of a unit row is known: 1, or 0 for a zero row.
    query, query_squares = unit_and_presence(query, ops)
    key, key_squares = (query, query_squares) if is_same else unit_and_presence(key, ops)
    if is_plain:
        return ops.unit_euclidean(query, key, query_squares, key_squares, floor)
    if hasattr(query, "detach"):
        squares = query_squares + ops.swapaxes(key_squares, -1, -2)
        squared = (query * -2.0) @ ops.swapaxes(key, -1, -2) + squares
    else:
        # In the matrix product already: XLA on a CPU is slow where columns and rows that
        # are added to it meet a sum over places, as in a histogram.
        queries = (query * -2.0, query_squares, ops.ones_like(query_squares))
        keys = (key, ops.ones_like(key_squares), key_squares)
        squared = ops.concatenate(queries, axis=-1) @ ops.swapaxes(
            ops.concatenate(keys, axis=-1), -1, -2
        )
    squared = ops.relu(squared)
    return raised(squared, power / 2, ops, floor=2.0 * _noise(query))


def _noise(array: Array) -> float:
    return _NOISE * float(np.finfo(dtype_name(array)).eps)


def inner_products(query: Array, key: Array, ops: Namespace) -> Array:
    """`q . k`: `[..., N, M]` of `[..., N, D]` and `[..., M, D]`.

    A product beyond the dtype is the largest number that it has, with slope 0.
    """
    products = (query * _SCALE) @ ops.swapaxes(key * _SCALE, -1, -2)
    limit = float(np.finfo(dtype_name(query)).max) * _SCALE**2
    return ops.clip(products, -limit, limit) * _SCALE**-2
