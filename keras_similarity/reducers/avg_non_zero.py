"""Average of the values above zero."""

from __future__ import annotations

from typing import Any

from keras_similarity.reducers.base import register
from keras_similarity.reducers.threshold import ThresholdReducer


@register("avg_non_zero")
class AvgNonZeroReducer(ThresholdReducer):
    """Mean of the values above 0: those of pairs and triplets that still teach.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.array([[0.0], [2.0], [3.0]])
        >>> loss = ContrastiveLoss(0.0, 3.0, distance="sql2", reducer="avg_non_zero")
        >>> float(loss(labels, embeddings))  # (4 + 4) / 2 + (2 + 2) / 2, zeros apart
        6.0
    """

    def __init__(self) -> None:
        super().__init__(low=0)

    def get_config(self) -> dict[str, Any]:
        return {}
