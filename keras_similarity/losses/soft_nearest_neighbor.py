"""Soft nearest neighbour loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch, Pairs, has_any, masked_log_sum_exp, off_diagonal
from keras_similarity.reducers import SubLoss

Tensor = Any

# Keeps the loss of an anchor whose positives are infinitely far finite: at most 20.7.
_FLOOR = 1e-9


def soft_nearest_neighbor(cost: Tensor, pairs: Pairs, *, temperature: float) -> Tensor:
    """Soft nearest neighbour loss `[n]` of each anchor.

    `-log(1e-9 + sum_p exp(-c_p / t) / (sum_p exp(-c_p / t) + sum_n exp(-c_n / t)))`

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer. A constant added to
            it changes nothing.
        pairs: Pairs `[n, M]`.
        temperature: Divides the cost; greater than 0.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive.
    """
    logits = cost * (-1.0 / temperature)
    has_positive = has_any(pairs.positive_mask)
    positives = masked_log_sum_exp(logits, pairs.positive_mask)
    every = masked_log_sum_exp(logits, pairs.positive_mask | pairs.negative_mask)
    # In logarithms: with all neighbours far away the exponentials are 0, all of them.
    log_share = ops.where(has_positive, positives - every, 0.0)
    losses = -ops.log(ops.exp(log_share) + _FLOOR)
    return ops.where(has_positive, losses, 0.0)[:, 0]


@register("soft_nn_loss", "soft_nearest_neighbor", "soft_nn")
class SoftNearestNeighborLoss(MetricLoss):
    """Soft nearest neighbour loss; see `soft_nearest_neighbor()`.

    How likely a random neighbour, near ones more likely, is of the anchor's class. An
    anchor without a positive has loss 0. A row is never its own neighbour, whatever
    `remove_diagonal` says.

    Args:
        distance: A `Distance` or its name; squared Euclidean by default.
        temperature: Greater than 0. High: all of a class attract each other; low: only
            the nearest do.
        **kwargs: Those of `MetricLoss`: `reduction`, `name`, ...

    Raises:
        ValueError: If `temperature` is not positive.

    Reference:
        [Frosst et al., 2019](https://arxiv.org/abs/1902.01889)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SoftNearestNeighborLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> loss = SoftNearestNeighborLoss(reduction="none")
        >>> [round(float(value), 3) for value in loss(labels, embeddings)]
        [0.693, 0.693, 0.0]
    """

    default_name = "soft_nn_loss"

    def __init__(
        self, distance: Distance | str = "sql2", temperature: float = 1, **kwargs: Any
    ) -> None:
        super().__init__(distance, **kwargs)
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        pairs = batch.pairs
        if not (batch.has_keys or batch.remove_diagonal or batch.has_given_pairs):
            pairs = replace(pairs, positive_mask=off_diagonal(pairs.positive_mask))
        return {"loss": SubLoss(self.anchor_losses(batch.cost, pairs))}

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        return soft_nearest_neighbor(cost, pairs, temperature=self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
