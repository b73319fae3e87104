"""The neighbours vote."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.matchers.base import (
    ClassificationMatch,
    as_match,
    check_lookup_columns,
    register,
)
from keras_similarity.matchers.weighted_vote import heaviest_label
from keras_similarity.types import NO_LABEL, Floats, Ints


@register("match_majority_vote")
class MatchMajorityVote(ClassificationMatch):
    """A query has the most frequent label of its neighbours, at their mean distance.

    Of labels equally frequent the one met first wins. The mean is over all `K`
    neighbours, also those with another label; a missing one counts as infinitely far,
    so that a short row matches at the threshold infinity only. Neighbours without a
    label have no vote.

    Args:
        name: Name of the object.

    Example:
        >>> from keras_similarity.matchers import MatchMajorityVote
        >>> vote = MatchMajorityVote()
        >>> labels, distances = vote.derive_match([[7, 8, 8]], [[1, 2, 3]])
        >>> labels.tolist(), distances.tolist()
        ([[8]], [[2.0]])
    """

    def __init__(
        self, name: str = "majority_vote", canonical_name: str = "match_majority_vote"
    ) -> None:
        super().__init__(name=name, canonical_name=canonical_name)

    def derive_match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[Ints, Floats]:
        labels, distances = check_lookup_columns(lookup_labels, lookup_distances)
        if labels.shape[1] == 0:
            return as_match(np.full(len(labels), NO_LABEL), np.full(len(labels), np.nan))
        # In float64, so that equal distances have themselves as their mean.
        mean = distances.mean(axis=1, dtype="float64")
        return as_match(majority_label(labels), mean)


def majority_label(labels: Ints) -> Ints:
    """Most frequent label `[N]` of each row `[N, K]`, the first met among equals.

    `types.NO_LABEL` has no vote; it comes out where a row holds nothing else.
    """
    return heaviest_label(labels, labels != NO_LABEL)
