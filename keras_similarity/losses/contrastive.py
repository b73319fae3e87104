"""Contrastive loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.pair_losses import changed, of_negatives, of_positives
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("contrastive")
class ContrastiveLoss(MetricLoss):
    """Contrastive loss: positives within a margin, negatives beyond another.

    `max(d_ap - pos_margin, 0)` for each positive pair and `max(neg_margin - d_an, 0)`
    for each negative pair, not squared; each of the two is reduced by itself, then they
    are added. With a similarity both differences are turned round.

    Args:
        pos_margin: Positives nearer than this cost nothing; in units of the distance.
        neg_margin: Negatives farther than this cost nothing. The defaults suit
            distances; for a similarity take 1 and 0.
        distance: A `Distance` or its name; normalised Euclidean by default.
        **kwargs: Those of `MetricLoss`: `miner`, `reducer`, `name`, ...; the reducer is
            the mean of the values above 0.

    Reference:
        [Hadsell et al., 2006](http://yann.lecun.com/exdb/publis/pdf/hadsell-chopra-lecun-06.pdf)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]])
        >>> loss = ContrastiveLoss(neg_margin=2.0, distance="sql2")
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)
        0.8
    """

    default_name = "contrastive_loss"
    default_distance: ClassVar[Callable[[], Distance]] = LpDistance
    default_reducer = "avg_non_zero"

    def __init__(
        self, pos_margin: float = 0.0, neg_margin: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        cost, to_cost = batch.cost, self.distance.to_cost
        too_near = ops.relu(to_cost(self.neg_margin) - cost)
        return {
            "pos_loss": changed(
                of_positives(cost, batch.pairs),
                lambda cost: ops.relu(cost - to_cost(self.pos_margin)),
            ),
            "neg_loss": of_negatives(too_near, batch.pairs),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pos_margin": self.pos_margin,
            "neg_margin": self.neg_margin,
        }
