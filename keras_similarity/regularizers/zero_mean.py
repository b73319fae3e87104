"""Zero-mean regularizer."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances.powers import absolute
from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers.base import Regularizer, register

Tensor = Any


@register("zero_mean")
class ZeroMeanRegularizer(Regularizer):
    """Penalty `|sum_k x_ik|` of each row: keeps the mean of its coordinates at 0.

    Args:
        **kwargs: Those of `Regularizer`: `reducer` (the mean by default). There is no
            distance in the formula.

    Reference:
        [Yuan et al., 2019](https://arxiv.org/abs/1904.02616), for the signal-to-noise
        ratio as a distance.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import ZeroMeanRegularizer
        >>> float(ZeroMeanRegularizer()(np.array([[1.0, -1.0], [-2.0, -1.0]])))
        1.5
    """

    def row_penalties(self, x: Tensor) -> SubLoss:
        return SubLoss(absolute(ops.sum(x, axis=1), ops))
