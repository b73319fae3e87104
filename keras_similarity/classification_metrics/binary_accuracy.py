"""Binary accuracy."""

from __future__ import annotations

from typing import Any

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    ratio,
    register,
)
from keras_similarity.types import Floats


def binary_accuracy(tp: Any, count: int) -> Floats:
    """`tp / count`: how many of all queries are matched, and rightly.

    True negatives do not count: an index is there to find.

    Args:
        tp: True positives `[T]`.
        count: Number of queries.

    Returns:
        Float64 `[T]`.
    """
    return ratio(tp, count)


@register("binary_accuracy")
class BinaryAccuracy(ClassificationMetric):
    """Binary accuracy; see `binary_accuracy()`. Grows with the threshold."""

    def __init__(self, name: str = "binary_accuracy") -> None:
        super().__init__(name=name, canonical_name="binary_accuracy")

    def compute(self, tp: Any, fp: Any, tn: Any, fn: Any, count: int) -> Floats:
        return binary_accuracy(tp, count)
