"""SimCLR loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.metric_loss import register
from keras_similarity.losses.two_views import TwoViewLoss
from keras_similarity.reducers import SubLoss

Tensor = Any


def simclr(view: Tensor, other: Tensor, *, temperature: float) -> Tensor:
    """SimCLR loss `[N]` of each row: the sum of both directions.

    In each direction, `-log(exp(s_ii) / (sum_j exp(s_ij) + sum_{j != i} exp(r_ij)))`
    with the cosines over the temperature of the views, `s`, and of a view and itself,
    `r`.

    Args:
        view: Floats `[N, D]`.
        other: The rows' other view, `[N, D]`.
        temperature: Divides the cosines; greater than 0.
    """
    view, other = unit(view, ops), unit(other, ops)
    to_other = (view @ ops.transpose(other)) * (1.0 / temperature)
    matched = ops.sum(view * other, axis=1) * (1.0 / temperature)
    row = ops.arange(ops.shape(view)[0])
    is_self = row[:, None] == row[None, :]

    def log_total(rows: Tensor, logits: Tensor) -> Tensor:
        within = (rows @ ops.transpose(rows)) * (1.0 / temperature)
        within = ops.where(is_self, -float("inf"), within)
        return ops.logsumexp(ops.concatenate([logits, within], axis=1), axis=1)

    return (
        log_total(view, to_other)
        + log_total(other, ops.transpose(to_other))
        - 2.0 * matched
    )


@register("simclr_loss", "simclr")
class SimCLRLoss(TwoViewLoss):
    """SimCLR loss over two views of the same rows; see `simclr()`.

    The sum of both directions, as TensorFlow Similarity's; the paper's mean is half of
    it. (`SelfSupervisedLoss(NTXentLoss())` is that mean.)

    Args:
        temperature: Greater than 0.
        name: Name of the loss.
        **kwargs: Those of `TwoViewLoss`: `reduction`, `reducer`, `dtype`.

    Call arguments:
        y_true: One view, `[N, D]`.
        y_pred: The other view, `[N, D]`.

    Raises:
        ValueError: If `temperature` is not positive.

    Reference:
        [Chen et al., 2020](https://arxiv.org/abs/2002.05709)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SimCLRLoss
        >>> view = np.eye(2, dtype="float32")
        >>> round(float(SimCLRLoss(temperature=1.0)(view, view)), 3)
        1.103
    """

    default_name = "simclr_loss"
    is_row_wise = False  # Each row is a column, too.

    def __init__(
        self, temperature: float = 0.05, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        return {"loss": SubLoss(simclr(view, other, temperature=self.temperature))}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
