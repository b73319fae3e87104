"""Threshold reducers."""

from __future__ import annotations

from typing import Any

from keras_similarity.reducers.base import Reducer, mean, register
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("threshold")
class ThresholdReducer(Reducer):
    """Mean of the values between two thresholds; 0 where there is none.

    Args:
        low: Values must be above it; `None` for any.
        high: Values must be below it; `None` for any.

    Raises:
        ValueError: If neither is given.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.array([[0.0], [2.0], [3.0]])
        >>> from keras_similarity.reducers import ThresholdReducer
        >>> reducer = ThresholdReducer(low=1.0, high=5.0)
        >>> loss = ContrastiveLoss(neg_margin=10.0, distance="sql2", reducer=reducer)
        >>> float(loss(labels, embeddings))  # 4 twice; of 1 and 9 neither is inside
        4.0
    """

    needs_rows = False

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        if low is None and high is None:
            raise ValueError("`low` or `high` must be given. Received: neither.")
        self.low = low
        self.high = high

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        return mean(totals, counts)

    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}
