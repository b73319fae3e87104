"""Judging lookups, and choosing the thresholds that turn distances into decisions."""

from keras_similarity.evaluators.auditing import Audit, audit
from keras_similarity.evaluators.base import Evaluator, register, registry
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
    "Audit",
    "Evaluator",
    "MemoryEvaluator",
    "audit",
    "deserialize",
    "get",
    "register",
    "round_distances",
    "serialize",
    "unpack_lookup_distances",
    "unpack_lookup_labels",
]
