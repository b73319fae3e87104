"""What all reducers share: from the values of a loss to one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from keras_similarity.backend import ops
from keras_similarity.pairs import one_if_zero
from keras_similarity.reducers.sub_loss import SubLoss
from keras_similarity.registry import Registry

Tensor = Any


class Reducer:
    """Reduces the values of a loss, those that count, to one number.

    Each term of a loss (`SubLoss`) is first summed row by row; a subclass says in
    `finish` what the sums and counts of the rows become. Rows, blocks and replicas add
    up.

    Attributes:
        low: Only values above it count; `None` for all.
        high: Only values below it count; `None` for all.
        needs_rows: Must the values of pairs be summed row by row for `finish`?
    """

    low: float | None = None
    high: float | None = None
    needs_rows: ClassVar[bool] = True

    @property
    def needs_labels(self) -> bool:
        """Does it look at the class of each row?"""
        return False

    def __call__(
        self, sub_losses: Mapping[str, SubLoss], row_weights: Tensor | None = None
    ) -> Any:
        """The sum of the reduced terms.

        Args:
            sub_losses: The terms of a loss, by name.
            row_weights: Floats `[n]` that the values of each anchor are multiplied by.
        """
        reduced = [
            self.reducer_of(name).reduce(sub_loss, row_weights)
            for name, sub_loss in sub_losses.items()
        ]
        return sum(reduced[1:], start=reduced[0])

    def reducer_of(self, name: str) -> Reducer:
        """What reduces the term of that name."""
        return self

    def reduce(self, sub_loss: SubLoss, row_weights: Tensor | None = None) -> Tensor:
        """One term as a scalar; a term that is reduced already passes."""
        if sub_loss.kind == "reduced":
            return sub_loss.values
        if row_weights is None and not self.needs_rows and sub_loss.has_products:
            totals, counts = sub_loss.products(self.low, self.high)
            return self.finish(totals, counts, sub_loss)
        totals, counts = sub_loss.sums(self.low, self.high)
        if row_weights is not None:
            totals = totals * row_weights
        return self.finish(totals, counts, sub_loss)

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        """Scalar from the sums `[n]` of the rows and how many values each had.

        `counts` `[n]` is `None` where each row has one. Both may be `[n, M]`, one for
        each pair, or `[T]`, for each triplet, if `needs_rows` is false.
        """
        raise TypeError(f"{type(self).__name__} must define `finish` or `reduce`.")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)


registry = Registry("reducer", Reducer)
register = registry.register


def mean(totals: Tensor, counts: Tensor | None) -> Tensor:
    """Sum of the sums over the sum of the counts; 0 where nothing counts."""
    if counts is None:
        return ops.mean(totals)
    return ops.sum(totals) / one_if_zero(ops.sum(counts))
