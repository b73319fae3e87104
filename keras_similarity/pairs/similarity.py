"""Pairs by degrees: from how alike two things are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import ops
from keras_similarity.pairs.masked import off_diagonal
from keras_similarity.pairs.pairs import Pairs

Tensor = Any


def pairs_from_similarity(
    similarity: Any | Callable[[Any, Any], Any],
    labels: Any = None,
    key_labels: Any = None,
    *,
    has_keys: bool = False,
    threshold: float = 0.0,
    negative_threshold: float | None = None,
    is_weighted: bool = True,
) -> Pairs:
    """Pairs of things that are more or less alike, each counting by how much.

    With `s` the similarity of two rows, from 0 (nothing in common) to 1 (the same):

    - they are positive where `s > threshold`, and count `s` times;
    - negative where `s <= negative_threshold`, and count `1 - s` times;
    - between the two thresholds they are no pair.

    A loss with one value a pair multiplies it by the weight, one with one value a
    triplet by the weights of its positive and its negative, and a mean is over the sum
    of weights. Losses that only ask which rows are pairs see the masks.

    Args:
        similarity: Floats from 0 to 1: an array or tensor `[n, M]`, or a function
            `similarity(labels, key_labels)` that gives one.
        labels: What the function gets; of any kind.
        key_labels: The same of the keys. `None` compares the rows with each other: then a
            row is never its own pair.
        has_keys: For a matrix: are its columns keys of their own? If not, it must be
            square, and a row is never its own pair.
        threshold: Positives are above it; from 0 and below 1.
        negative_threshold: Negatives are not above it; from 0, at most `threshold`, which
            it is by default.
        is_weighted: Count by `s` and `1 - s`? If not, each pair counts once.

    Returns:
        Pairs `[n, M]`, for the argument `pairs` of a loss or a miner.

    Raises:
        ValueError: If thresholds or shapes do not fit; on the host, if a similarity is
            not from 0 to 1.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.pairs import pairs_from_similarity
        >>> pairs = pairs_from_similarity([[1, 0.75, 0.25], [0.75, 1, 0], [0.25, 0, 1]],
        ...                               threshold=0.5)
        >>> ops.convert_to_numpy(pairs.positive_weights[0]).tolist()
        [0.0, 0.75, 0.0]
        >>> ops.convert_to_numpy(pairs.negative_weights[0]).tolist()
        [0.0, 0.0, 0.75]
    """
    if callable(similarity):
        if labels is None:
            raise ValueError(
                "`labels` must be given with a function: it is called with them. "
                "Received: labels=None."
            )
        has_keys = key_labels is not None
        similarity = similarity(labels, key_labels if has_keys else labels)
    elif labels is not None or key_labels is not None:
        raise ValueError(
            "`labels` are for a function. Received: labels and a matrix of similarities, "
            "which says it all."
        )
    return graded_pairs(
        _as_similarity(similarity, has_keys),
        is_self_paired=not has_keys,
        threshold=threshold,
        negative_threshold=negative_threshold,
        is_weighted=is_weighted,
    )


def graded_pairs(
    similarity: Tensor,
    *,
    is_self_paired: bool,
    threshold: float,
    negative_threshold: float | None,
    is_weighted: bool,
) -> Pairs:
    """`pairs_from_similarity` of a float32 tensor `[n, M]` of numbers from 0 to 1."""
    if negative_threshold is None:
        negative_threshold = threshold
    if not 0 <= negative_threshold <= threshold < 1:
        raise ValueError(
            "`threshold` must be from 0 and below 1, and `negative_threshold` from 0 to "
            f"`threshold`. Received: threshold={threshold}, "
            f"negative_threshold={negative_threshold}."
        )
    positive_mask = similarity > threshold
    negative_mask = similarity <= negative_threshold
    if is_self_paired:
        positive_mask = off_diagonal(positive_mask)
        negative_mask = off_diagonal(negative_mask)
    if not is_weighted:
        return Pairs(positive_mask, negative_mask)
    return Pairs(
        positive_mask,
        negative_mask,
        similarity * ops.cast(positive_mask, "float32"),
        (1.0 - similarity) * ops.cast(negative_mask, "float32"),
    )


def _as_similarity(similarity: Any, has_keys: bool) -> Tensor:
    if is_host_data(similarity):
        similarity = np.asarray(similarity, "float32")
        if similarity.size and not (similarity.min() >= 0 and similarity.max() <= 1):
            raise ValueError(
                "`similarity` must be from 0 to 1. Received: values from "
                f"{similarity.min()} to {similarity.max()}."
            )
    similarity = ops.cast(ops.convert_to_tensor(similarity), "float32")
    shape = tuple(similarity.shape)
    is_square = len(shape) == 2 and (None in shape or shape[0] == shape[1])
    if len(shape) != 2 or not (has_keys or is_square):
        raise ValueError(
            "`similarity` must have the shape [anchors, keys], as many of one as of the "
            f"other unless `has_keys`. Received: {shape}, has_keys={has_keys}."
        )
    return similarity
