"""Unit vectors that stay finite."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace

# Shorter rows are rounding noise; the slope of their direction leaves float32.
_SMALLEST_LENGTH = 1e-12


def unit(x: Array, ops: Namespace) -> Array:
    """Rows of `x` (last axis) scaled to length 1; a zero row gives 0, its gradient too.

    A row counts as zero when its length is below 1e-12.
    """
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    is_zero = squared < _SMALLEST_LENGTH**2
    # 1 / sqrt(inf) is 0, with slope 0: a zero row is multiplied by a constant 0.
    return x * ops.rsqrt(ops.where(is_zero, float("inf"), squared))
