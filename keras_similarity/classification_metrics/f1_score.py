"""F1 score."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def f1_score(tp: Any, fp: Any, fn: Any) -> Floats:
    """`2 p r / (p + r)`, the harmonic mean of precision and recall.

    Computed as `2 tp / (2 tp + fp + fn)`, one rounding, so that thresholds of equal
    score come out equal.

    Args:
        tp: True positives `[T]`.
        fp: False positives `[T]`.
        fn: False negatives `[T]`.

    Returns:
        Float64 `[T]`.
    """
    twice = np.multiply(2.0, tp)
    return ratio(twice, twice + np.add(fp, fn))


@register("f1", "f1score", "f1_score")
class F1Score(ClassificationMetric):
    """F1 score; see `f1_score()`."""

    def __init__(self, name: str = "f1") -> None:
        super().__init__(name=name, canonical_name="f1_score")

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return f1_score(tp, fp, fn)
