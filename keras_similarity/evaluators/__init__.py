"""Judging lookups, and choosing the thresholds that turn distances into decisions."""

from keras_similarity.evaluators.accuracy_calculator import AccuracyCalculator
from keras_similarity.evaluators.auditing import Audit, audit
from keras_similarity.evaluators.base import Evaluator, register, registry
from keras_similarity.evaluators.comparison import Comparison, compare
from keras_similarity.evaluators.evaluate import evaluate
from keras_similarity.evaluators.evaluation import Evaluation, Interval
from keras_similarity.evaluators.false_accepts import Trials, false_accept_threshold
from keras_similarity.evaluators.lookup_columns import (
    round_distances,
    unpack_lookup_distances,
    unpack_lookup_labels,
)
from keras_similarity.evaluators.memory import MemoryEvaluator

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "AccuracyCalculator",
    "Audit",
    "Comparison",
    "Evaluation",
    "Evaluator",
    "Interval",
    "MemoryEvaluator",
    "Trials",
    "audit",
    "compare",
    "deserialize",
    "evaluate",
    "false_accept_threshold",
    "get",
    "register",
    "round_distances",
    "serialize",
    "unpack_lookup_distances",
    "unpack_lookup_labels",
]
