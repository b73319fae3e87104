"""Multiple negatives ranking loss."""

from __future__ import annotations

from typing import Any

from keras_similarity import distances
from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss, bounded
from keras_similarity.reducers import SubLoss

Tensor = Any

# Coordinates beyond it count as it: inner products leave float32 else.
_LARGEST = 1e15


def multi_negatives_rank(cost: Tensor, *, scale: float) -> Tensor:
    """Multiple negatives ranking loss `[N]` of each query.

    `log(1 + sum_j exp(-scale c_ij)) + scale c_ii`

    Args:
        cost: Cost `[N, N]` of queries and keys, smaller is closer; on the diagonal those
            of the queries and their own keys.
        scale: Sharpness, greater than 0.
    """
    logits = cost * -scale
    return ops.softplus(ops.logsumexp(logits, axis=1)) - ops.diagonal(logits)


@register("multineg_rank_loss", "multi_negatives_rank")
class MultiNegativesRankLoss(TwoViewLoss):
    """Ranks each query's own key before all other keys; see `multi_negatives_rank()`.

    The values are one a query, `[N]`. (TensorFlow Similarity's are `[N, N]` by accident,
    with the same mean; its sum is `N` times this one.) The 1 in the logarithm is that of
    TensorFlow Similarity; it matters where all costs are far above 0.

    Args:
        distance: A `Distance` or its name; inner product by default, where TensorFlow
            Similarity takes nothing else. The formula sees its cost.
        scale: Sharpness, greater than 0.
        **kwargs: Those of `TwoViewLoss`: `reduction`, `reducer`, `name`, `dtype`.

    Call arguments:
        y_true: Queries `[N, D]`.
        y_pred: Keys `[N, D]`; the key of a row is its query's.

    Raises:
        ValueError: If `scale` is not positive.

    Reference:
        [Henderson et al., 2017](https://arxiv.org/abs/1705.00652)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import MultiNegativesRankLoss
        >>> queries = np.eye(2, dtype="float32")
        >>> round(float(MultiNegativesRankLoss(scale=1.0)(queries, queries)), 3)
        0.551
    """

    default_name = "multineg_rank_loss"

    def __init__(
        self,
        distance: Distance | str = "inner_product",
        scale: float = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if scale <= 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}.")
        self.distance = distances.get(distance)
        self.scale = scale

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        cost = self.distance.cost(bounded(view, _LARGEST), bounded(other, _LARGEST))
        return {"loss": SubLoss(multi_negatives_rank(cost, scale=self.scale))}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "scale": self.scale,
        }
