"""NT-Xent loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.pair_losses import of_positives
from keras_similarity.pairs import Batch, Pairs, masked_log_sum_exp
from keras_similarity.reducers import SubLoss

Tensor = Any


def nt_xent(cost: Tensor, pairs: Pairs, *, temperature: float) -> Tensor:
    """NT-Xent (InfoNCE) loss of each positive pair.

    `-log(exp(-c_ap / t) / (exp(-c_ap / t) + sum_n exp(-c_an / t)))`

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer. A constant added to
            it changes nothing, so `1 - cos` and `-cos` give the same loss.
        pairs: Pairs `[n, M]`.
        temperature: Divides the cost; greater than 0.

    Returns:
        Loss `[n, M]`, of a pair as if it were positive; 0 where its anchor has no
        negative.
    """
    logits = cost * (-1.0 / temperature)
    # -inf for an anchor without negatives.
    negatives = masked_log_sum_exp(logits, pairs.negative_mask, pairs.negative_weights)
    # -log(e^p / (e^p + e^n)) = log(1 + e^(n - p)), which cannot overflow.
    return ops.softplus(negatives - logits)


@register("nt_xent", "info_nce")
class NTXentLoss(MetricLoss):
    """NT-Xent loss over the positive pairs of a batch; see `nt_xent()`.

    The other positives of the anchor are not in the denominator. An anchor without a
    negative has loss 0.

    Args:
        temperature: Greater than 0.
        distance: A `Distance` or its name; cosine similarity by default.
        **kwargs: Those of `MetricLoss`: `miner`, `reducer`, `name`, ...

    Raises:
        ValueError: If `temperature` is not positive.

    Reference:
        [van den Oord et al., 2018](https://arxiv.org/abs/1807.03748);
        [Chen et al., 2020](https://arxiv.org/abs/2002.05709)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import NTXentLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(NTXentLoss()(labels, embeddings)), 3)  # log 2
        0.693
    """

    default_name = "nt_xent_loss"
    default_distance = CosineSimilarity

    def __init__(self, temperature: float = 0.07, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        values = nt_xent(batch.cost, batch.pairs, temperature=self.temperature)
        return {"loss": of_positives(values, batch.pairs)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
