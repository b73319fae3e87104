"""Supervised contrastive loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Pairs, masked_log_sum_exp, one_if_zero

Tensor = Any


def sup_con(cost: Tensor, pairs: Pairs, *, temperature: float) -> Tensor:
    """Supervised contrastive loss `[n]` of each anchor.

    `log sum_k exp(-c_k / t) + mean_p c_p / t`, the sum over all positives and negatives,
    the mean over the positives.

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer. A constant added to
            it changes nothing.
        pairs: Pairs `[n, M]`; each counts once.
        temperature: Divides the cost; greater than 0.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive, and for all if there is no
        negative.
    """
    logits = cost * (-1.0 / temperature)
    positive, negative = pairs.positive_mask, pairs.negative_mask
    every = masked_log_sum_exp(logits, positive | negative)
    counts = ops.cast(positive, logits.dtype)
    total = ops.sum(logits * counts, axis=1)
    count = ops.sum(counts, axis=1)
    is_used = (count > 0) & ops.any(negative)
    return ops.where(is_used, every[:, 0] - total / one_if_zero(count), 0.0)


@register("sup_con")
class SupConLoss(MetricLoss):
    """Supervised contrastive loss, the mean over positives outside the logarithm.

    See `sup_con()`.

    Args:
        temperature: Greater than 0.
        **kwargs: Those of `MetricLoss`: `distance` (cosine similarity by default),
            `miner`, `reducer` (the mean of the values above 0), `name`, ...

    Raises:
        ValueError: If `temperature` is not positive.

    Reference:
        [Khosla et al., 2020](https://arxiv.org/abs/2004.11362)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SupConLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(SupConLoss()(labels, embeddings)), 3)  # log 2
        0.693
    """

    default_name = "sup_con_loss"
    default_distance = CosineSimilarity
    default_reducer = "avg_non_zero"

    def __init__(self, temperature: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        return sup_con(cost, pairs, temperature=self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
