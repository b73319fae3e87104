"""Which labels a backend can hold: JAX wraps int64 around to int32 without a word."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import framework
from keras_similarity.types import Ints

_INT32 = np.iinfo(np.int32)


def holds_int64() -> bool:
    """Does the backend keep 64-bit integers? JAX does where `jax_enable_x64` is set."""
    if framework() != "jax":
        return True
    import jax

    return bool(jax.config.jax_enable_x64)


def fits_int32(labels: Any) -> bool:
    """Does int32 hold all of these? What is no 64-bit integer counts as fitting."""
    if getattr(labels, "dtype", None) is None or "int64" not in str(labels.dtype):
        return True
    labels = to_numpy(labels)
    return not labels.size or bool(
        _INT32.min <= labels.min() and labels.max() <= _INT32.max
    )


def check_label_range(labels: Any, *, name: str) -> None:
    """Raises a `ValueError` if ids would collide on this backend."""
    if not fits_int32(labels) and not holds_int64():
        raise ValueError(
            f"`{name}` must fit into int32, or ids would collide: JAX has no int64 "
            "unless `jax.config.update('jax_enable_x64', True)` is called first. "
            f"Received: values from {to_numpy(labels).min()} to "
            f"{to_numpy(labels).max()}. Number the classes anew, e.g. with "
            "`np.unique(labels, return_inverse=True)[1]`."
        )


def narrow_labels(labels: Ints) -> Ints:
    """Labels as int32 if all fit, else as int64."""
    return labels.astype("int32" if fits_int32(labels) else "int64", copy=False)


def lasting_labels(labels: Ints) -> Ints:
    """Labels that the backend keeps apart: the same, or else numbers of the classes.

    The numbers are from 0, in the order of the ids.
    """
    if fits_int32(labels) or holds_int64():
        return labels
    return np.unique(labels, return_inverse=True)[1].astype("int32")
