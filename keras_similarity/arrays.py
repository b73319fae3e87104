"""From any framework's array to a NumPy array that has been checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.types import Floats, Ints

_LABEL_RANGE = np.iinfo(np.int64)


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """NumPy array with the values of a NumPy, torch, JAX or TensorFlow array or a list.

    A torch tensor may need a gradient or live on another device. bfloat16, which NumPy
    lacks, becomes float32.
    """
    if hasattr(array, "detach") and hasattr(array, "cpu"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":
            array = array.float()
    array = np.asarray(array)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def check_embeddings(
    embeddings: Any, *, name: str = "embeddings", dim: int | None = None
) -> Floats:
    """Embeddings as a contiguous float32 array `[N, D]`, or an error that says why not.

    Args:
        embeddings: Array `[N, D]` of any framework, of floats or integers.
        name: The argument's name, as the caller wrote it, for messages.
        dim: The embedding size `D` that is expected, if one is.

    Raises:
        TypeError: If the values are no real numbers.
        ValueError: If the array is not two-dimensional, has another width than `dim`,
            or holds a NaN or an infinity (also one that float32 makes of a float64).
    """
    array = to_numpy(embeddings)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` must hold real numbers. Received: dtype={array.dtype}, "
            f"type={type(embeddings).__name__}."
        )
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have the shape [rows, embedding size]. Received: "
            f"{name}.shape={array.shape}."
        )
    if dim is not None and array.shape[1] != dim:
        raise ValueError(
            f"`{name}` must have {dim} columns, the embedding size. Received: "
            f"{name}.shape={array.shape}."
        )
    with np.errstate(over="ignore"):  # Reported below, by row.
        array = np.ascontiguousarray(array, dtype="float32")
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise ValueError(
            f"`{name}` must be finite in float32. Received: a NaN or an infinity, first "
            f"in row {row}."
        )
    return array


def check_labels(
    labels: Any,
    *,
    name: str = "labels",
    rows: int | None = None,
    allow_floats: bool = True,
) -> Ints:
    """Labels as an int64 array `[N]`, or an error that says why not.

    Args:
        labels: Integers `[N]` or `[N, 1]`.
        name: The argument's name, as the caller wrote it, for messages.
        rows: The number of labels that is expected, if one is.
        allow_floats: Take floats with integer values, too? Ids from 2**24 may have
            collided in them.

    Raises:
        TypeError: If the labels are no integers.
        ValueError: If the shape or the number of labels is wrong.
    """
    array = to_numpy(labels)
    if array.size == 0:
        array = array.astype("int64")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"`{name}` must have the shape [rows]. Received: {name}.shape={array.shape}."
        )
    if rows is not None and len(array) != rows:
        raise ValueError(
            f"`{name}` must hold one label a row, {rows} of them. Received: {len(array)}."
        )
    if array.dtype.kind == "f" and not allow_floats:
        raise TypeError(
            f"`{name}` must be integers; as {array.dtype}, large ids would collide. "
            f"Received: {name}.shape={array.shape}, dtype={array.dtype}. Cast them to "
            "integers before they become floats, e.g. with `astype('int64')`."
        )
    is_whole = array.dtype.kind in "iub" or (
        array.dtype.kind == "f"
        and np.isfinite(array).all()
        and np.array_equal(array, np.round(array))
    )
    if not is_whole:
        raise TypeError(
            f"`{name}` must be integers. Received: dtype={array.dtype}. Map your class "
            "names to integers first, e.g. with `np.unique(names, return_inverse=True)`."
        )
    if array.size and not (
        _LABEL_RANGE.min <= int(array.min()) and int(array.max()) <= _LABEL_RANGE.max
    ):
        raise ValueError(
            f"`{name}` must fit into int64. Received: values from {array.min()} to "
            f"{array.max()}."
        )
    return array.astype("int64")
