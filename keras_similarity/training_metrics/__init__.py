"""How far apart the embeddings of a batch are, as metrics of `compile`."""

from keras_similarity.training_metrics.batch_class_ratio import batch_class_ratio
from keras_similarity.training_metrics.distance_gap_metric import (
    DistanceGapMetric,
    dist_gap,
)
from keras_similarity.training_metrics.distance_metric import (
    DistanceMetric,
    avg_neg,
    avg_pos,
    max_neg,
    max_pos,
    min_neg,
    min_pos,
    sum_neg,
    sum_pos,
)

__all__ = [
    "DistanceGapMetric",
    "DistanceMetric",
    "avg_neg",
    "avg_pos",
    "batch_class_ratio",
    "dist_gap",
    "max_neg",
    "max_pos",
    "min_neg",
    "min_pos",
    "sum_neg",
    "sum_pos",
]
