"""Generalized lifted structure loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Pairs, log_sum_exp_or_zero

Tensor = Any


def generalized_lifted_structure(
    cost: Tensor, pairs: Pairs, *, pos_margin: float, neg_margin: float
) -> Tensor:
    """Generalized lifted structure loss `[n]` of each anchor.

    `max(log sum_p exp(c_p - pos_margin) + log sum_n exp(neg_margin - c_n), 0)`

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer.
        pairs: Pairs `[n, M]`; each counts once.
        pos_margin: In units of the cost.
        neg_margin: The same.

    Returns:
        Loss `[n]`; a sum over nothing adds 0.
    """
    pull = log_sum_exp_or_zero(cost - pos_margin, pairs.positive_mask)
    push = log_sum_exp_or_zero(neg_margin - cost, pairs.negative_mask)
    return ops.relu(pull + push)[:, 0]


@register("generalized_lifted_structure")
class GeneralizedLiftedStructureLoss(MetricLoss):
    """All positives of an anchor against all its negatives, each through a soft maximum.

    See `generalized_lifted_structure()`. All anchors count in the mean.

    Args:
        neg_margin: Negatives should be farther; in units of the distance.
        pos_margin: Positives should be nearer. The defaults suit distances; for a
            similarity take -1 and 0, say.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default),
            `miner`, `reducer`, `name`, ...

    Reference:
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import GeneralizedLiftedStructureLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> loss = GeneralizedLiftedStructureLoss(distance="sql2")
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (0 + 1 + 0) / 3
        0.333
    """

    default_name = "generalized_lifted_structure_loss"
    default_distance = LpDistance

    def __init__(
        self, neg_margin: float = 1.0, pos_margin: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.neg_margin = neg_margin
        self.pos_margin = pos_margin

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        to_cost = self.distance.to_cost
        return generalized_lifted_structure(
            cost,
            pairs,
            pos_margin=to_cost(self.pos_margin),
            neg_margin=to_cost(self.neg_margin),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "neg_margin": self.neg_margin,
            "pos_margin": self.pos_margin,
        }
