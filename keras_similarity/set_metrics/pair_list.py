"""Pairs one by one, and what they weigh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Bools, Floats, Ints

# Weights of pairs held at once: 32 MiB.
_WEIGHTS = 2**22


@dataclass(frozen=True)
class PairList:
    """Pairs by rising level.

    Attributes:
        first: Row `[P]` of the query.
        second: Row `[P]` of the key.
        level: Number `[P]` of the threshold at which the pair is accepted.
        positive: Bool `[P]`: do the two share a label?
    """

    first: Ints
    second: Ints
    level: Ints
    positive: Bools

    @classmethod
    def by_level(
        cls, first: Ints, second: Ints, level: Ints, positive: Bools
    ) -> PairList:
        """Pairs in any order."""
        order = np.argsort(level, kind="stable")
        return cls(first[order], second[order], level[order], positive[order])

    def counts(self, rows: Rows, levels: int) -> Iterator[tuple[Floats, Floats]]:
        """Weight of the positive and of the negative pairs at each level.

        Yields:
            Both `[r, levels]`, for some draws at a time, in their order.
        """
        if len(self.level) == 0:
            yield np.zeros((rows.draws, levels)), np.zeros((rows.draws, levels))
            return
        if rows.weights is None:
            negative = np.bincount(self.level[~self.positive], minlength=levels)
            positive = np.bincount(self.level[self.positive], minlength=levels)
            yield positive[None].astype("float64"), negative[None].astype("float64")
            return
        step = max(_WEIGHTS // len(self.level), 1)
        for start in range(0, rows.draws, step):
            draws = slice(start, start + step)
            positive_weights, negative_weights = self._weights(rows, draws)
            yield (
                level_sums(positive_weights, self.level, levels),
                level_sums(negative_weights, self.level, levels),
            )

    def _weights(self, rows: Rows, draws: slice) -> tuple[Floats, Floats]:
        """Weights `[r, P]` of the positive pairs and of the negative ones, else 0."""
        row_weights = rows.weights_of(slice(None), draws)
        first = row_weights[:, self.first]
        both = first * row_weights[:, self.second] if rows.is_self else first
        ours = first if rows.draws_classes else both
        return np.where(self.positive, ours, 0.0), np.where(self.positive, 0.0, both)


def level_sums(weights: Floats, level: Ints, levels: int) -> Floats:
    """Sums `[r, levels]` of weights `[r, P]` by level `[P]`, which rises."""
    starts = np.flatnonzero(np.diff(level, prepend=-1))
    sums = np.zeros((len(weights), levels))
    if len(starts):
        sums[:, level[starts]] = np.add.reduceat(weights, starts, axis=1)
    return sums
