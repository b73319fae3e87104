"""Pairs from several labels a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import full_precision, ops
from keras_similarity.pairs.pairs import Pairs
from keras_similarity.pairs.similarity import graded_pairs

Tensor = Any


def pairs_from_multi_hot(
    labels: Any,
    key_labels: Any = None,
    *,
    threshold: float = 0.0,
    negative_threshold: float | None = None,
    is_weighted: bool = True,
) -> Pairs:
    """Pairs of rows that have several labels each, by how much these overlap.

    The similarity of two rows is the number of labels that both have over the number
    that either has (Jaccard's); 0 if one of them has none. By default rows that share a
    label are positive and count by it, and rows that share none are negative and count
    once; `pairs_from_similarity` says what the options make of it.

    Args:
        labels: `[N, C]`, 1 or true where the row has the label, else 0: arrays, lists or
            tensors.
        key_labels: `[M, C]` of the keys. `None` compares the rows with each other: then a
            row is never its own pair.
        threshold: Positives are above it.
        negative_threshold: Negatives are not above it; `threshold` by default.
        is_weighted: Count by similarity? If not, each pair counts once.

    Raises:
        ValueError: If shapes or thresholds do not fit; on the host, if a number is
            neither 0 nor 1.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.pairs import pairs_from_multi_hot
        >>> pairs = pairs_from_multi_hot([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
        >>> ops.convert_to_numpy(pairs.positive_weights[0]).tolist()
        [0.0, 0.5, 0.0]
        >>> ops.convert_to_numpy(pairs.negative_mask[0]).tolist()
        [False, False, True]
    """
    labels = _as_multi_hot(labels, "labels")
    is_self_paired = key_labels is None
    keys = labels if is_self_paired else _as_multi_hot(key_labels, "key_labels")
    if None not in (labels.shape[1], keys.shape[1]) and labels.shape[1] != keys.shape[1]:
        raise ValueError(
            "`labels` and `key_labels` must have a column for each class. Received: "
            f"labels.shape={tuple(labels.shape)}, key_labels.shape={tuple(keys.shape)}."
        )
    return graded_pairs(
        jaccard(labels, keys),
        is_self_paired=is_self_paired,
        threshold=threshold,
        negative_threshold=negative_threshold,
        is_weighted=is_weighted,
    )


def jaccard(labels: Tensor, keys: Tensor) -> Tensor:
    """Shared labels over labels of either, `[N, M]`, of floats `[N, C]` and `[M, C]`."""
    with full_precision(labels):  # In bfloat16 counts above 256 are rounded.
        shared = labels @ ops.transpose(keys)
    either = ops.sum(labels, axis=1)[:, None] + ops.sum(keys, axis=1)[None, :] - shared
    return ops.divide_no_nan(shared, either)


def _as_multi_hot(labels: Any, name: str) -> Tensor:
    if is_host_data(labels):
        labels = np.asarray(labels)
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(
                f"`{name}` must be 1 where a row has a label, else 0. Received: values "
                f"from {labels.min()} to {labels.max()}. `pairs_from_labels` takes ids."
            )
    labels = ops.cast(ops.convert_to_tensor(labels), "float32")
    if len(labels.shape) != 2:
        raise ValueError(
            f"`{name}` must have the shape [rows, classes]. Received: "
            f"{name}.shape={tuple(labels.shape)}."
        )
    return labels
