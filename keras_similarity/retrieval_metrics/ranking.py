"""What retrieval metrics look at: neighbours of queries, and what there was to find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_similarity.types import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Ranking:
    """Neighbours of `Q` queries, nearest first, and what there was to find.

    Attributes:
        query_labels: Int64 `[Q]`; zeros where queries have no single label.
        is_match: Bool `[Q, K]`: is the neighbour relevant to its query? False where
            there is no neighbour.
        costs: Floats `[Q, K]`, smaller is closer; NaN where there is no neighbour.
        relevant: Int64 `[Q]`: how many relevant rows there are, found or not, without
            the query's own.
        k: How many neighbours count for a metric without a cut-off of its own, from 1 to
            `K`.
        excludes_self: Were the queries' own rows taken out?
        gains: Floats `[Q, K]`: how relevant each neighbour is, where that is graded.
        ideal_gains: Floats `[Q, K]`: the largest gains that there were, largest first,
            then 0; where relevance is graded.
    """

    query_labels: Ints
    is_match: Bools
    costs: Floats
    relevant: Ints
    k: int
    excludes_self: bool = False
    gains: Floats | None = None
    ideal_gains: Floats | None = None

    def matches_within(self, threshold: float) -> Bools:
        """Bool `[Q, K]`: is the neighbour relevant, and no farther than the threshold?"""
        if threshold == np.inf:
            return self.is_match
        return self.is_match & (self.costs.astype("float32") <= np.float32(threshold))
