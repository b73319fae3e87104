"""Per-anchor reducer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from keras_similarity.backend import keras, ops
from keras_similarity.reducers.base import Reducer, register, registry
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("per_anchor")
class PerAnchorReducer(Reducer):
    """First one value an anchor, then one number.

    The values of an anchor's pairs or triplets become their mean, 0 if it has none; what
    has one value a row already stays. All rows go to the inner reducer, whose thresholds,
    if it has any, apply to them.

    Args:
        reducer: Inner `Reducer`, or its name; `None` for `MeanReducer`.
        aggregation_func: `aggregation_func(x, num_per_row)`, in place of the mean: from
            the values of pairs `[n, M]`, 0 where there is no pair, and how many pairs
            each row has `[n]`, to `[n]`. To save it in a config, register it with
            `keras.saving.register_keras_serializable`. Not for triplets, which are
            never listed.

    Raises:
        TypeError: If `aggregation_func` is no function.
        ValueError: When called for a loss that has values of triplets, if there is an
            `aggregation_func`.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> from keras_similarity.reducers import PerAnchorReducer
        >>> loss = ContrastiveLoss(distance="sql2", reducer=PerAnchorReducer())
        >>> embeddings = np.array([[0.0], [2.0], [-2.0]])
        >>> float(loss(np.array([0, 0, 0]), embeddings))  # (4 + 10 + 10) / 3
        8.0
    """

    def __init__(
        self,
        reducer: Reducer | str | Mapping[str, Any] | None = None,
        aggregation_func: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.reducer = registry.get(reducer or "mean")
        if aggregation_func is not None and not callable(aggregation_func):
            raise TypeError(
                "`aggregation_func` must be a function of the values [n, M] and the "
                f"counts [n]. Received: {aggregation_func!r}."
            )
        self.aggregation_func = aggregation_func

    @property
    def needs_labels(self) -> bool:
        return self.reducer.needs_labels

    def reduce(self, sub_loss: SubLoss, row_weights: Tensor | None = None) -> Tensor:
        if sub_loss.kind not in ("element", "reduced"):
            sub_loss = SubLoss(self._aggregate(sub_loss), labels=sub_loss.labels)
        return self.reducer.reduce(sub_loss, row_weights)

    def _aggregate(self, sub_loss: SubLoss) -> Tensor:
        if self.aggregation_func is None:
            return ops.divide_no_nan(*sub_loss.sums(None, None))
        if sub_loss.kind == "triplet":
            raise ValueError(
                "`aggregation_func` must be None for a loss that has values of triplets, "
                f"not of pairs. Received: {self.aggregation_func!r}. Leave it out for "
                "the mean of each anchor's triplets."
            )
        sub_loss = sub_loss.dense()
        counts = ops.cast(sub_loss.counts, sub_loss.values.dtype)
        return self.aggregation_func(sub_loss.values * counts, ops.sum(counts, axis=1))

    def get_config(self) -> dict[str, Any]:
        function = self.aggregation_func
        saved = (
            None if function is None else keras.saving.serialize_keras_object(function)
        )
        return {"reducer": registry.serialize(self.reducer), "aggregation_func": saved}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        function = config.get("aggregation_func")
        if isinstance(function, Mapping):
            function = keras.saving.deserialize_keras_object(dict(function))
        return cls(**{**config, "aggregation_func": function})
