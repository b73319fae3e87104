"""Positive-negative loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.triplet import (
    TripletLoss,
    column_of,
    gap_losses,
    negative_cost,
    positive_cost,
)
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("pn_loss", "pn")
class PNLoss(TripletLoss):
    """Triplet loss whose negative must be far from the positive, too.

    `max(c_ap - min(c_an, c_pn) + margin, 0)`, or `log(1 + exp(c_ap - min(c_an, c_pn)))`
    without a margin, for the one positive and the one negative that are mined for each
    anchor as in `TripletLoss`. An anchor without a positive or a negative has loss 0.

    Args:
        distance: A `Distance` or its name.
        positive_mining_strategy: `"hard"` or `"easy"`.
        negative_mining_strategy: `"hard"`, `"semi-hard"` or `"easy"`.
        margin: In units of the distance; `None` for the soft margin.
        **kwargs: Those of `MetricLoss`: `reduction`, `name`, ...

    Raises:
        ValueError: If a strategy is unknown.

    Reference:
        [Taha et al., 2020](https://arxiv.org/abs/2007.12749)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import PNLoss
        >>> embeddings = np.array([[0.0, 0.0], [1.0, 0.0], [1.5, 0.0]])
        >>> loss = PNLoss("sql2", margin=1.0, reduction="none")
        >>> [float(value) for value in loss(np.array([0, 0, 1]), embeddings)]
        [1.75, 1.75, 0.0]
    """

    default_name = "pn_loss"

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        cost, pairs = batch.cost, batch.pairs
        to_positive = positive_cost(cost, pairs, self.positive_mining_strategy)
        to_negative = negative_cost(cost, pairs, self.negative_mining_strategy)
        positive = column_of(to_positive, cost, pairs.positive_mask)
        negative = column_of(to_negative, cost, pairs.negative_mask)
        between = paired_cost(
            self.distance,
            ops.take(batch.keys, positive, axis=0),
            ops.take(batch.keys, negative, axis=0),
        )
        gap = to_positive - ops.minimum(to_negative, between[:, None])
        return {"loss": SubLoss(gap_losses(gap, pairs, self.margin)[:, 0])}


def paired_cost(distance: Distance, rows: Tensor, others: Tensor) -> Tensor:
    """Cost `[n]` of each row to the one beside it."""
    return distance.to_cost(distance.paired(rows, others))
