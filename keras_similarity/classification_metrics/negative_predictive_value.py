"""Negative predictive value."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def negative_predictive_value(tn: Any, fn: Any) -> Floats:
    """`tn / (tn + fn)`: how many of those that are not matched should not be.

    Args:
        tn: True negatives `[T]`.
        fn: False negatives `[T]`.

    Returns:
        Float64 `[T]`.
    """
    return ratio(tn, np.add(tn, fn))


# TensorFlow Similarity spells its alias "predicitve".
@register("npv", "negative_predictive_value", "negative_predicitve_value")
class NegativePredictiveValue(ClassificationMetric):
    """Negative predictive value; see `negative_predictive_value()`."""

    def __init__(self, name: str = "npv") -> None:
        super().__init__(name=name, canonical_name="negative_predictive_value")

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return negative_predictive_value(tn, fn)
