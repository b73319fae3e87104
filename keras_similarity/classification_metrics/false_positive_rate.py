"""False positive rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def false_positive_rate(fp: Any, tn: Any) -> Floats:
    """`fp / (fp + tn)`: how many of those that should not match do.

    Args:
        fp: False positives `[T]`.
        tn: True negatives `[T]`.

    Returns:
        Float64 `[T]`.
    """
    return ratio(fp, np.add(fp, tn))


@register("fpr", "false_positive_rate")
class FalsePositiveRate(ClassificationMetric):
    """False positive rate; see `false_positive_rate()`.

    Smaller is better; it grows with the threshold.
    """

    def __init__(self, name: str = "fpr") -> None:
        super().__init__(name=name, canonical_name="false_positive_rate", maximize=False)

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return false_positive_rate(fp, tn)
