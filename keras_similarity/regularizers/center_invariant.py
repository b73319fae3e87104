"""Center-invariant regularizer."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers.base import Regularizer, register
from keras_similarity.regularizers.norms import largest_base, row_norms

Tensor = Any


@register("center_invariant")
class CenterInvariantRegularizer(Regularizer):
    """Penalty `(||x_i||**2 - mean_j ||x_j||**2)**2 / 4` of each row.

    Given to a loss's class weights, it keeps classes of few examples as long as others.

    Args:
        reducer: A `Reducer` or its name; the mean by default.
        distance: A `Distance` or its name, which says the norm (`p`); it must neither
            normalise nor have a power. `LpDistance(normalize_embeddings=False)` by
            default.

    Raises:
        ValueError: If the distance normalises or has a power.

    Reference:
        [Wu et al., 2017](https://dl.acm.org/doi/10.1145/3126686.3126693)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import CenterInvariantRegularizer
        >>> float(CenterInvariantRegularizer()(np.array([[2.0, 0.0], [0.0, 0.0]])))
        1.0
    """

    default_distance = lambda: LpDistance(normalize_embeddings=False)  # noqa: E731

    def row_penalties(self, x: Tensor) -> SubLoss:
        norms = row_norms(x, self.distance.p)
        # Longer rows would overflow.
        squares = ops.square(ops.minimum(norms, largest_base(x, 4)))
        return SubLoss(ops.square(squares - ops.mean(squares)) / 4)

    def _checked_distance(self, distance: Distance) -> Distance:
        if distance.normalize_embeddings or distance.power != 1:
            raise ValueError(
                "`distance` must neither normalise nor have a power: norms of rows are "
                f"compared. Received: {distance!r}. Use "
                "`LpDistance(normalize_embeddings=False)`."
            )
        return distance
