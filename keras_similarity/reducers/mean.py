"""Mean reducer."""

from __future__ import annotations

from typing import Any

from keras_similarity.reducers.base import Reducer, mean, register
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("mean")
class MeanReducer(Reducer):
    """Mean of the values; 0 where there is none, for which the peer gives NaN.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.array([[0.0], [2.0], [3.0]])
        >>> loss = ContrastiveLoss(distance="sql2", reducer="mean")
        >>> float(loss(labels, embeddings))  # (4 + 4) / 2, and negatives far enough
        4.0
    """

    needs_rows = False

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        return mean(totals, counts)
