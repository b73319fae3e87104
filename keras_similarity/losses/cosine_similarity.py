"""Keras' cosine similarity, finite everywhere."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops
from keras_similarity.registry import register_serializable

Tensor = Any

# Keras floors the norm here: shorter vectors are scaled as if they were this long.
_SMALLEST_NORM = 1e-7


@register_serializable
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Negative cosine similarity, as `keras.losses.cosine_similarity` defines it.

    -1 means the same direction, 0 orthogonal, 1 opposite: minimising it makes vectors
    alike. If either side is a zero vector the value is 0, whatever the other side is,
    and so is the gradient, where Keras' is NaN on JAX.

    Args:
        y_true: Floats of any shape.
        y_pred: Floats of the same shape. Half precision and integers are raised to
            float32.
        axis: The axis of the vectors, which the result lacks.

    Returns:
        Floats in [-1, 1].

    Example:
        >>> from keras_similarity.losses import cosine_similarity
        >>> y_true = [[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
        >>> y_pred = [[1.0, 0.0], [1.0, 1.0], [-1.0, -1.0]]
        >>> [round(float(value), 3) for value in cosine_similarity(y_true, y_pred)]
        [-0.0, -1.0, 1.0]
    """
    y_true, y_pred = _as_floats(y_true), _as_floats(y_pred)
    return -ops.sum(_normalize(y_true, axis) * _normalize(y_pred, axis), axis=axis)


def _as_floats(x: Any) -> Tensor:
    x = ops.convert_to_tensor(x)
    # The squares of half-precision numbers leave their range.
    is_wide = keras.backend.standardize_dtype(x.dtype) in ("float32", "float64")
    return x if is_wide else ops.cast(x, "float32")


def _normalize(x: Tensor, axis: int) -> Tensor:
    squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
    # Constant below the floor, so that the slope of sqrt at 0 is never taken.
    is_short = squared < _SMALLEST_NORM**2
    norm = ops.where(
        is_short, _SMALLEST_NORM, ops.sqrt(ops.where(is_short, 1.0, squared))
    )
    return x * ops.where(squared == 0, 0.0, 1.0 / norm)
