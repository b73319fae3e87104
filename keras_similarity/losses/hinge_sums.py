"""Terms of losses with a hinge for each triplet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.triplet_sums import Formula, TripletTerm
from keras_similarity.pairs import Batch, count_triplets, one_if_zero

Tensor = Any

# Up to so many pairs a pass over all triplets, forwards and backwards, is the fastest.
_SMALL = 2**13


def hinge(positive: Tensor, negative: Tensor, between: Tensor | None = None) -> Tensor:
    """`max(positive - negative, 0)`."""
    return ops.relu(positive - negative)


@dataclass(frozen=True, eq=False)
class HingeTerm(TripletTerm):
    """Values `max(positive - negative, 0)` of all triplets of a batch.

    Where the triplets are the product of an anchor's pairs, they are summed by how many
    above 0 each pair is in: with no pass over triplets backwards, nor, where anchors
    have many positives, forwards.

    Attributes:
        values: Floats `[n, M]`: value of each pair as a positive.
        negative_values: Floats `[n, M]`: value of each pair as a negative.
    """

    formula: Formula = hinge

    def sums(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor | None]:
        pairs, (rows, keys) = self.pairs, self.values.shape
        is_product = pairs.triplets is None and not pairs.is_weighted
        is_small = None not in (rows, keys) and rows * keys <= _SMALL
        if high is not None or is_small or not is_product:
            return super().sums(low, high)
        least = 0.0 if low is None else max(low, 0.0)
        sums, counts = self._sums_above(least)
        if low is not None and low >= 0:
            return sums, counts
        masks = pairs.positive_mask, pairs.negative_mask
        each = [ops.sum(ops.cast(mask, counts.dtype), axis=1) for mask in masks]
        return sums, each[0] * each[1]

    def _sums_above(self, least: float) -> tuple[Tensor, Tensor]:
        """Sums and counts `[n]` of the values above `least`, at least 0."""
        positive, negative = self.values, self.negative_values
        of_positives, of_negatives = count_triplets(
            positive - least, negative, self.pairs
        )
        counts = ops.sum(of_positives, axis=1, keepdims=True)
        # Weights that sum to 1, and differences from a value among those that count:
        # neither overflows, and little is lost where values are large.
        share = 1.0 / one_if_zero(counts)
        of_positives, of_negatives = of_positives * share, of_negatives * share
        middle = ops.sum(
            of_negatives * ops.stop_gradient(negative), axis=1, keepdims=True
        )
        gaps = of_positives * (positive - middle) - of_negatives * (negative - middle)
        return ops.sum(gaps, axis=1) * counts[:, 0], counts[:, 0]


def hinge_term(positive: Tensor, negative: Tensor, batch: Batch) -> HingeTerm:
    """The term `max(positive - negative, 0)` over all triplets of a batch.

    Args:
        positive: Floats `[n, M]`: value of each pair as a positive.
        negative: Floats `[n, M]`: value of each pair as a negative.
        batch: The batch.
    """
    return HingeTerm(
        positive, kind="triplet", pairs=batch.pairs, negative_values=negative
    )
