"""How many triplets have a gap beyond each edge, and the sums of their gaps.

From each anchor's sorted negatives: how many of them are far enough from a positive, and
their sum, are found by search, so that no triplet is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_similarity.backend import ops, search_rows, sort_rows, sums_up_to
from keras_similarity.pairs import (
    fold_positives,
    one_if_zero,
    put_keys,
    running_counts,
    take_keys,
)

Tensor = Any


class _Anchors(NamedTuple):
    """What the sums are made of.

    Attributes:
        cost: Floats `[n, M]`.
        ranked: Floats `[n, M]`: the costs of the negatives, ascending, then infinities.
        number: Integers `[n, 1]`: how many negatives there are.
        edges: Floats `[E]`.
        positives: Integers `[n, M]`, by `running_counts`.
    """

    cost: Tensor
    ranked: Tensor
    number: Tensor
    edges: Tensor
    positives: Tensor


def gap_sums(
    cost: Tensor, positive_mask: Tensor, negative_mask: Tensor, edges: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Number and sum of the gaps `c_ap - c_an` that are at least as large as each edge.

    For JAX, whose compiler fuses its steps; in `[n, M]` memory. The sums have a slope,
    the numbers none.

    Args:
        cost: Floats `[n, M]`.
        positive_mask: Bool `[n, M]`.
        negative_mask: Bool `[n, M]`.
        edges: `E` numbers; `-inf` for all gaps.

    Returns:
        Floats `[E]` and `[E]`.
    """

    # All is handed in: what JAX traces must not be found in a closure when the gradient
    # is taken of a compiled function.
    @ops.custom_gradient
    def summed(cost: Tensor, positive_mask: Tensor, negative_mask: Tensor) -> Any:
        anchors = _Anchors(
            cost,
            sort_rows(ops.where(negative_mask, cost, float("inf"))),
            ops.sum(ops.cast(negative_mask, "int32"), axis=1, keepdims=True),
            ops.convert_to_tensor(edges, dtype=cost.dtype),
            running_counts(positive_mask),
        )

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Any:
            if upstream is None:  # JAX and TensorFlow pass it by position.
                (upstream,) = args
            slopes = _slopes(upstream[1], anchors, positive_mask, negative_mask)
            return slopes, None, None

        return _sums(anchors, positive_mask), gradient

    found = summed(cost, positive_mask, negative_mask)
    return ops.stop_gradient(found[0]), found[1]


def _sums(anchors: _Anchors, positive_mask: Tensor) -> Tensor:
    """Numbers and sums `[2, E]`."""
    cost, ranked, number, edges, positives = anchors
    column = ops.arange(ops.shape(ranked)[1], dtype="int32")
    is_there = column < number
    # Of differences from a value among them, of which little is lost in a long sum.
    ranked = ops.where(is_there, ranked, 0.0)
    middle = ops.sum(ranked, axis=1, keepdims=True)
    middle = middle / one_if_zero(ops.cast(number, cost.dtype))
    sums = sums_up_to(ops.where(is_there, ranked - middle, 0.0))
    sums = ops.concatenate([ops.zeros_like(middle), sums], axis=1)  # [n, M + 1]

    def add(total: Any, columns: Tensor, is_positive: Tensor) -> Any:
        rank = _ranks(anchors, columns)
        of_negatives = _by_edge(take_keys(sums, rank), edges)
        counts = _by_edge(ops.cast(rank, cost.dtype), edges)  # [n, k, E]
        gaps = (take_keys(cost, columns) - middle)[:, :, None] * counts - of_negatives
        each = ops.cast(is_positive, cost.dtype)[:, :, None]
        found = [ops.sum(part * each, axis=(0, 1)) for part in (counts, gaps)]
        return (total[0] + ops.stack(found),)

    zero = ops.stack([ops.zeros_like(edges)] * 2)
    return fold_positives(add, (zero,), positive_mask, positives)[0]


def _slopes(
    upstream: Tensor, anchors: _Anchors, positive_mask: Tensor, negative_mask: Tensor
) -> Tensor:
    """Slopes `[n, M]` of the costs, from those `[E]` of the sums."""
    cost, edges = anchors.cost, anchors.edges
    count = edges.shape[0]

    def add(state: Any, columns: Tensor, is_positive: Tensor) -> Any:
        of_positives, of_negatives = state
        slots = columns.shape[1]
        rank = ops.cast(_ranks(anchors, columns), cost.dtype)
        each = ops.cast(is_positive, cost.dtype)[:, :, None] * upstream  # [n, k, E]
        found = ops.sum(each * _by_edge(rank, edges), axis=2)
        each, bounds = ops.reshape(each, (-1, slots * count)), _bounds(anchors, columns)
        # One after the other, which XLA fuses: the other way round would be as a sum.
        for slot in range(slots * count):
            this = slice(slot, slot + 1)
            is_beyond = ops.cast(cost <= bounds[:, this], cost.dtype)
            of_negatives = of_negatives + is_beyond * each[:, this]
        return of_positives + put_keys(found, columns, ops.shape(cost)), of_negatives

    nothing = ops.zeros_like(cost)
    of_positives, of_negatives = fold_positives(
        add, (nothing, nothing), positive_mask, anchors.positives
    )
    return of_positives - of_negatives * ops.cast(negative_mask, cost.dtype)


def _bounds(anchors: _Anchors, columns: Tensor) -> Tensor:
    """Up to which cost `[n, k * E]` a negative's gap to a positive is beyond an edge."""
    bounds = take_keys(anchors.cost, columns)[:, :, None] - anchors.edges
    return ops.reshape(bounds, (-1, columns.shape[1] * anchors.edges.shape[0]))


def _ranks(anchors: _Anchors, columns: Tensor) -> Tensor:
    """How many negatives `[n, k * E]` each positive is beyond, by each edge."""
    ranks = search_rows(anchors.ranked, _bounds(anchors, columns))
    return ops.minimum(ops.cast(ranks, "int32"), anchors.number)


def _by_edge(values: Tensor, edges: Tensor) -> Tensor:
    """Floats `[n, k, E]` of `[n, k * E]`."""
    count = edges.shape[0]
    return ops.reshape(values, (-1, values.shape[1] // count, count))
