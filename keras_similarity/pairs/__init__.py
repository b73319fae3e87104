"""Which rows are positives and which negatives of which, as masks."""

from keras_similarity.pairs.batch import Batch, check_rows
from keras_similarity.pairs.draws import (
    draw_columns,
    draw_uniform,
    random_triplets,
    triplets_of_columns,
)
from keras_similarity.pairs.hierarchy import pairs_from_hierarchy
from keras_similarity.pairs.indices import (
    counted_triplets,
    pair_indices,
    pairs_from_indices,
    triplet_indices,
)
from keras_similarity.pairs.masked import (
    has_any,
    log_sum_exp_or_zero,
    masked_log1p_sum_exp,
    masked_log_sum_exp,
    masked_max,
    masked_min,
    off_diagonal,
    one_if_zero,
)
from keras_similarity.pairs.multi_hot import pairs_from_multi_hot
from keras_similarity.pairs.pairs import (
    Pairs,
    comparable_labels,
    pairs_by_rule,
    pairs_from_labels,
    pairs_from_triplets,
)
from keras_similarity.pairs.positives import (
    fold_positives,
    put_keys,
    running_counts,
    sum_over_positives,
    take_keys,
    take_rows,
    values_of_positives,
)
from keras_similarity.pairs.sample_weights import sample_weights
from keras_similarity.pairs.selection import keep_pairs
from keras_similarity.pairs.similarity import pairs_from_similarity
from keras_similarity.pairs.triplet_counts import count_triplets
from keras_similarity.pairs.triplets import TripletRule, Triplets

__all__ = [
    "Batch",
    "Pairs",
    "TripletRule",
    "Triplets",
    "check_rows",
    "comparable_labels",
    "count_triplets",
    "counted_triplets",
    "draw_columns",
    "draw_uniform",
    "fold_positives",
    "has_any",
    "keep_pairs",
    "log_sum_exp_or_zero",
    "masked_log1p_sum_exp",
    "masked_log_sum_exp",
    "masked_max",
    "masked_min",
    "off_diagonal",
    "one_if_zero",
    "pair_indices",
    "pairs_by_rule",
    "pairs_from_hierarchy",
    "pairs_from_indices",
    "pairs_from_labels",
    "pairs_from_multi_hot",
    "pairs_from_similarity",
    "pairs_from_triplets",
    "put_keys",
    "random_triplets",
    "running_counts",
    "sample_weights",
    "sum_over_positives",
    "take_keys",
    "take_rows",
    "triplet_indices",
    "triplets_of_columns",
    "values_of_positives",
]
