"""Recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def recall(tp: Any, fn: Any) -> Floats:
    """`tp / (tp + fn)`: how many of those that can be found are.

    Only a query whose derived label is right can be found, at whatever distance.

    Args:
        tp: True positives `[T]`.
        fn: False negatives `[T]`.

    Returns:
        Float64 `[T]`.
    """
    return ratio(tp, np.add(tp, fn))


@register("recall")
class Recall(ClassificationMetric):
    """Recall; see `recall()`. Grows with the threshold."""

    def __init__(self, name: str = "recall") -> None:
        super().__init__(name=name, canonical_name="recall")

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return recall(tp, fn)
