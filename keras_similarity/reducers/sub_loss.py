"""The values that a loss has before they are reduced to one number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import ops
from keras_similarity.pairs.indices import counts_on_host, repeated
from keras_similarity.pairs.masked import few_places

Tensor = Any
Kind = Literal["element", "positive_pair", "negative_pair", "triplet", "reduced"]


class Listed(NamedTuple):
    """The values of a term that count, one by one.

    Attributes:
        values: Floats `[T]`. One that counts `k` times comes `k` times.
        indices: Integers `[T]` of rows, `[T, 2]` of pairs, or `[T, 3]` of triplets.
        weights: Floats `[T]`: how much each counts; `None` where each counts once.
    """

    values: Tensor
    indices: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class SubLoss:
    """Values and how often each counts: one of the terms that a loss adds up.

    Attributes:
        values: Floats: `[n]`, one for each row (an anchor, a class, ...); `[n, M]`, one
            for each pair of an anchor and a key; or a scalar that is reduced already.
        counts: Floats of the shape of `values`: how often each counts, 0 where there is
            no such pair. Bools count once, or not at all, `None` each once.
        kind: What the values are of: `"element"`, `"positive_pair"`, `"negative_pair"`,
            `"triplet"`, or `"reduced"`.
        divisor: What `DivisorReducer` divides the sum by, where a loss has an own one.
        labels: Integers `[n]`: class of each row, for `ClassWeightedReducer`.
    """

    values: Tensor
    counts: Tensor | None = None
    kind: Kind = "element"
    divisor: Tensor | None = None
    labels: Tensor | None = None

    @property
    def has_products(self) -> bool:
        """Are the values there one by one, for `products`?"""
        return True

    def sums(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor | None]:
        """For each row the sum `[n]` of its values, and how many of them there are.

        Args:
            low: Only values above it count; `None` for all.
            high: Only values below it count; `None` for all.

        Returns:
            Sums `[n]` and counts `[n]`; `None` for counts of 1.
        """
        totals, counts = self._products(low, high)
        if counts is None or self.kind == "element":
            return totals, counts
        return ops.sum(totals, axis=1), ops.sum(counts, axis=1)

    def products(
        self, low: float | None, high: float | None
    ) -> tuple[Tensor, Tensor | None]:
        """As `sums`, but of each value, as often as it counts: `[n, M]`, or `[T]`."""
        if self.counts is None or dtype_name(self.counts) != "bool":
            return self._products(low, high)
        counts = self.counts
        if low is not None or high is not None:
            counts = self._counts_between(low, high)
        chosen = replace(self, counts=counts)
        return chosen.with_few_listed()._products(None, None)

    def with_few_listed(self) -> SubLoss:
        """The same term, the values that count listed if they are few among many."""
        if self.kind == "element" or dtype_name(self.counts) != "bool":
            return self
        places = few_places(self.counts)
        if places is None:
            return self
        values = ops.take(ops.reshape(self.values, (-1,)), places, axis=0)
        shape = tuple(self.values.shape)
        return ListedPairs(
            values, None, self.kind, self.divisor, self.labels, places=places, shape=shape
        )

    def dense(self) -> SubLoss:
        """The same term with values `[n, M]`, if it is of pairs."""
        return self

    def _products(
        self, low: float | None, high: float | None
    ) -> tuple[Tensor, Tensor | None]:
        counts = self.counts
        if low is not None or high is not None:
            counts = self._counts_between(low, high)
        if counts is None:
            return self.values, None
        if counts.dtype != self.values.dtype:  # float64 stays on TensorFlow.
            counts = ops.cast(counts, self.values.dtype)
        return self.values * counts, counts

    def listed(self) -> Listed:
        """The values that count, one by one, in the order of rows.

        How many there are is known at run time only: not under jit.
        """
        if self.counts is None:
            return Listed(self.values, np.arange(self.values.shape[0]), None)
        counts = counts_on_host(self.counts)
        where = np.nonzero(counts)
        where, weights = repeated(where, counts[where])
        place = np.ravel_multi_index(where, counts.shape).astype("int32")
        values = ops.take(ops.reshape(self.values, (-1,)), place)
        indices = where[0] if self.kind == "element" else np.stack(where, axis=1)
        return Listed(values, indices, weights)

    def _counts_between(self, low: float | None, high: float | None) -> Tensor:
        inside = is_between(self.values, low, high)
        if self.counts is None:
            return inside
        if dtype_name(self.counts) == "bool":
            return inside & self.counts
        inside = ops.cast(inside, self.values.dtype)
        return inside * ops.cast(self.counts, self.values.dtype)


@dataclass(frozen=True, eq=False, kw_only=True)
class ListedPairs(SubLoss):
    """The values of few pairs among many, one by one, each of which counts once.

    Attributes:
        values: Floats `[T]`.
        places: Integers `[T]`: place of each in the matrix, row after row.
        shape: `(n, M)` of the matrix.
    """

    places: Tensor
    shape: tuple[int, int]

    def sums(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor]:
        rows = self.places // self.shape[1]
        totals, counts = (
            ops.segment_sum(column, rows, num_segments=self.shape[0])
            for column in self.products(low, high)
        )
        return totals, counts

    def products(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor]:
        counts = ops.ones_like(self.values)
        if low is not None or high is not None:
            counts = ops.cast(is_between(self.values, low, high), counts.dtype)
        return self.values * counts, counts

    _products = products

    def listed(self) -> Listed:
        rows, columns = np.divmod(counts_on_host(self.places), self.shape[1])
        return Listed(self.values, np.stack([rows, columns], axis=1), None)

    def dense(self) -> SubLoss:
        def placed(column: Tensor) -> Tensor:
            size = self.shape[0] * self.shape[1]
            return ops.reshape(
                ops.segment_sum(column, self.places, num_segments=size), self.shape
            )

        counts = placed(ops.ones_like(self.values))
        return SubLoss(placed(self.values), counts, self.kind, self.divisor, self.labels)


def is_between(values: Tensor, low: float | None, high: float | None) -> Tensor:
    """Bool: is the value above `low` and below `high`, of which one may be `None`?"""
    if low is None:
        return values < high
    return values > low if high is None else (values > low) & (values < high)
