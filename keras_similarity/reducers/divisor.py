"""Divisor reducer."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.reducers.base import Reducer, register
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("divisor")
class DivisorReducer(Reducer):
    """Sum of the values over the number that the loss says; 0 where that is 0.

    For losses that have such a number: `MarginLoss`, `ProxyAnchorLoss` and
    `SparseCentersRegularizer`, whose default it is.

    Raises:
        ValueError: When called for a loss that has none.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import SparseCentersRegularizer
        >>> penalty = SparseCentersRegularizer(num_classes=1, centers_per_class=2)
        >>> round(float(penalty(np.eye(2))), 3)  # sqrt(2 - 0) / 2
        0.707
    """

    needs_rows = False

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        divisor = sub_loss.divisor
        if divisor is None:
            raise ValueError(
                "`DivisorReducer` is for losses that say what to divide by. Received: "
                f"values of the kind {sub_loss.kind!r} of a loss that does not. Use "
                "`MeanReducer`, or another."
            )
        divisor = ops.convert_to_tensor(divisor, dtype=totals.dtype)
        return ops.divide_no_nan(ops.sum(totals), divisor)
