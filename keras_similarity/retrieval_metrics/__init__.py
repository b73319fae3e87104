"""How good the neighbours of queries are, in the order in which they come."""

from keras_similarity.retrieval_metrics.base import RetrievalMetric, register, registry
from keras_similarity.retrieval_metrics.bndcg import BNDCG
from keras_similarity.retrieval_metrics.map_at_k import MapAtK
from keras_similarity.retrieval_metrics.match_mask import compute_match_mask
from keras_similarity.retrieval_metrics.precision_at_k import PrecisionAtK
from keras_similarity.retrieval_metrics.recall_at_k import RecallAtK

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "BNDCG",
    "MapAtK",
    "PrecisionAtK",
    "RecallAtK",
    "RetrievalMetric",
    "compute_match_mask",
    "deserialize",
    "get",
    "register",
    "serialize",
]
