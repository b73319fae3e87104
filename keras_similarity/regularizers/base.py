"""What all regularizers share: a penalty on rows, reduced to one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from keras_similarity import distances, reducers
from keras_similarity.backend import ops
from keras_similarity.distances import CosineDistance, Distance
from keras_similarity.distances.base import as_floats
from keras_similarity.reducers import Reducer, SubLoss
from keras_similarity.registry import Registry

Tensor = Any


class Regularizer(ABC):
    """A penalty on embeddings, or on the weights of classes: rows `[N, D]`.

    A subclass writes its formula in `row_penalties`.

    Args:
        reducer: A `Reducer` or its name; the class's default if `None`.
        distance: A `Distance` or its name, where the formula uses one.

    Raises:
        ValueError: If the formula cannot use the distance.
    """

    default_reducer: ClassVar[str] = "mean"
    default_distance: ClassVar[Callable[[], Distance]] = CosineDistance

    def __init__(
        self,
        reducer: Reducer | str | None = None,
        distance: Distance | str | None = None,
    ) -> None:
        self.reducer = reducers.get(reducer or self.default_reducer)
        distance = distances.get(distance or type(self).default_distance())
        self.distance = self._checked_distance(distance)

    @abstractmethod
    def row_penalties(self, x: Tensor) -> SubLoss:
        """Penalty of each row of `x` `[N, D]`, float32 or float64."""

    def __call__(self, x: Tensor) -> Tensor:
        """The reduced penalty of rows `[N, D]`."""
        x = as_floats(x if hasattr(x, "dtype") else np.asarray(x), ops)
        if len(x.shape) != 2:
            raise ValueError(
                f"`x` must have the shape [rows, width]. Received: {tuple(x.shape)}."
            )
        penalties = self.row_penalties(x)
        if self.reducer.needs_labels and penalties.labels is None:
            # Each row is its own class: those of a loss's weights are.
            labels = ops.arange(ops.shape(x)[0], dtype="int32")
            penalties = replace(penalties, labels=labels)
        return self.reducer.reduce(penalties)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {
            "reducer": reducers.serialize(self.reducer),
            "distance": distances.serialize(self.distance),
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        """The distance, or a `ValueError` if the formula cannot use it."""
        return distance

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)


registry = Registry("regularizer", Regularizer)
register = registry.register
