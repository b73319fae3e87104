"""Circle loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import (
    Batch,
    Pairs,
    has_any,
    masked_log1p_sum_exp,
    masked_log_sum_exp,
)
from keras_similarity.reducers import SubLoss

Tensor = Any

FORMULAS = ("tfsim", "paper")


def circle(cosine: Tensor, pairs: Pairs, *, gamma: float, margin: float) -> Tensor:
    """Circle loss `[n]` of each anchor, as the paper has it.

    `log(1 + sum_p exp(gamma [1 + m - s_p]+ (1 - m - s_p))
    sum_n exp(gamma [s_n + m]+ (s_n - m)))`, in which no gradient flows through the
    weights `[...]+`.

    Args:
        cosine: Cosines `[n, M]` of anchors and keys.
        pairs: Pairs `[n, M]`; each counts once.
        gamma: Scale.
        margin: `m`.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive or no negative.
    """
    constant = ops.stop_gradient(cosine)
    to_pull = ops.relu((1.0 + margin) - constant) * gamma
    to_push = ops.relu(constant + margin) * gamma
    pull = masked_log_sum_exp(to_pull * ((1.0 - margin) - cosine), pairs.positive_mask)
    push = masked_log_sum_exp(to_push * (cosine - margin), pairs.negative_mask)
    # -inf, without gradient, if one of the two is.
    return ops.softplus(pull + push)[:, 0]


def circle_of_distances(
    cost: Tensor, pairs: Pairs, *, gamma: float, margin: float
) -> Tensor:
    """Circle loss `[n]` of each anchor, as TensorFlow Similarity has it.

    `log(1 + sum_p exp(gamma [m + c_p]+ (c_p - m)))
    + log(1 + sum_n exp(gamma [1 + m - c_n]+ (1 - m - c_n)))`, in which the gradient flows
    through the weights `[...]+`.

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer.
        pairs: Pairs `[n, M]`; each counts once.
        gamma: Scale.
        margin: `m`.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive or no negative.
    """
    to_pull = ops.relu(cost + margin) * gamma
    to_push = ops.relu((1.0 + margin) - cost) * gamma
    pull = masked_log1p_sum_exp(to_pull * (cost - margin), pairs.positive_mask)
    push = masked_log1p_sum_exp(to_push * ((1.0 - margin) - cost), pairs.negative_mask)
    has_both = has_any(pairs.positive_mask) & has_any(pairs.negative_mask)
    return ops.where(has_both, pull + push, 0.0)[:, 0]


@register("circle_loss", "circle")
class CircleLoss(MetricLoss):
    """Circle loss: pairs count by how far they are from where they should be.

    Two formulas go by the name: TensorFlow Similarity's, over any distance
    (`circle_of_distances()`), and the paper's, over cosines (`circle()`), which PyTorch
    Metric Learning has. An anchor without a positive or without a negative has loss 0.

    Args:
        distance: A `Distance` or its name.
        gamma: Scale.
        margin: How far positives may, and negatives must, be; PyTorch Metric Learning
            calls it `m`.
        formula: `"tfsim"`, reduced by the mean over all anchors, or `"paper"`, by the
            mean of the values above 0.
        **kwargs: Those of `MetricLoss`: `miner`, `reducer`, `name`, ...

    Raises:
        ValueError: If the formula is unknown, or is the paper's and the distance does
            not measure cosines.

    Reference:
        [Sun et al., 2020](https://arxiv.org/abs/2002.10857)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import CircleLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(CircleLoss(gamma=1, formula="paper")(labels, embeddings)), 3)
        1.09
    """

    default_name = "circle_loss"

    def __init__(
        self,
        distance: Distance | str = "cosine",
        gamma: float = 80.0,
        margin: float = 0.4,
        formula: str = "tfsim",
        **kwargs: Any,
    ) -> None:
        if formula not in FORMULAS:
            raise ValueError(
                f"`formula` must be one of {', '.join(FORMULAS)}. Received: {formula!r}."
            )
        self.formula = formula
        is_auto = kwargs.get("reduction", "auto") == "auto"
        if formula == "paper" and is_auto and kwargs.get("reducer") is None:
            kwargs["reducer"] = "avg_non_zero"
        super().__init__(distance, **kwargs)
        self.gamma = gamma
        self.margin = margin

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        options = {"gamma": self.gamma, "margin": self.margin}
        if self.formula == "paper":
            values = circle(cosine_matrix(batch), batch.pairs, **options)
        else:
            values = circle_of_distances(batch.cost, batch.pairs, **options)
        return {"loss": SubLoss(values)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "margin": self.margin,
            "formula": self.formula,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        if self.formula == "paper":
            return checked_cosine(distance, 'CircleLoss(formula="paper")')
        return distance
