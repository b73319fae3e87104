"""Absolute values and powers with a slope of 0 where theirs is undefined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_similarity.array_ops import NUMPY, Array, Namespace, dtype_name


def absolute(x: Array, ops: Namespace) -> Array:
    """`|x|`, with slope 0 at 0 on every backend (`keras.ops.abs` has 1 on JAX)."""
    return x * ops.sign(x)


def raised(x: Array, exponent: float, ops: Namespace, floor: Array = 0.0) -> Array:
    """`x ** exponent` of `x >= 0`; 0, with slope 0, where `x` is not above `floor`.

    Args:
        x: Float array of any shape. A NaN passes through.
        exponent: Greater than 0. For 1, `x` is returned as it is.
        ops: `keras.ops` or NumPy's namespace.
        floor: At least 0: up to where `x` is rounding noise.
    """
    if exponent == 1:
        return x
    # A root has an infinite slope at 0, and 0 * inf makes the gradient NaN: 1 stands in
    # there, and what comes of it is taken away.
    if hasattr(x, "masked_fill"):  # On torch; `where` and products take longer.
        is_zero = x <= floor
        guarded = x.masked_fill(is_zero, 1.0)
        powered = guarded.sqrt() if exponent == 0.5 else guarded**exponent
        return powered.masked_fill(is_zero, 0.0)
    is_zero = ops.cast(x <= floor, dtype_name(x))
    guarded = x + is_zero
    powered = ops.sqrt(guarded) if exponent == 0.5 else guarded**exponent
    return powered * (1.0 - is_zero)


def raised_in_range(x: Array, exponent: float, ops: Namespace) -> Array:
    """`raised`; beyond the dtype its largest number, to 1 in 1000, with slope 0."""
    if exponent <= 1:
        return raised(x, exponent, ops)
    # A power can round up.
    largest = 0.999 * float(np.finfo(dtype_name(x)).max)
    return raised(ops.clip(x, 0.0, largest ** (1.0 / exponent)), exponent, ops)


def largest(arrays: Sequence[Array], ops: Namespace) -> Array:
    """The largest absolute value of all, a constant to autodiff; 1 if it is 0."""
    # Not `ops.max`, which in Keras 3.15 breaks the graph of `torch.compile`.
    sizes = [ops.amax(ops.abs(array)) for array in arrays if 0 not in array.shape]
    if not sizes:
        return 1.0
    size = ops.amax(ops.stack(sizes))
    return constant(ops.where(size == 0.0, 1.0, size), ops)


def constant(x: Array, ops: Namespace) -> Array:
    """`x`, through which no gradient flows."""
    return x if ops is NUMPY else ops.stop_gradient(x)
