"""One key for each anchor: the farthest or the nearest that a mask allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.pairs import Pairs, Triplets, has_any

Tensor = Any


@dataclass(frozen=True)
class Extreme:
    """A key of each anchor.

    Attributes:
        columns: Integers `[n, 1]`: which key; any where there is none.
        found: Bool `[n, 1]`: is there one?
        allowed: Costs `[n, M]` that it was chosen from; infinite where not allowed.
    """

    columns: Tensor
    found: Tensor
    allowed: Tensor

    @property
    def cost(self) -> Tensor:
        """Floats `[n, 1]`: how far it is; infinite where there is none."""
        return ops.take_along_axis(self.allowed, self.columns, axis=1)

    def mask(self, keys: Any) -> Tensor:
        """Bool `[n, keys]`: is it this key?"""
        column = ops.arange(keys, dtype="int32")
        return (self.columns == column) & self.found


def farthest(cost: Tensor, mask: Tensor) -> Extreme:
    """The farthest key of each anchor that `mask` `[n, M]` allows."""
    return _extreme(ops.argmax, ops.where(mask, cost, -float("inf")), mask)


def nearest(cost: Tensor, mask: Tensor) -> Extreme:
    """The nearest key of each anchor that `mask` `[n, M]` allows."""
    return _extreme(ops.argmin, ops.where(mask, cost, float("inf")), mask)


def pairs_of_extremes(positive: Extreme, negative: Extreme, keys: Any) -> Pairs:
    """One triplet of each anchor that has both a positive and a negative."""
    has_both = positive.found & negative.found
    anchors = ops.arange(ops.shape(has_both)[0], dtype="int32")
    column = ops.arange(keys, dtype="int32")
    return Pairs(
        (positive.columns == column) & has_both,
        (negative.columns == column) & has_both,
        triplets=Triplets(
            anchors,
            positive.columns[:, 0],
            negative.columns[:, 0],
            ops.cast(has_both[:, 0], "float32"),
        ),
    )


def _extreme(choose: Any, allowed: Tensor, mask: Tensor) -> Extreme:
    return Extreme(choose(allowed, axis=1, keepdims=True), has_any(mask), allowed)
