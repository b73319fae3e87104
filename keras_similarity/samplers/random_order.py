"""Random orders that are computed place by place, so that nothing is drawn or kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.types import Ints

Keys = npt.NDArray[np.uint64]

_ROUNDS = 6
# Odd numbers without a pattern in their bits: the golden ratio, and 64-bit constants of
# MurmurHash3's finalizer.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xFF51AFD7ED558CCD)
_MULTIPLIER_2 = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)


def make_keys(*parts: Any) -> Keys:
    """Random-looking 64-bit keys of integers, or of integer arrays that broadcast."""
    keys = np.zeros(1, np.uint64)
    for part in parts:
        # Arrays: their arithmetic wraps around silently, that of NumPy scalars warns.
        number = np.atleast_1d(np.asarray(part)).astype(np.uint64)
        keys = _mix((keys + number) * _GOLDEN + _MULTIPLIER_1)
    return keys


def random_order(places: Ints, sizes: Ints, keys: Keys) -> Ints:
    """What stands at `places` of random orders of `0 .. size - 1`, one order a key.

    A Feistel network over a grid of about sqrt(size) rows and columns, which is a
    permutation of the grid whatever it mixes in; a result past the end of the order goes
    through again, until it is inside. Each place costs the same at any size, so that
    the order of a million things costs nothing until one asks for a place.

    Args:
        places: Integers from 0 to `size - 1`, of any shape.
        sizes: The number of things that each place's order has; broadcasts to `places`.
        keys: Names each place's order; broadcasts to `places`.
    """
    shape = places.shape
    size = np.broadcast_to(sizes, shape).astype(np.uint64).ravel()
    key = np.broadcast_to(keys, shape).ravel()
    columns = np.ceil(np.sqrt(size)).astype(np.uint64)
    rows = (size + columns - np.uint64(1)) // columns
    result = places.astype(np.uint64).ravel()
    left = np.arange(result.size)
    while left.size:
        moved = _shuffle_grid(result[left], rows, columns, key)
        result[left] = moved
        is_outside = moved >= size
        left = left[is_outside]
        size, key = size[is_outside], key[is_outside]
        rows, columns = rows[is_outside], columns[is_outside]
    return result.reshape(shape).astype(np.int64)


def _shuffle_grid(cells: Keys, rows: Keys, columns: Keys, key: Keys) -> Keys:
    row, column = np.divmod(cells, columns)
    for _ in range(_ROUNDS // 2):
        key = key + _GOLDEN
        column = (column + _mix(key + row)) % columns
        key = key + _GOLDEN
        row = (row + _mix(key + column)) % rows
    return row * columns + column


def _mix(bits: Keys) -> Keys:
    bits = (bits ^ (bits >> _HALF)) * _MULTIPLIER_1
    bits = (bits ^ (bits >> _HALF)) * _MULTIPLIER_2
    return bits ^ (bits >> _HALF)
