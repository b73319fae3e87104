"""Lifted structure loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch, Pairs, has_any, log_sum_exp_or_zero
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("lifted_structure")
class LiftedStructureLoss(MetricLoss):
    """Each positive pair against the negatives of both of its members.

    `max(log sum_n exp(neg_margin - d_n) + d_ap - pos_margin, 0)^2 / 2` for each positive
    pair `(a, p)`, over the negative pairs `n` of `a` and those of `p`; the logarithm is 0
    if there are none. With keys of their own the negatives of `p` are the anchors whose
    negative it is. All is 0 where a batch has no negative pair at all.

    The sums over negatives are made once a row, and added pair by pair: `O(N M)`.

    Args:
        neg_margin: Negatives should be farther; in units of the distance.
        pos_margin: Positives should be nearer.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default),
            `miner`, `reducer`, `name`, ...

    Reference:
        [Song et al., 2016](https://arxiv.org/abs/1511.06452)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import LiftedStructureLoss
        >>> embeddings = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
        >>> loss = LiftedStructureLoss(distance="sql2")
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (log(e+1) + 1)^2 / 2
        2.676
    """

    default_name = "lifted_structure_loss"
    default_distance = LpDistance
    is_row_wise = False

    def __init__(
        self, neg_margin: float = 1.0, pos_margin: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.neg_margin = neg_margin
        self.pos_margin = pos_margin

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        pairs, to_cost = batch.pairs, self.distance.to_cost
        nearness = to_cost(self.neg_margin) - batch.cost
        of_anchor, anchor_has = _soft_maximum(nearness, pairs)
        if batch.has_keys:
            of_key, key_has = _soft_maximum(ops.transpose(nearness), _transposed(pairs))
        else:
            of_key, key_has = of_anchor, anchor_has
        of_key, key_has = ops.transpose(of_key), ops.transpose(key_has)  # [1, M]
        push = _added(of_anchor, anchor_has, of_key, key_has)
        values = ops.square(ops.relu(push + (batch.cost - to_cost(self.pos_margin))))
        is_any = ops.cast(ops.any(pairs.negative_mask), values.dtype)
        values = values * (0.5 * is_any)
        return {"loss": SubLoss(values, pairs.positive_counts, kind="positive_pair")}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "neg_margin": self.neg_margin,
            "pos_margin": self.pos_margin,
        }


def _soft_maximum(nearness: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """`log sum_n exp` of each row `[n, 1]`, 0 if it has no negative, and 1 if it has."""
    mask = pairs.negative_mask
    found = log_sum_exp_or_zero(nearness, mask, pairs.negative_weights)
    return found, ops.cast(has_any(mask), found.dtype)


def _transposed(pairs: Pairs) -> Pairs:
    """The negatives, seen from the keys."""
    weights = pairs.negative_weights
    return Pairs(
        positive_mask=pairs.positive_mask,
        negative_mask=ops.transpose(pairs.negative_mask),
        negative_weights=None if weights is None else ops.transpose(weights),
    )


def _added(x: Tensor, has_x: Tensor, y: Tensor, has_y: Tensor) -> Tensor:
    """`log(exp(x) + exp(y))` of those that there are, 0 if there is none."""
    # Not `logaddexp`, whose slope at a tie is (1, 0) on TensorFlow.
    both = y + ops.softplus(x - y)
    return both * (has_x * has_y) + x * (1.0 - has_y) + y * (1.0 - has_x)
