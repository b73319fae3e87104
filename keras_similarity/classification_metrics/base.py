"""What all classification metrics share: names, direction and config."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from keras_similarity.registry import Registry
from keras_similarity.types import Floats

# What a class says of itself; its subclasses need not take them as arguments.
_FACTS = ("canonical_name", "maximize", "increasing")


class ClassificationMetric(ABC):
    """A value for each threshold, from the counts that a matcher made there.

    Args:
        name: Key of the metric in results.
        canonical_name: Name of the formula.
        maximize: Is a larger value better?
        increasing: Does the value grow with the threshold? Together with `maximize` it
            says where calibration looks for a target: see `evaluators.calibration`.

    Example:
        >>> from keras_similarity.classification_metrics import Recall
        >>> Recall().compute(tp=[1, 3], fp=[0, 1], tn=[1, 0], fn=[3, 1], count=5).tolist()
        [0.25, 0.75]
    """

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        maximize: bool = True,
        increasing: bool = True,
    ) -> None:
        self.name = name
        self.canonical_name = canonical_name
        self.maximize = maximize
        self.increasing = increasing

    @abstractmethod
    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        """Values `[T]` of the metric.

        Args:
            tp: True positives `[T]`, one count a threshold, thresholds ascending.
            fp: False positives `[T]`.
            tn: True negatives `[T]`.
            fn: False negatives `[T]`.
            count: Number of queries.

        Returns:
            Float64 `[T]`; 0 where the formula divides by 0.
        """

    def get_config(self) -> dict[str, Any]:
        """Name and facts of the metric, as plain data."""
        return {"name": self.name, **{fact: getattr(self, fact) for fact in _FACTS}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**{key: value for key, value in config.items() if key not in _FACTS})

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.canonical_name}:{self.name}"


registry = Registry("classification metric", ClassificationMetric)
register = registry.register


def make_classification_metric(
    metric: str | ClassificationMetric, name: str = ""
) -> ClassificationMetric:
    """The metric that a name means, called as it was asked for.

    Args:
        metric: An alias in any case, or an object, which is returned as it is.
        name: Name of the result; the alias in lower case by default.

    Raises:
        ValueError: If the alias is unknown.
        TypeError: If `metric` is neither.

    Example:
        >>> from keras_similarity.classification_metrics import (
        ...     make_classification_metric,
        ... )
        >>> make_classification_metric("F1").name
        'f1'
    """
    if isinstance(metric, str):
        return registry.get(metric, name=name or metric.lower())
    metric = registry.get(metric)
    if name and name != metric.name:
        metric = copy.copy(metric)
        metric.name = name
    return metric


def ratio(numerator: Any, denominator: Any) -> Floats:
    """`numerator / denominator` in float64, 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, "float64"), np.asarray(denominator, "float64")
    )
    zeros = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator != 0)
