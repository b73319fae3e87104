"""Metrics by the names that results call them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from keras_similarity.retrieval_metrics.base import RetrievalMetric
from keras_similarity.retrieval_metrics.bndcg import BNDCG
from keras_similarity.retrieval_metrics.cmc_at_k import CMCAtK
from keras_similarity.retrieval_metrics.map_at_k import MapAtK
from keras_similarity.retrieval_metrics.mean_average_precision import (
    MeanAveragePrecision,
)
from keras_similarity.retrieval_metrics.mean_average_precision_at_r import (
    MeanAveragePrecisionAtR,
)
from keras_similarity.retrieval_metrics.mean_reciprocal_rank import MeanReciprocalRank
from keras_similarity.retrieval_metrics.ndcg import NDCG
from keras_similarity.retrieval_metrics.precision_at_k import PrecisionAtK
from keras_similarity.retrieval_metrics.r_precision import RPrecision
from keras_similarity.retrieval_metrics.recall_at_k import RecallAtK
from keras_similarity.retrieval_metrics.true_recall_at_k import TrueRecallAtK

Make = Callable[..., RetrievalMetric]

# With a cut-off: `recall@5`, `recall_at_5`.
_WITH_CUTOFF: dict[str, Make] = {
    "recall": RecallAtK,
    "hit": RecallAtK,
    "hit_rate": RecallAtK,
    "cmc": CMCAtK,
    "true_recall": TrueRecallAtK,
    "precision": PrecisionAtK,
    "map": MapAtK,
    "mean_average_precision": MeanAveragePrecision,
    "mean_reciprocal_rank": MeanReciprocalRank,
    "mrr": MeanReciprocalRank,
    "ndcg": BNDCG,
    "bndcg": BNDCG,
    "graded_ndcg": NDCG,
}
# Without.
_WHOLE: dict[str, Make] = {
    "r_precision": RPrecision,
    "precision@r": RPrecision,
    "mean_average_precision@r": MeanAveragePrecisionAtR,
    "map@r": MeanAveragePrecisionAtR,
    "mean_average_precision": MeanAveragePrecision,
    "mean_reciprocal_rank": MeanReciprocalRank,
    "mrr": MeanReciprocalRank,
    "true_recall": lambda **kwargs: TrueRecallAtK(k=None, **kwargs),
    "graded_ndcg": lambda **kwargs: NDCG(k=None, **kwargs),
}
_CUTOFF = re.compile(r"(.+)@(\d+)")


def metric_of_name(name: str, **kwargs: Any) -> RetrievalMetric | None:
    """The metric that a name in results means, in any case; `None` if there is none.

    PyTorch Metric Learning's names, and TensorFlow Similarity's: `precision_at_1`,
    `r_precision`, `mean_average_precision_at_r`, `recall@5`, `map@10`. A cut-off may be
    written `@5` or `_at_5`.

    Args:
        name: The name.
        **kwargs: Constructor arguments, e.g. `average`.

    Example:
        >>> from keras_similarity.retrieval_metrics import metric_of_name
        >>> metric_of_name("recall_at_5").name
        'recall@5'
    """
    canonical = re.sub(r"_at_(r|\d+)$", r"@\1", name.strip().lower())
    if canonical in _WHOLE:
        return _WHOLE[canonical](**kwargs)
    cutoff = _CUTOFF.fullmatch(canonical)
    make = _WITH_CUTOFF.get(cutoff[1]) if cutoff else None
    return None if cutoff is None or make is None else make(k=int(cutoff[2]), **kwargs)


def metric_names() -> list[str]:
    """The names that `metric_of_name` knows, sorted; `k` stands for a number."""
    with_cutoff = [f"{name}@k" for name in _WITH_CUTOFF]
    return sorted({*_WHOLE, "mean_average_precision_at_r", *with_cutoff})
