"""Pairs from lists of indices, as PyTorch Metric Learning has them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import ops
from keras_similarity.distances.stats import is_concrete
from keras_similarity.pairs.pairs import Pairs, pairs_from_triplets
from keras_similarity.pairs.positives import fold_positives
from keras_similarity.pairs.triplets import TripletRule, Triplets

Tensor = Any
Columns = tuple[npt.NDArray[np.int64], ...]
Floats = npt.NDArray[np.float32]


def pairs_from_indices(indices: Sequence[Any], shape: tuple[int, int]) -> Pairs:
    """Pairs `[n, M]` of lists of indices.

    Args:
        indices: Three columns, `(anchors, positives, negatives)` of triplets `[T]`, or
            four, `(anchors, positives)` of positive pairs and `(anchors, negatives)` of
            negative ones. Positives and negatives are rows of the keys. What comes
            twice counts twice.
        shape: Numbers `(n, M)` of anchors and keys.

    Raises:
        ValueError: If there are neither three nor four columns, or an index is out of
            range.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.pairs import pairs_from_indices
        >>> pairs = pairs_from_indices(([0], [1], [0], [2]), (3, 3))
        >>> ops.convert_to_numpy(pairs.positive_mask[0]).tolist()
        [False, True, False]
    """
    if len(indices) not in (3, 4):
        raise ValueError(
            "`indices` must be three columns (triplets) or four (positive and negative "
            f"pairs). Received: {len(indices)}."
        )
    columns = [np.asarray(ops.convert_to_numpy(column)).ravel() for column in indices]
    limits = [shape[0], shape[1], *(shape[:1] if len(columns) == 4 else ()), shape[1]]
    for column, limit in zip(columns, limits, strict=True):
        if column.size and not 0 <= column.min() <= column.max() < limit:
            raise ValueError(
                f"`indices` must be rows of {shape[0]} anchors and {shape[1]} keys. "
                f"Received: values from {column.min()} to {column.max()}."
            )
    order = _places(columns[0], columns[1], shape)
    if len(columns) == 3:
        tensors = [ops.convert_to_tensor(column.astype("int32")) for column in columns]
        pairs = pairs_from_triplets(Triplets(*tensors), shape)
        return replace(pairs, positive_order=order)
    counts = []
    for anchors, keys in (columns[:2], columns[2:]):
        count = np.zeros(shape, "float32")
        np.add.at(count, (anchors.astype("int64"), keys.astype("int64")), 1)
        counts.append(ops.convert_to_tensor(count))
    positive, negative = counts
    return Pairs(positive > 0, negative > 0, positive, negative, positive_order=order)


def _places(anchors: Any, positives: Any, shape: tuple[int, int]) -> Tensor:
    """Integers `[n, M]`: where each pair first comes in a list; its length if nowhere."""
    places = np.full(shape, len(anchors), "int32")
    rows = (anchors.astype("int64"), positives.astype("int64"))
    np.minimum.at(places, rows, np.arange(len(anchors), dtype="int32"))
    return ops.convert_to_tensor(places)


def triplet_indices(pairs: Pairs) -> Columns:
    """Triplets as columns `(anchors, positives, negatives)`, in the order of rows.

    A list on the host, of as many triplets as there are: for looking at, and for tests.
    One that counts `c` times comes `c` times, rounded.
    """
    columns, counts = _triplets_and_counts(pairs)
    return repeated(columns, np.rint(counts))[0]


def counted_triplets(pairs: Pairs) -> tuple[Columns, Floats | None]:
    """The columns of `triplet_indices`, and the weights of triplets if not whole.

    If some triplet counts by a fraction, each comes once and has a weight `[T]`.
    """
    return repeated(*_triplets_and_counts(pairs))


def pair_indices(pairs: Pairs) -> Columns:
    """Pairs as columns `(anchors, positives, anchors, negatives)`, in the order of rows.

    A list on the host. A pair that counts `c` times comes `c` times, rounded.
    """
    found: list[npt.NDArray[np.int64]] = []
    for tensor in (pairs.positive_counts, pairs.negative_counts):
        counts = np.rint(counts_on_host(tensor))
        rows = np.nonzero(counts)
        found += repeated(rows, counts[rows])[0]
    return tuple(found)


def counts_on_host(counts: Tensor) -> Floats:
    """Counts as an array; a `TypeError` while they are traced and have no values."""
    if not is_concrete(counts):
        raise TypeError(
            "Pairs cannot be listed under jit, where their number is not known. "
            f"Received: traced counts of shape {tuple(counts.shape)}. List them outside."
        )
    return np.asarray(ops.convert_to_numpy(counts))


def repeated(columns: Columns, counts: Floats) -> tuple[Columns, Floats | None]:
    """Columns in which an entry comes as often as it counts.

    If some entry counts by a fraction, the columns as they are, and the counts.
    """
    whole = np.rint(counts)
    if (whole != counts).any():
        return columns, counts
    times = whole.astype("int64")
    return tuple(np.repeat(column, times).astype("int64") for column in columns), None


def _triplets_and_counts(pairs: Pairs) -> tuple[Columns, Floats]:
    """Each triplet once, in the order of rows, and how often it counts."""
    if isinstance(pairs.triplets, Triplets):
        listed = pairs.triplets
        counts = counts_on_host(listed.counts)
        columns = tuple(
            ops.convert_to_numpy(column)[counts != 0].astype("int64")
            for column in (listed.anchors, listed.positives, listed.negatives)
        )
        counts = counts[counts != 0]
    else:
        columns, counts = _product_and_counts(pairs)
    order = np.lexsort(columns[::-1])
    return tuple(column[order] for column in columns), counts[order]


def _product_and_counts(pairs: Pairs) -> tuple[Columns, Floats]:
    """The triplets that the masks make, where the rule allows them, and their counts."""
    rule = pairs.triplets
    positive = counts_on_host(pairs.positive_counts)
    negative = counts_on_host(pairs.negative_counts)
    if rule is not None:  # The weights are its projections, not those of the pairs.
        positive, negative = np.sign(positive), np.sign(negative)
    found: list[npt.NDArray[np.int64]] = [np.zeros((3, 0), "int64")]
    counted: list[Floats] = [np.zeros(0, "float32")]

    def collect(state: Any, columns: Tensor, is_positive: Tensor) -> Any:
        column = ops.convert_to_numpy(columns)
        counts = np.take_along_axis(positive, column, axis=1)
        counts = counts * ops.convert_to_numpy(is_positive)
        counts = counts[:, :, None] * negative[:, None, :]
        if isinstance(rule, TripletRule):
            counts = counts * ops.convert_to_numpy(rule.select(columns, *rule.tensors))
        anchor, slot, key = np.nonzero(counts)
        found.append(np.stack([anchor, column[anchor, slot], key]))
        counted.append(counts[anchor, slot, key])
        return state

    fold_positives(collect, (), pairs.positive_mask)
    return tuple(np.concatenate(found, axis=1)), np.concatenate(counted)
