"""Which rows are positives and which negatives of which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.arrays import check_labels
from keras_similarity.backend import keras, ops

Tensor = Any

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Pairs:
    """Positives and negatives of `n` anchors among `M` keys.

    The triplets of an anchor are the product of its two masks, never a list.

    Attributes:
        positive_mask: Bool `[n, M]`: is the key of the anchor's class, and another row?
        negative_mask: Bool `[n, M]`: is the key of another class?
    """

    positive_mask: Tensor
    negative_mask: Tensor


def pairs_from_labels(
    labels: Any, key_labels: Any = None, *, name: str = "labels"
) -> Pairs:
    """Pairs of rows with equal labels, and of rows with different ones.

    Labels are compared as integers, exactly, also int64 ids given as NumPy arrays on
    JAX, which has int32 only.

    Args:
        labels: Integers `[N]` or `[N, 1]`: arrays, lists or tensors.
        key_labels: Integers `[M]` of the keys. `None` compares the rows with each other:
            then a row is never its own pair.
        name: What the caller calls `labels`, for messages.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If their shape is wrong.

    Example:
        >>> import keras_similarity as ksim
        >>> from keras_similarity.backend import ops
        >>> pairs = ksim.pairs.pairs_from_labels([0, 0, 1])
        >>> ops.convert_to_numpy(pairs.positive_mask).tolist()
        [[False, True, False], [True, False, False], [False, False, False]]
    """
    is_self_paired = key_labels is None
    labels, key_labels = _as_comparable(
        labels, labels if is_self_paired else key_labels, name
    )
    is_same_class = labels[:, None] == key_labels[None, :]
    negative_mask = ops.logical_not(is_same_class)
    if not is_self_paired:
        return Pairs(is_same_class, negative_mask)
    row = ops.arange(ops.shape(labels)[0])
    return Pairs(is_same_class & (row[:, None] != row[None, :]), negative_mask)


def _as_comparable(labels: Any, key_labels: Any, name: str) -> tuple[Tensor, Tensor]:
    if not is_host_data(labels, key_labels):
        return (
            _as_label_tensor(labels, name),
            _as_label_tensor(key_labels, "key_labels"),
        )
    labels = check_labels(labels, name=name)
    key_labels = check_labels(key_labels, name="key_labels")
    both = np.concatenate([labels, key_labels])
    if both.size and not (_INT32.min <= both.min() and both.max() <= _INT32.max):
        # Equal stays equal: only the ids change.
        both = np.unique(both, return_inverse=True)[1]
    both = both.astype("int32")
    return (
        ops.convert_to_tensor(both[: len(labels)]),
        ops.convert_to_tensor(both[len(labels) :]),
    )


def _as_label_tensor(labels: Any, name: str) -> Tensor:
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 2 and labels.shape[1] == 1:
        labels = ops.squeeze(labels, axis=1)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if len(labels.shape) != 1:
        raise ValueError(
            f"`{name}` must have the shape [rows]. Received: "
            f"{name}.shape={tuple(labels.shape)}, dtype={dtype}."
        )
    if "int" not in dtype and dtype != "bool":
        raise TypeError(
            f"`{name}` must be integers; as {dtype}, ids above 2**24 would collide. "
            "Received: "
            f"{name}.shape={tuple(labels.shape)}, dtype={dtype}. Cast them to int32."
        )
    return labels
