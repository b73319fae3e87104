"""Queries of which some belong to no class that is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_similarity.set_metrics.base import SetMetric
from keras_similarity.set_metrics.neighbors import nearest_keys
from keras_similarity.set_metrics.pair_list import level_sums
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Bools, Floats, Ints

# Weights of queries held at once: 32 MiB.
_WEIGHTS = 2**22


@dataclass(frozen=True)
class Answers:
    """The nearest key of each query, the nearest of all first.

    Attributes:
        rows: The rows.
        order: The queries `[N]` by rising cost.
        level: Number `[N]` of the cost of each, in that order: 0 for the smallest.
        known: Bool `[N]`: is there a key of the query's class?
        right: Bool `[N]`: is the nearest one?
    """

    rows: Rows
    order: Ints
    level: Ints
    known: Bools
    right: Bools

    def accepted(self) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Shares accepted at each threshold, by draws, after 0 at none.

        Yields:
            For some draws: shares `[r, 1 + T]` of the known queries, of those that are
            accepted and right (of the known ones, too), and of the unknown queries.
        """
        step = max(_WEIGHTS // max(len(self.order), 1), 1)
        for start in range(0, self.rows.draws, step):
            weights = self.rows.weights_of(self.order, slice(start, start + step))
            sums = [
                np.cumsum(level_sums(weights * chosen, self.level, levels), axis=1)
                for levels in [int(self.level.max(initial=-1)) + 1]
                for chosen in (self.known, self.right, ~self.known)
            ]
            padded = [np.pad(part, ((0, 0), (1, 0))) for part in sums]
            with np.errstate(invalid="ignore"):
                known, right, unknown = (
                    part / padded[total][:, -1:]
                    for part, total in zip(padded, (0, 0, 2), strict=True)
                )
            yield known, right, unknown


class OpenSetMetric(SetMetric):
    """How well the distance to the nearest key tells known queries from unknown ones.

    A query is known if a key shares its label, and gets the label of its nearest key if
    that is at most a threshold away, else the answer "unknown". Where a set is judged
    against itself a row is not its own key, so that classes of one row are the unknown
    ones. Of keys at the same distance the first is nearest; queries at the same distance
    are accepted together. NaN where there is no known query or no unknown one. A draw's
    weights are those of the queries; the keys stay.
    """

    @property
    def summary_key(self) -> Hashable:
        return "open set"

    def summarize(self, rows: Rows) -> Answers:
        found, costs = nearest_keys(rows, 1)
        if found.shape[1] == 0:
            nothing = np.zeros(0, "int64")
            return Answers(rows, nothing, nothing, nothing > 0, nothing > 0)
        order = np.argsort(costs[:, 0], kind="stable")
        level = np.cumsum(np.diff(costs[order, 0], prepend=costs[order[:1], 0]) > 0)
        known = self._is_known(rows)[order]
        right = (rows.key_labels[found[:, 0]] == rows.labels)[order]
        return Answers(rows, order, level, known, right)

    def value(self, summary: Answers) -> Floats:
        return np.concatenate([self.values(*shares) for shares in summary.accepted()])

    @abstractmethod
    def values(self, known: Floats, right: Floats, unknown: Floats) -> Floats:
        """The metric `[r]`, of shares `[r, 1 + T]` as `Answers.accepted` has them."""

    @staticmethod
    def _is_known(rows: Rows) -> Bools:
        if not rows.is_self:
            return np.isin(rows.labels, rows.key_labels)
        _, place, counts = np.unique(rows.labels, return_inverse=True, return_counts=True)
        return counts[place] > 1


def area_between(x: Floats, y: Floats) -> Floats:
    """Area `[r]` under lines through points `[r, T]`."""
    if x.shape[1] < 2:
        return np.full(len(x), np.nan)
    return np.asarray(np.trapezoid(y, x, axis=1))
