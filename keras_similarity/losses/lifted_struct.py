"""Lifted structure loss with one positive an anchor."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.triplet import (
    POSITIVE_STRATEGIES,
    check_strategy,
    column_of,
    positive_cost,
)
from keras_similarity.pairs import Batch, Pairs, has_any, masked_log1p_sum_exp
from keras_similarity.reducers import SubLoss

Tensor = Any


def lifted_struct(
    to_positive: Tensor,
    cost: Tensor,
    cost_of_positive: Tensor,
    pairs: Pairs,
    margin: float,
) -> Tensor:
    """Lifted structure loss `[n]` of each anchor and one positive.

    `(c_ap + log(1 + sum_n (exp(margin - c_an) + exp(margin - c_pn)))) / 2`

    Args:
        to_positive: Cost `[n, 1]` of the anchors and their positives.
        cost: Cost `[n, M]` of the anchors and the keys.
        cost_of_positive: Cost `[n, M]` of the positives and the keys.
        pairs: Pairs `[n, M]`; the negatives of an anchor are those of its positive.
        margin: In units of the distance.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive or no negative.
    """
    has_both = has_any(pairs.positive_mask) & has_any(pairs.negative_mask)
    costs = ops.concatenate([cost, cost_of_positive], axis=1)
    mask = ops.concatenate([pairs.negative_mask, pairs.negative_mask], axis=1)
    losses = 0.5 * (masked_log1p_sum_exp(margin - costs, mask) + to_positive)
    # Without a positive its cost is infinite, and so would the gradient be.
    return ops.where(has_both, losses, 0.0)[:, 0]


@register("lifted_struct_loss", "lifted_struct")
class LiftedStructLoss(MetricLoss):
    """Lifted structure loss with one mined positive an anchor; see `lifted_struct()`.

    All negatives of the anchor push it and its positive away. TensorFlow Similarity adds
    up the costs of anchor and *positives of the negatives* in the second term, where
    those of positive and negatives belong, as they are here; like there, there is
    neither the hinge nor the square of the paper. An anchor without a positive or a
    negative has loss 0.

    Args:
        distance: A `Distance` or its name.
        positive_mining_strategy: `"hard"` or `"easy"`.
        margin: In units of the distance.
        **kwargs: Those of `MetricLoss`: `reduction`, `name`, ...

    Raises:
        ValueError: If the strategy is unknown.

    Reference:
        [Song et al., 2016](https://arxiv.org/abs/1511.06452)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import LiftedStructLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> loss = LiftedStructLoss(reduction="none")
        >>> [round(float(value), 3) for value in loss(labels, embeddings)]
        [1.049, 1.049, 0.0]
    """

    default_name = "lifted_struct_loss"

    def __init__(
        self,
        distance: Distance | str = "cosine",
        positive_mining_strategy: str = "hard",
        margin: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(distance, **kwargs)
        check_strategy("positive", positive_mining_strategy, POSITIVE_STRATEGIES)
        self.positive_mining_strategy = positive_mining_strategy
        self.margin = margin

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        cost, pairs = batch.cost, batch.pairs
        to_positive = positive_cost(cost, pairs, self.positive_mining_strategy)
        positive = column_of(to_positive, cost, pairs.positive_mask)
        losses = lifted_struct(
            to_positive, cost, self._cost_of(positive, batch), pairs, self.margin
        )
        return {"loss": SubLoss(losses)}

    def _cost_of(self, columns: Tensor, batch: Batch) -> Tensor:
        """Cost `[n, M]` of the keys in `columns` `[n]`, one an anchor, and all keys."""
        if not batch.has_keys:
            return ops.take(batch.cost, columns, axis=0)
        return self.distance.cost(ops.take(batch.keys, columns, axis=0), batch.keys)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_mining_strategy": self.positive_mining_strategy,
            "margin": self.margin,
        }
