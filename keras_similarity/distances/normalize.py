"""Unit vectors that stay finite."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace


def unit(x: Array, ops: Namespace) -> Array:
    """Rows of `x` (last axis) scaled to length 1; a zero row stays 0, its gradient too.

    In float32 a row counts as zero when its length is below 1e-22.
    """
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # 1 / sqrt(inf) is 0, with slope 0: a zero row is multiplied by a constant 0.
    return x * ops.rsqrt(ops.where(squared == 0, float("inf"), squared))
