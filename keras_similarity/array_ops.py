"""The array namespace that a formula is written over: `keras.ops`, or NumPy.

A distance's formula is used on tensors in training and on arrays in an index.
For matrix products and arithmetic use operators (`@`, `*`), which keep float64 on every
backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.backend import keras_ops, keras_problem


class _NumPy:
    """NumPy under the names of `keras.ops`; what both call alike is NumPy's own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def cast(x: Any, dtype: str) -> Any:
        return np.asarray(x).astype(dtype)

    @staticmethod
    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    @staticmethod
    def rsqrt(x: Any) -> Any:
        return 1.0 / np.sqrt(x)


NUMPY = _NumPy()
# Looked up once: an import within a traced function would break torch's graph.
_KERAS_OPS = None if keras_problem() else keras_ops()

# A module or `NUMPY`: both are duck-typed.
Namespace = Any
Array = Any


def is_host_data(*arrays: Any) -> bool:
    """Are all of these NumPy arrays, numbers or (nested) lists of numbers?"""
    return all(
        isinstance(array, (np.ndarray, np.generic, int, float))
        or (isinstance(array, (list, tuple)) and is_host_data(*array[:1]))
        for array in arrays
    )


def namespace(*arrays: Any) -> Namespace:
    """NumPy where all `arrays` are the host's; else `keras.ops`."""
    if is_host_data(*arrays):
        return NUMPY
    return _KERAS_OPS or keras_ops("A tensor")


def dtype_name(array: Array) -> str:
    """The array's dtype as Keras and NumPy write it, e.g. `"float32"`."""
    dtype = array.dtype
    # torch has no `name` and prints "torch.float32"; Keras' own dtypes are strings.
    return str(getattr(dtype, "name", dtype)).rpartition(".")[-1]
