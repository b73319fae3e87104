"""Triplets other than the product of an anchor's positives and negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.pairs.positives import fold_positives, put_keys

Tensor = Any


@dataclass(frozen=True)
class Triplets:
    """A list of triplets: rows of anchors, and of keys.

    Attributes:
        anchors: Integers `[T]`.
        positives: Integers `[T]`.
        negatives: Integers `[T]`.
        weights: Floats `[T]`: how often each counts; 0 for padding. `None`: once.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    weights: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """Float32 `[T]`: how often each triplet counts."""
        if self.weights is None:
            return ops.ones_like(self.anchors, dtype="float32")
        return self.weights


@dataclass(frozen=True)
class TripletRule:
    """Which negatives count with a positive of an anchor.

    Attributes:
        select: `select(columns, *tensors)` gives bools `[n, k, M]`: does the negative in
            a column count with the positive in `columns` `[n, k]` of the anchor? What is
            no pair at all need not be masked.
        tensors: What `select` decides by, e.g. the cost `[n, M]`.
    """

    select: Callable[..., Tensor]
    tensors: tuple[Tensor, ...]


def both_rules(first: TripletRule, second: TripletRule) -> TripletRule:
    """The rule that keeps what both keep."""
    count = len(first.tensors)

    def select(columns: Tensor, *tensors: Tensor) -> Tensor:
        kept = first.select(columns, *tensors[:count])
        return kept & second.select(columns, *tensors[count:])

    return TripletRule(select, (*first.tensors, *second.tensors))


def project_list(triplets: Triplets, shape: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    """Float32 `[n, M]`: in how many triplets each positive, and each negative, is."""
    rows, keys = shape
    projections = []
    for columns in (triplets.positives, triplets.negatives):
        place = ops.cast(triplets.anchors, "int32") * keys + ops.cast(columns, "int32")
        flat = ops.segment_sum(triplets.counts, place, num_segments=rows * keys)
        projections.append(ops.reshape(flat, (rows, keys)))
    return projections[0], projections[1]


def project_rule(
    rule: TripletRule, positive_mask: Tensor, negative_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Float32 `[n, M]`: in how many triplets each positive, and each negative, is."""
    shape = ops.shape(positive_mask)

    def add(state: Any, columns: Tensor, is_positive: Tensor) -> Any:
        kept = rule.select(columns, *rule.tensors)
        kept = kept & is_positive[:, :, None] & negative_mask[:, None, :]
        kept = ops.cast(kept, "float32")  # [n, k, M]
        by_positive = put_keys(ops.sum(kept, axis=2), columns, shape)
        return state[0] + by_positive, state[1] + ops.sum(kept, axis=1)

    nothing = ops.zeros_like(positive_mask, dtype="float32")
    return fold_positives(add, (nothing, nothing), positive_mask)
