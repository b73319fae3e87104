"""Norms of rows that stay finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import ops
from keras_similarity.distances.powers import absolute, raised
from keras_similarity.pairs import one_if_zero

Tensor = Any

# So far below the dtype's largest number do values stay: a million of them add up.
_HEADROOM = 2.0**-20


def row_norms(x: Tensor, p: float) -> Tensor:
    """The p-norms `[N]` of rows `[N, D]`; the slope at a zero row is 0."""
    # Powers of numbers up to 1 cannot overflow. What a row is divided by comes back as a
    # factor, so it needs no gradient.
    size = ops.stop_gradient(ops.amax(ops.abs(x), axis=1, keepdims=True))
    size = one_if_zero(size)
    total = ops.sum(absolute(x / size, ops) ** p, axis=1)
    return raised(total, 1 / p, ops) * size[:, 0]


def saturated_power(x: Tensor, power: float) -> Tensor:
    """`x ** power` of `x >= 0`; about the dtype's largest number if it is beyond."""
    if power == 1:
        return x
    return raised(ops.minimum(x, largest_base(x, power)), power, ops)


def largest_base(x: Tensor, power: float) -> float:
    """About the largest number whose power fits into the dtype of `x`."""
    return (float(np.finfo(dtype_name(x)).max) * _HEADROOM) ** (1 / max(power, 1))
