"""How many positive and negative pairs there are at each cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.set_metrics.binned_pairs import count_in_bins, count_weights_in_bins
from keras_similarity.set_metrics.pair_list import PairList
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats

#: Up to so many pairs each cost is a threshold of its own.
EXACT_PAIRS = 2**22
#: Up to so many weights of pairs, of all draws, each pair is weighed by itself.
EXACT_WEIGHTS = 2**29


@dataclass(frozen=True)
class PairCounts:
    """Weights of the pairs at each threshold, for some draws.

    Attributes:
        thresholds: Costs `[T]`, ascending: a pair is accepted up to its own.
        positives: Weight `[r, T]` of the positive pairs there.
        negatives: Weight `[r, T]` of the negative pairs there.
        is_exact: Is a threshold a cost that occurs, or the upper edge of a bin?
    """

    thresholds: Floats
    positives: Floats
    negatives: Floats
    is_exact: bool


@dataclass(frozen=True)
class ListedPairs:
    """Few pairs, each with its own threshold."""

    rows: Rows
    pairs: PairList
    thresholds: Floats

    def counts(self) -> Iterator[PairCounts]:
        """Counts of all draws, some at a time."""
        for positives, negatives in self.pairs.counts(self.rows, len(self.thresholds)):
            yield PairCounts(self.thresholds, positives, negatives, True)


@dataclass(frozen=True)
class BinnedPairs:
    """Many pairs, in bins."""

    all_counts: PairCounts

    def counts(self) -> Iterator[PairCounts]:
        """Counts of all draws, at once."""
        yield self.all_counts


PairSummary = ListedPairs | BinnedPairs


def count_pairs(
    rows: Rows, pairs: tuple[Sequence[int], ...] | None = None
) -> PairSummary:
    """Counts the pairs of rows, or those given, by cost.

    Up to 2**22 pairs (2,897 rows against themselves) each cost is a threshold of its
    own; above, costs fall into the bins of `CostBins`, about a millionth of their range
    wide. With weights and more than 2**29 weights of pairs there are some 1,000 bins,
    placed by quantiles, and the nearest pairs are weighed as products, the others as
    `w_i + w_j - 1`: what is left out, `(w_i - 1)(w_j - 1)`, averages out over many pairs.

    Args:
        rows: The rows.
        pairs: Rows of queries and of keys, `[P]` each; `None`: all pairs.
    """
    if pairs is not None:
        return _listed(rows, *_check_pairs(rows, pairs))
    count = rows.pairs // 2 if rows.is_symmetric else rows.pairs
    if rows.weights is None and count > EXACT_PAIRS:
        bins, positives, everyone = count_in_bins(rows)
        negatives = everyone - positives
        return BinnedPairs(
            PairCounts(bins.upper_edges(), positives[None], negatives[None], False)
        )
    if count > EXACT_PAIRS or count * rows.draws > EXACT_WEIGHTS:
        return BinnedPairs(PairCounts(*count_weights_in_bins(rows, EXACT_WEIGHTS), False))
    parts = []
    for tile in rows.tiles(once=True):
        is_counted = (
            np.ones(tile.costs.shape, bool) if tile.counted is None else tile.counted
        )
        query, key = np.nonzero(is_counted)
        parts.append(
            (query + tile.queries.start, key + tile.keys.start, tile.costs[is_counted])
        )
    first, second, costs = (
        (np.concatenate(column) for column in zip(*parts, strict=True))
        if parts
        else (np.zeros(0, "int64"), np.zeros(0, "int64"), np.zeros(0, "float32"))
    )
    return _listed(rows, first, second, costs)


def _listed(rows: Rows, first: Any, second: Any, costs: Any = None) -> ListedPairs:
    if costs is None:
        distances = rows.distance.paired(
            rows.embeddings[first], rows.key_embeddings[second]
        )
        costs = rows.distance.to_cost(distances)
    thresholds, level = np.unique(costs, return_inverse=True)
    positive = rows.labels[first] == rows.key_labels[second]
    return ListedPairs(
        rows, PairList.by_level(first, second, level, positive), thresholds
    )


def _check_pairs(rows: Rows, pairs: tuple[Sequence[int], ...]) -> tuple[Any, Any]:
    if len(pairs) != 2:
        raise ValueError(
            "`pairs` must be two arrays, rows of queries and rows of keys. Received: "
            f"{len(pairs)} of them."
        )
    first = check_labels(pairs[0], name="pairs[0]")
    second = check_labels(pairs[1], name="pairs[1]", rows=len(first))
    for side, limit in ((first, len(rows.labels)), (second, len(rows.key_labels))):
        if side.size and not 0 <= side.min() <= side.max() < limit:
            raise ValueError(
                f"`pairs` must hold row numbers from 0 to {limit - 1}. Received: "
                f"{side.min()} to {side.max()}."
            )
    if rows.is_self and (first == second).any():
        raise ValueError("`pairs` must pair no row with itself. Received: one that does.")
    return first, second
