"""Lp regularizer."""

from __future__ import annotations

from typing import Any

from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers.base import Regularizer, register
from keras_similarity.regularizers.norms import row_norms, saturated_power

Tensor = Any


@register("lp")
class LpRegularizer(Regularizer):
    """Penalty `||x_i||_p ** power` of each row: keeps embeddings short.

    Args:
        p: Which norm; finite, from 1.
        power: Exponent of the norm; greater than 0.
        **kwargs: Those of `Regularizer`: `reducer` (the mean by default). There is no
            distance in the formula.

    Raises:
        ValueError: If `p` or `power` is out of range.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import LpRegularizer
        >>> float(LpRegularizer()(np.array([[3.0, 4.0], [0.0, 1.0]])))  # (5 + 1) / 2
        3.0
    """

    def __init__(self, p: float = 2, power: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= p < float("inf"):
            raise ValueError(f"`p` must be finite and at least 1. Received: p={p}.")
        if power <= 0:
            raise ValueError(f"`power` must be greater than 0. Received: power={power}.")
        self.p = p
        self.power = power

    def row_penalties(self, x: Tensor) -> SubLoss:
        return SubLoss(saturated_power(row_norms(x, self.p), self.power))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "p": self.p, "power": self.power}
