"""Intra-pair variance loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.pair_losses import changed, of_negatives, of_positives
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss
from keras_similarity.reducers.base import mean

Tensor = Any


@register("intra_pair_variance")
class IntraPairVarianceLoss(MetricLoss):
    """Keeps positives from being much farther, negatives much nearer, than the mean.

    `max((1 - pos_eps) mean(s_p) - s_p, 0)^2` for each positive pair, and
    `max(s_n - (1 + neg_eps) mean(s_n), 0)^2` for each negative pair, the means being
    those of all positive and of all negative pairs, with gradient; with a distance
    `max(d_p - (1 + pos_eps) mean(d_p), 0)^2` and
    `max((1 - neg_eps) mean(d_n) - d_n, 0)^2`.
    Each of the two is reduced by itself, then they are added.

    Args:
        pos_eps: By which part of the mean a positive may be farther.
        neg_eps: By which part of the mean a negative may be nearer.
        **kwargs: Those of `MetricLoss`: `distance` (cosine similarity by default),
            `miner`, `reducer`, `name`, ...

    Reference:
        [Yu and Tao, 2019](https://openaccess.thecvf.com/content_ICCV_2019/html/Yu_Deep_Metric_Learning_With_Tuplet_Margin_Loss_ICCV_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import IntraPairVarianceLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> loss = IntraPairVarianceLoss(neg_eps=0.0)
        >>> float(loss(np.array([0, 0, 1]), embeddings))  # (0.25 + 0.25) / 4
        0.125
    """

    default_name = "intra_pair_variance_loss"
    default_distance = CosineSimilarity
    is_row_wise = False

    def __init__(
        self, pos_eps: float = 0.01, neg_eps: float = 0.01, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pos_eps = pos_eps
        self.neg_eps = neg_eps

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        cost, pairs = batch.cost, batch.pairs
        # A similarity's mean cost is negative: slack in it is the other way round.
        sign = -1.0 if self.distance.is_similarity else 1.0
        pull, push = of_positives(cost, pairs), of_negatives(cost, pairs)
        farthest = (1.0 + sign * self.pos_eps) * _mean(pull)
        nearest = (1.0 - sign * self.neg_eps) * _mean(push)
        return {
            "pos_loss": changed(pull, lambda x: ops.square(ops.relu(x - farthest))),
            "neg_loss": changed(push, lambda x: ops.square(ops.relu(nearest - x))),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pos_eps": self.pos_eps, "neg_eps": self.neg_eps}


def _mean(term: SubLoss) -> Tensor:
    """Mean of the pairs of a term, a scalar; 0 if there are none."""
    return mean(*term.products(None, None))
