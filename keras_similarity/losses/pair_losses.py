"""What losses with one value a pair share."""

from __future__ import annotations

from typing import Any

from keras_similarity.pairs import Pairs
from keras_similarity.reducers import SubLoss

Tensor = Any


def of_positives(values: Tensor, pairs: Pairs) -> SubLoss:
    """A term with a value `[n, M]` for each positive pair, as often as it counts.

    `values` must be finite where there is no positive, too.
    """
    return SubLoss(values, pairs.positive_counts, kind="positive_pair")


def of_negatives(values: Tensor, pairs: Pairs) -> SubLoss:
    """A term with a value `[n, M]` for each negative pair, as often as it counts.

    `values` must be finite where there is no negative, too.
    """
    return SubLoss(values, pairs.negative_counts, kind="negative_pair")
