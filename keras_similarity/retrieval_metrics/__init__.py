"""How good the neighbours of queries are, in the order in which they come."""

from keras_similarity.retrieval_metrics.base import RetrievalMetric, register, registry
from keras_similarity.retrieval_metrics.bndcg import BNDCG
from keras_similarity.retrieval_metrics.cmc_at_k import CMCAtK
from keras_similarity.retrieval_metrics.map_at_k import MapAtK
from keras_similarity.retrieval_metrics.match_mask import compute_match_mask
from keras_similarity.retrieval_metrics.mean_average_precision import (
    MeanAveragePrecision,
)
from keras_similarity.retrieval_metrics.mean_average_precision_at_r import (
    MeanAveragePrecisionAtR,
)
from keras_similarity.retrieval_metrics.mean_reciprocal_rank import MeanReciprocalRank
from keras_similarity.retrieval_metrics.names import metric_names, metric_of_name
from keras_similarity.retrieval_metrics.ndcg import NDCG
from keras_similarity.retrieval_metrics.precision_at_k import PrecisionAtK
from keras_similarity.retrieval_metrics.r_precision import RPrecision
from keras_similarity.retrieval_metrics.ranked import RankedMetric
from keras_similarity.retrieval_metrics.ranking import Ranking
from keras_similarity.retrieval_metrics.recall_at_k import RecallAtK
from keras_similarity.retrieval_metrics.true_recall_at_k import TrueRecallAtK

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "BNDCG",
    "NDCG",
    "CMCAtK",
    "MapAtK",
    "MeanAveragePrecision",
    "MeanAveragePrecisionAtR",
    "MeanReciprocalRank",
    "PrecisionAtK",
    "RPrecision",
    "RankedMetric",
    "Ranking",
    "RecallAtK",
    "RetrievalMetric",
    "TrueRecallAtK",
    "compute_match_mask",
    "deserialize",
    "get",
    "metric_names",
    "metric_of_name",
    "register",
    "serialize",
]
