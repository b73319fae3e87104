"""The nearest neighbour decides."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.matchers.base import (
    ClassificationMatch,
    as_match,
    check_lookup_columns,
    register,
)
from keras_similarity.types import NO_LABEL, Floats, Ints


@register("match_nearest")
class MatchNearest(ClassificationMatch):
    """A query has the label and the distance of its nearest neighbour.

    Args:
        name: Name of the object.

    Example:
        >>> from keras_similarity.matchers import MatchNearest
        >>> labels, distances = MatchNearest().derive_match([[7, 8, 8]], [[1, 2, 3]])
        >>> labels.tolist(), distances.tolist()
        ([[7]], [[1.0]])
    """

    def __init__(
        self, name: str = "nearest", canonical_name: str = "match_nearest"
    ) -> None:
        super().__init__(name=name, canonical_name=canonical_name)

    def derive_match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[Ints, Floats]:
        labels, distances = check_lookup_columns(lookup_labels, lookup_distances)
        if labels.shape[1] == 0:
            return as_match(np.full(len(labels), NO_LABEL), np.full(len(labels), np.nan))
        return as_match(labels[:, 0], distances[:, 0])
