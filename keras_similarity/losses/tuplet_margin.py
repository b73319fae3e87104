"""Tuplet margin loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.pair_losses import of_positives
from keras_similarity.pairs import Batch, Pairs, masked_log_sum_exp
from keras_similarity.reducers import SubLoss

Tensor = Any

# What rounding leaves of 1 - cos^2 where rows coincide, in epsilons.
_NOISE = 8.0


def tuplet_margin(cosine: Tensor, pairs: Pairs, *, margin: float, scale: float) -> Tensor:
    """Tuplet margin loss of each positive pair.

    `log(1 + sum_n exp(scale (s_n - cos(arccos(s_p) - margin))))`

    Args:
        cosine: Cosines `[n, M]` of anchors and keys.
        pairs: Pairs `[n, M]`.
        margin: Slack in the angle of positives, in radians.
        scale: Sharpness.

    Returns:
        Loss `[n, M]`, of a pair as if it were positive; 0 where its anchor has no
        negative.
    """
    logits = cosine * scale
    # -inf for an anchor without negatives.
    negatives = masked_log_sum_exp(logits, pairs.negative_mask, pairs.negative_weights)
    # cos(angle - margin), without the arc cosine, which has no slope at 1. A sine that
    # rounding cannot tell from 0 is 0, and so is its slope.
    squared_sine = ops.relu(1.0 - cosine * cosine)
    noise = _NOISE * float(np.finfo(dtype_name(cosine)).eps)
    is_zero = ops.cast(squared_sine <= noise, cosine.dtype)
    sine = ops.sqrt(squared_sine + is_zero) * (1.0 - is_zero)
    slackened = logits * math.cos(margin) + sine * (scale * math.sin(margin))
    return ops.softplus(negatives - slackened)


@register("tuplet_margin")
class TupletMarginLoss(MetricLoss):
    """Each positive pair, given some slack, against all negatives of its anchor.

    See `tuplet_margin()`. An anchor without a negative has loss 0.

    Args:
        margin: Slack in the angle of positives, in degrees.
        scale: Sharpness.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines), `miner`,
            `reducer`, `name`, ...

    Raises:
        ValueError: If `distance` does not measure cosines.

    Reference:
        [Yu and Tao, 2019](https://openaccess.thecvf.com/content_ICCV_2019/html/Yu_Deep_Metric_Learning_With_Tuplet_Margin_Loss_ICCV_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import TupletMarginLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> loss = TupletMarginLoss(margin=30.0, scale=1.0)
        >>> round(float(loss(labels, embeddings)), 3)  # log(1 + exp(-cos 60 degrees))
        0.474
    """

    default_name = "tuplet_margin_loss"
    default_distance = CosineSimilarity

    def __init__(self, margin: float = 5.73, scale: float = 64.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = margin
        self.scale = scale

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        values = tuplet_margin(
            cosine_matrix(batch),
            batch.pairs,
            margin=math.radians(self.margin),
            scale=self.scale,
        )
        return {"loss": of_positives(values, batch.pairs)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "scale": self.scale}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)
