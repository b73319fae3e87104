"""Barlow Twins loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import ops
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss, row_count
from keras_similarity.reducers import SubLoss

Tensor = Any


def barlow(view: Tensor, other: Tensor, *, lambda_: float) -> Tensor:
    """Barlow Twins loss, a scalar.

    `sum_k (1 - C_kk)^2 + lambda sum_{k != l} C_kl^2`, of the correlations `C` of the
    columns of one view and those of the other.

    Args:
        view: Floats `[N, D]`.
        other: The rows' other view, `[N, D]`.
        lambda_: Weight of the correlations that should be 0.
    """
    view, other = standardize(view), standardize(other)
    correlations = (ops.transpose(view) @ other) / row_count(view)
    is_same = ops.eye(view.shape[1], dtype=correlations.dtype)
    difference = is_same - correlations
    weights = is_same + lambda_ * (1.0 - is_same)
    return ops.sum(weights * difference * difference)


def standardize(x: Tensor) -> Tensor:
    """Columns of `x` `[N, D]` with mean 0 and variance 1; 0 where all rows are equal."""
    epsilon = float(np.finfo(dtype_name(x)).eps)
    centered = x - ops.mean(x, axis=0, keepdims=True)
    largest = ops.stop_gradient(ops.amax(ops.abs(x), axis=0, keepdims=True))
    # Squares of numbers up to 1 fit into every dtype. What a column is divided by first
    # does not change the result, so it needs no gradient.
    size = ops.stop_gradient(ops.amax(ops.abs(centered), axis=0, keepdims=True))
    # The mean of equal numbers is off by rounding.
    is_constant = ops.cast(size <= 8.0 * epsilon * largest, x.dtype)
    scaled = centered * ((1.0 - is_constant) / (size + is_constant))
    variance = ops.mean(scaled * scaled, axis=0, keepdims=True)
    return scaled / ops.sqrt(variance + is_constant)


@register("barlow")
class Barlow(TwoViewLoss):
    """Barlow Twins loss over two views of the same rows; see `barlow()`.

    One number a batch, whatever the reduction. A column that is constant in one of the
    views correlates with none, and has no gradient.

    Args:
        lambda_: Weight of the correlations that should be 0.
        margin: Added to the loss.
        reduction: As in `TwoViewLoss`.
        name: Name of the loss.
        **kwargs: Those of `TwoViewLoss`: `reducer`, `dtype`.

    Call arguments:
        y_true: One view, `[N, D]`.
        y_pred: The other view, `[N, D]`.

    Reference:
        [Zbontar et al., 2021](https://arxiv.org/abs/2103.03230)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import Barlow
        >>> view = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> float(Barlow(margin=0.0)(view, view)), float(Barlow(margin=0.0)(view, -view))
        (0.0, 8.0)
    """

    default_name = "barlow"
    is_row_wise = False
    takes_sample_weight = False

    def __init__(
        self,
        lambda_: float = 5e-3,
        margin: float = 1e-12,
        reduction: str | None = "auto",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **kwargs)
        self.lambda_ = lambda_
        self.margin = margin

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        loss = barlow(view, other, lambda_=self.lambda_) + self.margin
        return {"loss": SubLoss(loss, kind="reduced")}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lambda_": self.lambda_, "margin": self.margin}
