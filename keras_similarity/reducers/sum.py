"""Sum reducer."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.reducers.base import Reducer, register
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("sum")
class SumReducer(Reducer):
    """Sum of the values.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.array([[0.0], [2.0], [3.0]])
        >>> loss = ContrastiveLoss(distance="sql2", reducer="sum")
        >>> float(loss(labels, embeddings))  # 4 + 4, and negatives far enough
        8.0
    """

    needs_rows = False

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        return ops.sum(totals)
