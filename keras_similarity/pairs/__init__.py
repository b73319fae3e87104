"""Which rows are positives and which negatives of which, as masks."""

from keras_similarity.pairs.masked import (
    has_any,
    masked_log1p_sum_exp,
    masked_max,
    masked_min,
)
from keras_similarity.pairs.pairs import Pairs, pairs_from_labels

__all__ = [
    "Pairs",
    "has_any",
    "masked_log1p_sum_exp",
    "masked_max",
    "masked_min",
    "pairs_from_labels",
]
