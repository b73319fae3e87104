"""Terms of losses with one value a triplet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.backend import ops
from keras_similarity.pairs import (
    Batch,
    Pairs,
    TripletRule,
    Triplets,
    counted_triplets,
    random_triplets,
    sum_over_positives,
    take_keys,
    take_rows,
)
from keras_similarity.reducers import SubLoss
from keras_similarity.reducers.sub_loss import Listed, is_between

Tensor = Any
# Cost of positives, of negatives, and of the positives and the negatives, where asked
# for, to values; all of one shape after broadcasting.
Formula = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class TripletTerm(SubLoss):
    """Values of all triplets of a batch, which are summed without being listed.

    Attributes:
        values: Cost `[n, M]` of anchors and keys.
        formula: Value of triplets from the costs of anchor and positive, of anchor and
            negative, and of positive and negative.
        pairs: Pairs `[n, M]`, which make the triplets.
        negative_values: Floats `[n, M]` in place of the costs of anchor and negative.
        key_cost: Cost `[M, M]` of keys and keys, if the formula looks at it.
    """

    formula: Formula
    pairs: Pairs
    negative_values: Tensor | None = None
    key_cost: Tensor | None = None

    @property
    def has_products(self) -> bool:
        return isinstance(self.pairs.triplets, Triplets)

    def sums(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.pairs.triplets, Triplets):
            anchors = ops.cast(self.pairs.triplets.anchors, "int32")
            rows = ops.shape(self.values)[0]
            sums, counts = (
                ops.segment_sum(column, anchors, num_segments=rows)
                for column in self.products(low, high)
            )
            return sums, counts

        def summed(values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
            if low is not None or high is not None:
                counts = counts * ops.cast(is_between(values, low, high), counts.dtype)
            return ops.sum(values * counts, axis=(1, 2)), ops.sum(counts, axis=(1, 2))

        sums, counts = self.total(summed)
        return sums, ops.stop_gradient(counts)

    def products(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor]:
        triplets = self.pairs.triplets
        if not isinstance(triplets, Triplets):
            raise TypeError("Only triplets that are a list are there one by one.")
        values = self._values_of(triplets)
        counts = ops.cast(triplets.counts, values.dtype)
        if low is not None or high is not None:
            counts = counts * ops.cast(is_between(values, low, high), values.dtype)
        return values * counts, counts

    def listed(self) -> Listed:
        columns, weights = counted_triplets(self.pairs)
        values = self._values_of(
            Triplets(*(column.astype("int32") for column in columns))
        )
        return Listed(values, np.stack(columns, axis=1), weights)

    def _values_of(self, triplets: Triplets) -> Tensor:
        """Values `[T]` of a list."""
        anchors, positives, negatives = (
            ops.cast(column, "int32")
            for column in (triplets.anchors, triplets.positives, triplets.negatives)
        )
        keys = ops.shape(self.values)[1]

        def taken(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
            return ops.take(ops.reshape(values, (-1,)), rows * keys + columns, axis=0)

        from_negative = (
            self.values if self.negative_values is None else self.negative_values
        )
        between = None
        if self.key_cost is not None:
            between = taken(self.key_cost, positives, negatives)
        return self.formula(
            taken(self.values, anchors, positives),
            taken(from_negative, anchors, negatives),
            between,
        )

    def total(
        self, summed: Callable[[Tensor, Tensor], Any], *, may_take_all: bool = True
    ) -> Any:
        """`summed(values, counts)`, added over the parts that triplets come in.

        Args:
            summed: Of floats of one shape, `[T]` or `[n, k, M]`, a sum of any shape, or
                a tuple of sums of one shape.
            may_take_all: As that of `sum_over_positives`.
        """
        if isinstance(self.pairs.triplets, Triplets):
            values = self._values_of(self.pairs.triplets)
            return summed(values, ops.cast(self.pairs.triplets.counts, values.dtype))
        pairs, rule = self.pairs, self.pairs.triplets
        # What a rule weights are its projections, not the pairs.
        is_weighted = rule is None and pairs.is_weighted
        negatives = pairs.negative_counts if is_weighted else pairs.negative_mask
        constants = [ops.cast(negatives, self.values.dtype)]
        if is_weighted:
            constants.append(pairs.positive_counts)
        select = None
        if isinstance(rule, TripletRule):
            select = rule.select
            constants += rule.tensors
        optional = (self.negative_values, self.key_cost)
        others = [tensor for tensor in optional if tensor is not None]

        def term(columns: Any, is_positive: Tensor, cost: Tensor, *given: Tensor) -> Any:
            tensors, constants = list(given[: len(others)]), list(given[len(others) :])
            negative = cost if self.negative_values is None else tensors.pop(0)
            between = take_rows(tensors[0], columns) if tensors else None
            negatives = constants.pop(0)
            counts = ops.cast(is_positive, cost.dtype)
            if is_weighted:
                counts = counts * take_keys(constants.pop(0), columns)
            counts = counts[:, :, None] * negatives[:, None, :]  # [n, k, M]
            if select is not None:
                if columns is None:
                    columns = _all_columns(is_positive)
                counts = counts * ops.cast(select(columns, *constants), cost.dtype)
            to_positive = take_keys(cost, columns)[:, :, None]
            values = self.formula(to_positive, negative[:, None, :], between)
            return summed(values, counts)

        return sum_over_positives(
            term,
            pairs.positive_mask,
            self.values,
            *others,
            constants=constants,
            may_take_all=may_take_all,
        )


def triplet_term(
    formula: Formula, batch: Batch, *, with_keys: bool = False
) -> TripletTerm:
    """The term of a formula over all triplets of a batch.

    Args:
        formula: As `TripletTerm.formula`.
        batch: The batch.
        with_keys: Does the formula look at costs of positives and negatives?
    """
    key_cost = batch.key_cost if with_keys else None
    return TripletTerm(
        batch.cost, kind="triplet", formula=formula, pairs=batch.pairs, key_cost=key_cost
    )


def _all_columns(mask: Tensor) -> Tensor:
    """Integers `[n, M]`: the number of each column."""
    return ops.broadcast_to(ops.arange(ops.shape(mask)[1], dtype="int32"), mask.shape)


def check_triplets_per_anchor(triplets_per_anchor: int | str) -> None:
    """Raises a `ValueError` unless it is `"all"` or a number from 1."""
    is_number = isinstance(triplets_per_anchor, int) and triplets_per_anchor >= 1
    if not is_number and triplets_per_anchor != "all":
        raise ValueError(
            '`triplets_per_anchor` must be "all" or an integer from 1. Received: '
            f"{triplets_per_anchor!r}."
        )


def drawn(batch: Batch, triplets_per_anchor: int | str, generator: Any) -> Batch:
    """The batch with so many random triplets of each anchor.

    With `"all"`, and where pairs were given or mined, the batch as it is.
    """
    if triplets_per_anchor == "all" or batch.has_given_pairs:
        return batch
    pairs = random_triplets(batch.pairs, int(triplets_per_anchor), generator)
    return batch.with_pairs(pairs)
