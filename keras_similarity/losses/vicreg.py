"""VICReg loss: the form of TensorFlow Similarity."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss, bounded, row_count
from keras_similarity.reducers import SubLoss

Tensor = Any

# Coordinates beyond it count as it: the fourth powers of the loss leave float32 else.
LARGEST = 1e7


def centered(view: Tensor) -> Tensor:
    """The rows without their mean."""
    return view - ops.mean(view, axis=0, keepdims=True)


def mean_squared_differences(view: Tensor, other: Tensor) -> Tensor:
    """Mean over the columns of the squared difference, `[N]`."""
    difference = view - other
    return ops.mean(difference * difference, axis=1)


def missing_deviations(rows: Tensor, *, divisor: Any, epsilon: float) -> Tensor:
    """How much the standard deviation of each column is below 1, `[D]`.

    Args:
        rows: Centred rows `[N, D]`.
        divisor: What the sum of squares is divided by.
        epsilon: Added to the variance.
    """
    variance = ops.sum(rows * rows, axis=0) / divisor
    return ops.relu(1.0 - ops.sqrt(variance + epsilon))


def covariance_penalty(rows: Tensor) -> Tensor:
    """Sum of the squared covariances of different columns, over their number: a scalar.

    Args:
        rows: Centred rows `[N, D]`.
    """
    width = rows.shape[1]
    covariances = (ops.transpose(rows) @ rows) / unbiased_count(rows)
    is_other = 1.0 - ops.eye(width, dtype=rows.dtype)
    return ops.sum(covariances * covariances * is_other) / width


def unbiased_count(rows: Tensor) -> Any:
    """Divisor of the sample variance of rows; 1 for a single row, which has none."""
    others = row_count(rows) - 1
    return ops.maximum(others, 1.0) if hasattr(others, "dtype") else max(others, 1)


@register("vicreg_loss")
class VicReg(TwoViewLoss):
    """VICReg loss of two views: alike row by row, spread out, without redundant columns.

    `lambda_ s_i + mu (V(a) + V(b)) / 2 + nu (C(a) + C(b))` for each row `i`: the mean
    squared difference `s_i` of its views; for each view, how much the standard deviation
    of the columns is below 1 on average, `V`, and the squared covariances of different
    columns, summed and divided by their number, `C`. `VICRegLoss` is PyTorch Metric
    Learning's form: the variance's divisor is `N - 1` there, and `N` here.

    TensorFlow Similarity's default is no reduction, with which training on JAX and torch
    fails, and on TensorFlow has steps `N` times as large. Here it is the mean;
    `reduction="none"` gives the values `[N]`.

    Args:
        std_const: Added to the variances.
        lambda_: Weight of the difference.
        mu: Weight of the deviations.
        nu: Weight of the covariances.
        reduction: As in `TwoViewLoss`.
        name: Name of the loss.
        **kwargs: Those of `TwoViewLoss`: `reducer`, `dtype`.

    Call arguments:
        y_true: One view, `[N, D]`.
        y_pred: The other view, `[N, D]`.

    Reference:
        [Bardes et al., 2021](https://arxiv.org/abs/2105.04906)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import VicReg
        >>> view = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> float(VicReg()(view, view)), float(VicReg()(view, -view))
        (0.0, 100.0)
    """

    default_name = "vicreg_loss"
    is_row_wise = False

    def __init__(
        self,
        std_const: float = 1e-4,
        lambda_: float = 25,
        mu: float = 25,
        nu: float = 1,
        reduction: str | None = "auto",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **kwargs)
        self.std_const = std_const
        self.lambda_ = lambda_
        self.mu = mu
        self.nu = nu

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        views = bounded(view, LARGEST), bounded(other, LARGEST)
        losses = self.lambda_ * mean_squared_differences(*views)
        for rows in map(centered, views):
            missing = missing_deviations(
                rows, divisor=row_count(rows), epsilon=self.std_const
            )
            losses = losses + (0.5 * self.mu) * ops.mean(missing)
            losses = losses + self.nu * covariance_penalty(rows)
        return {"loss": SubLoss(losses)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "std_const": self.std_const,
            "lambda_": self.lambda_,
            "mu": self.mu,
            "nu": self.nu,
        }
