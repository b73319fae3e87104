"""SimSiam loss."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss
from keras_similarity.reducers import SubLoss

Tensor = Any

PROJECTION_TYPES = ("negative_cosine_sim", "cosine_distance", "angular_distance")


def angle(view: Tensor, other: Tensor) -> Tensor:
    """Angle `[N]` between unit rows, in radians; pi / 2 to a zero row.

    Not by the arc cosine, whose argument rounding takes beyond 1 and whose slope is
    infinite there. The gradient between equal rows, and between opposite ones, is 0.
    """
    difference, total = view - other, view + other
    across = ops.sum(difference * difference, axis=1)
    along = ops.sum(total * total, axis=1)
    # Of unit rows, or of one and a zero row, one of the two is 1 or more.
    is_zero = ops.cast(across + along < 0.5, across.dtype)
    return 2.0 * ops.arctan2(_root(across + is_zero), _root(along + is_zero))


def _root(squared: Tensor) -> Tensor:
    # What is left of equal rows is rounding, and the root has an infinite slope at 0.
    is_zero = ops.cast(squared < 1e-14, squared.dtype)
    return ops.sqrt(squared * (1.0 - is_zero) + is_zero) * (1.0 - is_zero)


@register("simsiam_loss", "simsiam")
class SimSiamLoss(TwoViewLoss):
    """SimSiam loss between a projection and a prediction of the same rows.

    `projection(i) / 2 + margin` for each row, where the projection is `-cos`, `1 - cos`
    or the angle over pi. The gradient flows into both: stop that of the projection
    yourself, `loss(stop_gradient(projector), predictor)`, and add up both directions.

    Args:
        projection_type: `"negative_cosine_sim"`, `"cosine_distance"` or
            `"angular_distance"`.
        margin: Added to each value; keeps those of the distances off 0.
        reduction: As in `TwoViewLoss`.
        name: Name of the loss.
        **kwargs: Those of `TwoViewLoss`: `reducer`, `dtype`.

    Call arguments:
        y_true: Projections `[N, D]`.
        y_pred: Predictions `[N, D]`.

    Raises:
        ValueError: If `projection_type` is not known.

    Reference:
        [Chen & He, 2020](https://arxiv.org/abs/2011.10566)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SimSiamLoss
        >>> projector, predictor = np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])
        >>> round(float(SimSiamLoss()(projector, predictor)), 3)
        -0.299
    """

    default_name = "simsiam_loss"

    def __init__(
        self,
        projection_type: str = "negative_cosine_sim",
        margin: float = 0.001,
        reduction: str | None = "auto",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **kwargs)
        if projection_type not in PROJECTION_TYPES:
            raise ValueError(
                f"{projection_type} is not supported. `projection_type` must be one of "
                f"{', '.join(PROJECTION_TYPES)}. Received: {projection_type!r}."
            )
        self.projection_type = projection_type
        self.margin = margin

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        view, other = unit(view, ops), unit(other, ops)
        if self.projection_type == "angular_distance":
            projection = angle(view, other) * (1.0 / math.pi)
        else:
            projection = -ops.sum(view * other, axis=1)
            if self.projection_type == "cosine_distance":
                projection = projection + 1.0
        return {"loss": SubLoss(0.5 * projection + self.margin)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "projection_type": self.projection_type,
            "margin": self.margin,
        }
