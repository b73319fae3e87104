"""Which neighbours share the label of their query."""

from __future__ import annotations

from typing import Any

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.types import NO_LABEL, Bools


def compute_match_mask(query_labels: Any, lookup_labels: Any) -> Bools:
    """Bool `[Q, K]`: does the `j`-th neighbour of query `i` share its label?

    Args:
        query_labels: Integers `[Q]`.
        lookup_labels: Integers `[Q, K]`; `types.NO_LABEL`, which matches nothing, where
            there is no neighbour or it has no label.

    Raises:
        TypeError: If the labels are no integers.
        ValueError: If the shapes do not fit.

    Example:
        >>> from keras_similarity.retrieval_metrics import compute_match_mask
        >>> compute_match_mask([1, 2], [[1, 2], [1, 2]]).tolist()
        [[True, False], [False, True]]
    """
    lookup_labels = to_numpy(lookup_labels)
    if lookup_labels.ndim != 2:
        raise ValueError(
            "`lookup_labels` must have the shape [queries, neighbours]. Received: "
            f"lookup_labels.shape={lookup_labels.shape}."
        )
    query = check_labels(query_labels, name="query_labels", rows=len(lookup_labels))
    return (lookup_labels == query[:, None]) & (lookup_labels != NO_LABEL)
