"""In how many triplets, of those out of order, each pair is.

A sum of `positive - negative` over the triplets where it is above 0 is linear in both,
and these counts are its slopes. Where an anchor has few positives they are counted one
after the other; where it has many, from sorted negatives: both in `[n, M]` memory.
"""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops, search_rows, sort_rows, static_value, sums_up_to
from keras_similarity.pairs.pairs import Pairs
from keras_similarity.pairs.positives import fold_positives

Tensor = Any
Counts = tuple[Tensor, Tensor]

# Up to so many positives of an anchor it is faster to count them one by one.
_FEW = 32


def count_triplets(positive: Tensor, negative: Tensor, pairs: Pairs) -> Counts:
    """How many triplets with `positive > negative` each pair of an anchor is in.

    Exact for any number of positives, which may be known at run time only; without a
    gradient.

    Args:
        positive: Floats `[n, M]`: value of each pair as a positive.
        negative: Floats `[n, M]`: value of each pair as a negative.
        pairs: Pairs `[n, M]`, of which the masks count.

    Returns:
        Floats `[n, M]` of the positives, and of the negatives; 0 for what is none.
    """
    masks = pairs.positive_mask, pairs.negative_mask
    # What is no negative lies beyond all positives.
    beyond = ops.where(masks[1], ops.stop_gradient(negative), float("inf"))
    given = ops.stop_gradient(positive), beyond, *masks
    # Ranks need pairs that are not both; those are nobody's labels.
    numbers = ops.sum(ops.cast(masks[0], "int32"), axis=1)
    is_few = (ops.amax(numbers) <= _FEW) | ops.any(masks[0] & masks[1])
    known = static_value(is_few)
    if known is not None:
        return _one_by_one(*given) if known else _by_rank(*given)
    counts = ops.cond(is_few, lambda: _one_by_one(*given), lambda: _by_rank(*given))
    return ops.stop_gradient(counts[0]), ops.stop_gradient(counts[1])


def _one_by_one(
    positive: Tensor, beyond: Tensor, positive_mask: Tensor, negative_mask: Tensor
) -> Counts:
    column = ops.arange(ops.shape(positive)[1], dtype="int32")

    def add(state: Counts, columns: Tensor, is_positive: Tensor) -> Counts:
        of_positives, of_negatives = state
        values = ops.take_along_axis(positive, columns, axis=1)
        values = ops.where(is_positive, values, -float("inf"))
        for slot in range(columns.shape[1]):
            this = slice(slot, slot + 1)
            is_above = ops.cast(values[:, this] > beyond, beyond.dtype)
            is_column = ops.cast(columns[:, this] == column, beyond.dtype)
            number = ops.sum(is_above, axis=1, keepdims=True)
            of_positives = of_positives + is_column * number
            of_negatives = of_negatives + is_above
        return of_positives, of_negatives

    nothing = ops.zeros_like(beyond)
    return fold_positives(add, (nothing, nothing), positive_mask)


def _by_rank(
    positive: Tensor, beyond: Tensor, positive_mask: Tensor, negative_mask: Tensor
) -> Counts:
    values = ops.where(positive_mask, positive, beyond)
    rank = search_rows(sort_rows(beyond), values, side="left")  # Negatives below each.
    # How many positives have `r` negatives below them, for each r from 0 to M.
    rows, keys = ops.shape(positive)
    row = ops.arange(rows, dtype="int32")[:, None]
    is_positive = ops.cast(positive_mask, beyond.dtype)
    numbers = ops.segment_sum(
        ops.reshape(is_positive, (-1,)),
        ops.reshape(row * (keys + 1) + rank, (-1,)),
        num_segments=rows * (keys + 1),
    )
    numbers = ops.reshape(numbers, (rows, keys + 1))
    more = ops.sum(numbers, axis=1, keepdims=True) - sums_up_to(numbers)
    # A positive is above a negative if it has more negatives below it.
    of_negatives = ops.take_along_axis(more, rank, axis=1)
    return (
        ops.cast(rank, beyond.dtype) * is_positive,
        of_negatives * ops.cast(negative_mask, beyond.dtype),
    )
