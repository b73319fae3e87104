"""How much each row of a batch counts, when pairs were chosen."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.pairs.masked import one_if_zero
from keras_similarity.pairs.pairs import Pairs

Tensor = Any


def sample_weights(pairs: Pairs, *, anchors_only: bool = False) -> Tensor:
    """How often each row is in the chosen pairs or triplets, over the largest such count.

    What losses with one value a row make of pairs: a row in no pair has weight 0. A
    triplet is three rows, a pair is two, each as often as it counts.

    Args:
        pairs: Pairs `[n, M]`; `[n, n]` unless `anchors_only`.
        anchors_only: Count rows as anchors only? For keys that are no anchors.

    Returns:
        Floats `[n]` from 0 to 1; all 1 if `pairs` are empty.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.pairs import pairs_from_indices, sample_weights
        >>> pairs = pairs_from_indices(([0, 0], [1, 1], [2, 3]), (4, 4))
        >>> ops.convert_to_numpy(sample_weights(pairs)).tolist()
        [1.0, 1.0, 0.5, 0.5]
    """
    positive, negative = pairs.positive_counts, pairs.negative_counts
    both = positive + negative
    # A triplet has its anchor once, and is in both projections.
    counts = ops.sum(both if pairs.triplets is None else positive, axis=1)
    if not anchors_only:
        counts = counts + ops.sum(both, axis=0)
    largest = ops.amax(counts)
    # All count once where nothing counts at all.
    weights = counts / one_if_zero(largest)
    return weights + ops.cast(largest == 0, counts.dtype)
