"""The values of a loss as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.backend import ops
from keras_similarity.reducers.base import Reducer, register
from keras_similarity.reducers.sub_loss import Kind, SubLoss

Tensor = Any

# PyTorch Metric Learning's names.
_REDUCTION_TYPES: dict[Kind, str] = {
    "element": "element",
    "positive_pair": "pos_pair",
    "negative_pair": "neg_pair",
    "triplet": "triplet",
    "reduced": "already_reduced",
}


@register("do_nothing")
class DoNothingReducer(Reducer):
    """Gives the values of each term of a loss, and whose they are, in place of a number.

    For looking at a loss, or for reducing it yourself; not under jit, nor in
    `compile()`. The values carry gradients.

    A call of the loss returns a dictionary, name of the term to a dictionary of

    - `"losses"`: floats `[T]`, those that count, in the order of rows; a scalar for a
      term that is reduced already. What counts `k` times comes `k` times.
    - `"indices"`: whose they are: rows `[T]`, pairs `[T, 2]` or triplets `[T, 3]`;
      `None` for a term that is reduced already.
    - `"reduction_type"`: `"element"`, `"pos_pair"`, `"neg_pair"`, `"triplet"` or
      `"already_reduced"`.
    - `"divisor"`: where a loss has one, what `DivisorReducer` divides by.
    - `"weights"`: where they count by fractions, how much each does `[T]`.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> from keras_similarity.reducers import DoNothingReducer
        >>> loss = ContrastiveLoss(distance="sql2", reducer=DoNothingReducer())
        >>> terms = loss(np.array([0, 0, 1]), np.array([[0.0], [1.0], [5.0]]))
        >>> terms["pos_loss"]["indices"].tolist()
        [[0, 1], [1, 0]]
    """

    def __call__(
        self, sub_losses: Mapping[str, SubLoss], row_weights: Tensor | None = None
    ) -> Any:
        return {
            name: self.reduce(sub_loss, row_weights)
            for name, sub_loss in sub_losses.items()
        }

    def reduce(self, sub_loss: SubLoss, row_weights: Tensor | None = None) -> Any:
        """One term, as the entry of the dictionary."""
        found: dict[str, Any] = {"reduction_type": _REDUCTION_TYPES[sub_loss.kind]}
        if sub_loss.kind == "reduced":
            return {"losses": sub_loss.values, "indices": None, **found}
        values, indices, weights = sub_loss.listed()
        if row_weights is not None:
            anchors = indices if indices.ndim == 1 else indices[:, 0]
            values = values * ops.take(row_weights, anchors.astype(np.int32))
        found = {"losses": values, "indices": indices, **found}
        if sub_loss.divisor is not None:
            found["divisor"] = sub_loss.divisor
        return found if weights is None else {**found, "weights": weights}
