"""Extrema and sums over the entries of a row that a mask allows."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops

Tensor = Any


def masked_max(values: Tensor, mask: Tensor) -> Tensor:
    """Largest allowed value of each row, `[n, 1]`; -inf where none is allowed."""
    # Not `ops.max`, which in Keras 3.15 breaks the graph of `torch.compile`.
    return ops.amax(ops.where(mask, values, -float("inf")), axis=1, keepdims=True)


def masked_min(values: Tensor, mask: Tensor) -> Tensor:
    """Smallest allowed value of each row, `[n, 1]`; inf where none is allowed."""
    return ops.amin(ops.where(mask, values, float("inf")), axis=1, keepdims=True)


def masked_log1p_sum_exp(values: Tensor, mask: Tensor) -> Tensor:
    """`log(1 + sum exp(value))` over the allowed values of each row, `[n, 1]`.

    Neither large nor small values overflow; 0 where none is allowed.
    """
    largest = ops.stop_gradient(ops.relu(masked_max(values, mask)))  # The 1 is exp(0).
    terms = ops.exp(ops.where(mask, values - largest, -float("inf")))
    return largest + ops.log(ops.exp(-largest) + ops.sum(terms, axis=1, keepdims=True))


def has_any(mask: Tensor) -> Tensor:
    """Does the row allow anything? Bool `[n, 1]`."""
    return ops.any(mask, axis=1, keepdims=True)
