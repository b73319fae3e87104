"""Neighbourhood components analysis."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import (
    Batch,
    Pairs,
    has_any,
    masked_log_sum_exp,
)
from keras_similarity.reducers import SubLoss

Tensor = Any


def _squared_euclidean() -> Distance:
    return LpDistance(power=2)


def nca(cost: Tensor, pairs: Pairs, *, softmax_scale: float) -> Tensor:
    """NCA loss `[n]` of each anchor: `-log` of the chance of drawing a positive.

    `log sum_k exp(-scale c_k) - log sum_p exp(-scale c_p)`, the first over all positives
    and negatives, the second over the positives.

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer.
        pairs: Pairs `[n, M]`; each counts once.
        softmax_scale: Sharpness.

    Returns:
        Loss `[n]`; some finite number where an anchor has no positive.
    """
    positive, negative = pairs.positive_mask, pairs.negative_mask
    logits = cost * -softmax_scale
    positives = masked_log_sum_exp(logits, positive)
    negatives = masked_log_sum_exp(logits, negative)
    # log((p + n) / p); of an anchor without a positive any finite number will do.
    positives = ops.where(positives > -float("inf"), positives, 0.0)
    return ops.softplus(negatives - positives)[:, 0]


@register("nca")
class NCALoss(MetricLoss):
    """Neighbourhood components analysis; see `nca()`.

    The neighbours are all other rows, or the keys, by their labels. Pairs that are given
    or mined say how much each row counts: how often it is in them, over the largest such
    count. Rows without a positive do not count in the mean.

    Args:
        softmax_scale: Sharpness.
        **kwargs: Those of `MetricLoss`: `distance` (the square of the normalised
            Euclidean by default), `miner`, `reducer`, `name`, ...

    Reference:
        [Goldberger et al., 2004](https://papers.nips.cc/paper/2566)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import NCALoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(NCALoss()(labels, embeddings)), 3)  # log 2
        0.693
    """

    default_name = "nca_loss"
    default_distance = staticmethod(_squared_euclidean)
    takes_pairs = False  # Without labels.

    def __init__(self, softmax_scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.softmax_scale = softmax_scale

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        pairs = batch.label_pairs
        values = nca(batch.cost, pairs, softmax_scale=self.softmax_scale)
        counts = ops.cast(has_any(pairs.positive_mask)[:, 0], values.dtype)
        weights = batch.sample_weights
        if weights is not None:
            values = values * ops.cast(weights, values.dtype)
        return {"loss": SubLoss(values, counts)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "softmax_scale": self.softmax_scale}
