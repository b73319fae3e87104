"""Ranked list loss."""

from __future__ import annotations

import warnings
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss

Tensor = Any

# Added to the sum of weights, for each column.
_EPSILON = 1e-5
# Above this the softmax weights leave but one pair.
_SHARPEST = 5


@register("ranked_list")
class RankedListLoss(MetricLoss):
    """Positives into a sphere around the anchor, negatives out of a larger one.

    `(1 - imbalance) mean(d_p - (alpha - margin)) + imbalance mean(alpha - d_n)`, over the
    positives beyond `alpha - margin` and the negatives within `alpha`, weighted by
    `exp(Tp (d_p - (alpha - margin)))` and `exp(Tn (alpha - d_n))`, through which the
    gradient flows. To the sum of the weights 1e-5 is added for each key; the mean of
    nothing is 0. A negative that coincides with the anchor does not count.

    Args:
        margin: Between the two spheres; in units of the distance.
        Tn: How much more the nearer negatives count.
        imbalance: From 0 to 1: weight of the negatives.
        alpha: Radius of the larger sphere; `None` for `1 + margin / 2`.
        Tp: How much more the farther positives count.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default; of
            a similarity the values are taken as they are), `miner`, `reducer`, ...

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1903.03238)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import RankedListLoss
        >>> embeddings = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
        >>> loss = RankedListLoss(margin=0.4, Tn=0, imbalance=0.0)
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (1.2 + 1.2 + 0) / 3
        0.8
    """

    default_name = "ranked_list_loss"
    default_distance = LpDistance

    def __init__(
        self,
        margin: float,
        Tn: float,
        imbalance: float = 0.5,
        alpha: float | None = None,
        Tp: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, sharpness in (("Tp", Tp), ("Tn", Tn)):
            if sharpness > _SHARPEST:
                warnings.warn(
                    f"`{name}` above {_SHARPEST} lets little more than one pair of an "
                    f"anchor count. Received: {name}={sharpness}.",
                    stacklevel=2,
                )
        self.margin = margin
        self.Tn = Tn
        self.imbalance = imbalance
        self.alpha = 1 + margin / 2 if alpha is None else alpha
        self.Tp = Tp

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        distance, pairs = batch.distances, batch.pairs
        inner = self.alpha - self.margin
        is_out = pairs.positive_mask & (distance > max(0.0, inner))
        is_in = pairs.negative_mask & (distance > 0) & (distance < self.alpha)
        pull = _weighted_mean(distance - inner, is_out, self.Tp)
        push = _weighted_mean(self.alpha - distance, is_in, self.Tn)
        return {"loss": SubLoss((1.0 - self.imbalance) * pull + self.imbalance * push)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "Tn": self.Tn,
            "imbalance": self.imbalance,
            "alpha": self.alpha,
            "Tp": self.Tp,
        }


def _weighted_mean(excess: Tensor, mask: Tensor, sharpness: float) -> Tensor:
    """Mean `[n]` of what the mask allows, weighted by `exp(sharpness * excess)`."""
    excess = excess * ops.cast(mask, excess.dtype)
    weights = ops.cast(mask, excess.dtype)
    rest = _EPSILON * ops.shape(mask)[1]
    if sharpness:
        exponents = excess * sharpness
        largest = ops.stop_gradient(ops.amax(exponents, axis=1, keepdims=True))
        weights = weights * ops.exp(exponents - largest)
        rest = rest * ops.exp(-largest[:, 0])
    return ops.sum(weights * excess, axis=1) / (ops.sum(weights, axis=1) + rest)
