"""A reducer for each term of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_similarity.reducers.base import Reducer, register, registry
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("multiple")
class MultipleReducers(Reducer):
    """Reduces each term of a loss by a reducer of its own, then adds them up.

    Args:
        reducers: Name of a term, e.g. `"pos_loss"`, to the `Reducer` of it, or its name.
        default_reducer: Reducer of the other terms; `None` for `MeanReducer`.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> from keras_similarity.reducers import MultipleReducers
        >>> reducer = MultipleReducers({"pos_loss": "sum"}, default_reducer="mean")
        >>> loss = ContrastiveLoss(distance="sql2", reducer=reducer)
        >>> float(loss(np.array([0, 0, 1]), np.array([[0.0], [1.0], [5.0]])))  # 1 + 1
        2.0
    """

    def __init__(
        self,
        reducers: Mapping[str, Reducer | str | Mapping[str, Any]],
        default_reducer: Reducer | str | Mapping[str, Any] | None = None,
    ) -> None:
        self.reducers = {name: registry.get(item) for name, item in reducers.items()}
        self.default_reducer = registry.get(default_reducer or "mean")

    @property
    def needs_labels(self) -> bool:
        reducers = (*self.reducers.values(), self.default_reducer)
        return any(reducer.needs_labels for reducer in reducers)

    def reducer_of(self, name: str) -> Reducer:
        return self.reducers.get(name, self.default_reducer).reducer_of(name)

    def reduce(self, sub_loss: SubLoss, row_weights: Tensor | None = None) -> Tensor:
        return self.default_reducer.reduce(sub_loss, row_weights)

    def get_config(self) -> dict[str, Any]:
        reducers = {name: registry.serialize(r) for name, r in self.reducers.items()}
        default = registry.serialize(self.default_reducer)
        return {"reducers": reducers, "default_reducer": default}
