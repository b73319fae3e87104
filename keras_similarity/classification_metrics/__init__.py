"""How good the decisions of a matcher are, threshold by threshold."""

from keras_similarity.classification_metrics.base import (
    ClassificationMetric,
    make_classification_metric,
    register,
    registry,
)
from keras_similarity.classification_metrics.binary_accuracy import BinaryAccuracy
from keras_similarity.classification_metrics.f1_score import F1Score
from keras_similarity.classification_metrics.false_positive_rate import FalsePositiveRate
from keras_similarity.classification_metrics.negative_predictive_value import (
    NegativePredictiveValue,
)
from keras_similarity.classification_metrics.precision import Precision
from keras_similarity.classification_metrics.recall import Recall

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "BinaryAccuracy",
    "ClassificationMetric",
    "F1Score",
    "FalsePositiveRate",
    "NegativePredictiveValue",
    "Precision",
    "Recall",
    "deserialize",
    "get",
    "make_classification_metric",
    "register",
    "serialize",
]
