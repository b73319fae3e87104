"""Pairs from labels of several levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import ops
from keras_similarity.pairs.pairs import Pairs, comparable_labels
from keras_similarity.pairs.similarity import graded_pairs

Tensor = Any


def pairs_from_hierarchy(
    labels: Any,
    key_labels: Any = None,
    *,
    level_weights: Sequence[float] | None = None,
    threshold: float = 0.0,
    negative_threshold: float | None = None,
    is_weighted: bool = True,
) -> Pairs:
    """Pairs of rows whose labels have levels, as species, genus and family.

    The similarity of two rows is the weight of the finest level at which they agree, 0 if
    at none. They agree at a level if the labels of that level and of all coarser ones
    are equal, so that ids may be counted anew within each parent. By default rows that
    agree at any level are positive and count by its weight; with `threshold=0.5` and
    weights `(1, 0.5)` species are positives, and rows of another species are negatives
    that count half within the genus. `pairs_from_similarity` says what the options make.

    Args:
        labels: Integers `[N, L]`, the finest level first: arrays, lists or tensors.
        key_labels: Integers `[M, L]` of the keys. `None` compares the rows with each
            other: then a row is never its own pair.
        level_weights: Similarity of rows that agree at each level and at no finer one:
            `L` numbers from 0 to 1, none larger than the one before. `None` takes equal
            steps from 1: `(1, 2/3, 1/3)` for three levels.
        threshold: Positives are above it.
        negative_threshold: Negatives are not above it; `threshold` by default.
        is_weighted: Count by similarity? If not, each pair counts once.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If shapes, weights or thresholds do not fit.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.pairs import pairs_from_hierarchy
        >>> species_and_genus = [[0, 0], [0, 0], [1, 0], [2, 1]]
        >>> pairs = pairs_from_hierarchy(species_and_genus)
        >>> ops.convert_to_numpy(pairs.positive_weights[0]).tolist()
        [0.0, 1.0, 0.5, 0.0]
        >>> ops.convert_to_numpy(pairs.negative_mask[0]).tolist()
        [False, False, False, True]
    """
    is_self_paired = key_labels is None
    labels = _as_levels(labels, "labels")
    keys = labels if is_self_paired else _as_levels(key_labels, "key_labels")
    if labels.shape[1] != keys.shape[1]:
        raise ValueError(
            "`labels` and `key_labels` must have as many levels. Received: "
            f"labels.shape={tuple(labels.shape)}, key_labels.shape={tuple(keys.shape)}."
        )
    weights = _checked_weights(level_weights, labels.shape[1])
    return graded_pairs(
        _agreement(labels, keys, weights),
        is_self_paired=is_self_paired,
        threshold=threshold,
        negative_threshold=negative_threshold,
        is_weighted=is_weighted,
    )


def _agreement(labels: Any, keys: Any, weights: list[float]) -> Tensor:
    """Weight `[N, M]` of the finest level at which rows agree."""
    similarity: Any = 0.0
    agree: Any = None
    for level in reversed(range(len(weights))):  # The coarsest first.
        column, key_column = comparable_labels(labels[:, level], keys[:, level])
        is_equal = column[:, None] == key_column[None, :]
        agree = is_equal if agree is None else agree & is_equal
        similarity = ops.where(agree, weights[level], similarity)
    return ops.cast(similarity, "float32")


def _as_levels(labels: Any, name: str) -> Any:
    labels = np.asarray(labels) if is_host_data(labels) else ops.convert_to_tensor(labels)
    if len(labels.shape) != 2 or not labels.shape[1]:
        raise ValueError(
            f"`{name}` must have the shape [rows, levels]. Received: "
            f"{name}.shape={tuple(labels.shape)}."
        )
    return labels


def _checked_weights(weights: Sequence[float] | None, levels: int) -> list[float]:
    if weights is None:
        return [1 - level / levels for level in range(levels)]
    found = [float(weight) for weight in weights]
    is_falling = all(a >= b for a, b in zip([1.0, *found], [*found, 0.0], strict=True))
    if len(found) != levels or not is_falling:
        raise ValueError(
            f"`level_weights` must be a number for each of the {levels} levels, from 0 "
            f"to 1, none larger than the one before. Received: {found}."
        )
    return found
