"""Precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def precision(tp: Any, fp: Any) -> Floats:
    """`tp / (tp + fp)`: how many of the matches are right.

    Where the smallest of several thresholds matches nothing, precision there is 1, the
    start of a precision-recall curve; elsewhere nothing matched counts as 0.

    Args:
        tp: True positives `[T]`, thresholds ascending.
        fp: False positives `[T]`.

    Returns:
        Float64 `[T]`.
    """
    positives = np.add(tp, fp)
    values = ratio(tp, positives)
    if values.size > 1 and positives[0] == 0:
        values[0] = 1.0
    return values


@register("precision")
class Precision(ClassificationMetric):
    """Precision; see `precision()`. Falls, by and large, as the threshold grows."""

    def __init__(self, name: str = "precision") -> None:
        super().__init__(
            name=name, canonical_name="precision", maximize=True, increasing=False
        )

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return precision(tp, fp)
