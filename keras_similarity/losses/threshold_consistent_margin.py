"""Threshold-consistent margin loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss
from keras_similarity.reducers.base import mean

Tensor = Any


@register("threshold_consistent_margin")
class ThresholdConsistentMarginLoss(MetricLoss):
    """Means over the hard pairs alone, so that one threshold suits all classes.

    `lambda_plus mean(margin_plus - s_p) + lambda_minus mean(s_n - margin_minus)`, the
    first over the positive pairs with `s_p <= margin_plus`, the second over the negative
    pairs with `s_n >= margin_minus`; the mean of nothing is 0. A regularizer beside
    another loss. It is reduced already: no reducer changes it.

    Args:
        lambda_plus: Weight of the positive pairs.
        lambda_minus: Weight of the negative pairs.
        margin_plus: Positives above this cosine do not count.
        margin_minus: Negatives below this cosine do not count.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines), `miner`,
            `name`, ...

    Raises:
        ValueError: If `distance` does not measure cosines.

    Reference:
        [Zhang et al., 2023](https://arxiv.org/abs/2307.04047)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ThresholdConsistentMarginLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> loss = ThresholdConsistentMarginLoss()
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # 0.9 + 0.5
        1.4
    """

    default_name = "threshold_consistent_margin_loss"
    default_distance = CosineSimilarity
    is_row_wise = False

    def __init__(
        self,
        lambda_plus: float = 1.0,
        lambda_minus: float = 1.0,
        margin_plus: float = 0.9,
        margin_minus: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lambda_plus = lambda_plus
        self.lambda_minus = lambda_minus
        self.margin_plus = margin_plus
        self.margin_minus = margin_minus

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        cosine, pairs = cosine_matrix(batch), batch.pairs
        pull = _mean_of_hard(self.margin_plus - cosine, pairs.positive_counts)
        push = _mean_of_hard(cosine - self.margin_minus, pairs.negative_counts)
        value = self.lambda_plus * pull + self.lambda_minus * push
        return {"loss": SubLoss(value, kind="reduced")}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "lambda_plus": self.lambda_plus,
            "lambda_minus": self.lambda_minus,
            "margin_plus": self.margin_plus,
            "margin_minus": self.margin_minus,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)


def _mean_of_hard(excess: Tensor, counts: Tensor) -> Tensor:
    """Mean of the pairs whose excess is not negative, a scalar; 0 if there are none."""
    is_hard = ops.cast(excess >= 0, excess.dtype) * ops.cast(counts, excess.dtype)
    return mean(excess * is_hard, is_hard)
