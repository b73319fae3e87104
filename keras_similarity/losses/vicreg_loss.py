"""VICReg loss: the form of PyTorch Metric Learning."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss, bounded
from keras_similarity.losses.vicreg import (
    LARGEST,
    centered,
    covariance_penalty,
    mean_squared_differences,
    missing_deviations,
    unbiased_count,
)
from keras_similarity.reducers import SubLoss

Tensor = Any


@register()
class VICRegLoss(TwoViewLoss):
    """VICReg loss of two views, as four terms that are reduced one by one.

    The terms are those of `VicReg`, with `N - 1` for the variance's divisor:
    `invariance_loss`, a value a row; `variance_loss1` and `variance_loss2`, a value a
    column of either view; and `covariance_loss`, one number. PyTorch Metric Learning's
    call, `loss(embeddings, ref_emb=ref_emb)`, is `loss(embeddings, ref_emb)` here; its
    call without `ref_emb` is `loss(embeddings, embeddings)`.

    Args:
        invariance_lambda: Weight of the differences of the views.
        variance_mu: Weight of the deviations.
        covariance_v: Weight of the covariances.
        eps: Added to the variances.
        **kwargs: Those of `TwoViewLoss`: `reducer`, `reduction`, `name`, `dtype`. With a
            `reduction` of Keras the loss of a row is its own difference and the mean of
            the rest.

    Call arguments:
        y_true: One view, `[N, D]`.
        y_pred: The other view, `[N, D]`.

    Reference:
        [Bardes et al., 2021](https://arxiv.org/abs/2105.04906)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import VICRegLoss
        >>> view = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        >>> float(VICRegLoss()(view, view)), float(VICRegLoss()(view, -view))
        (0.0, 100.0)
    """

    is_row_wise = False
    takes_sample_weight = False

    def __init__(
        self,
        invariance_lambda: float = 25,
        variance_mu: float = 25,
        covariance_v: float = 1,
        eps: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.invariance_lambda = invariance_lambda
        self.variance_mu = variance_mu
        self.covariance_v = covariance_v
        self.eps = eps

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        view, other = bounded(view, LARGEST), bounded(other, LARGEST)
        differences = mean_squared_differences(view, other)
        terms = {"invariance_loss": SubLoss(self.invariance_lambda * differences)}
        covariance: Tensor = 0.0
        for number, rows in enumerate(map(centered, (view, other)), start=1):
            missing = missing_deviations(
                rows, divisor=unbiased_count(rows), epsilon=self.eps
            )
            terms[f"variance_loss{number}"] = self._of_columns(missing)
            covariance = covariance + covariance_penalty(rows)
        covariance = self.covariance_v * covariance
        return {**terms, "covariance_loss": SubLoss(covariance, kind="reduced")}

    def _of_columns(self, missing: Tensor) -> SubLoss:
        values = (0.5 * self.variance_mu) * missing
        if self.reducer is not None:
            return SubLoss(values)
        # Values of rows and of columns cannot be added one by one.
        return SubLoss(ops.mean(values), kind="reduced")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "invariance_lambda": self.invariance_lambda,
            "variance_mu": self.variance_mu,
            "covariance_v": self.covariance_v,
            "eps": self.eps,
        }
