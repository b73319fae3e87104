"""Which keys are relevant to which query, and by how much."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.retrieval_metrics import Ranking
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints

# Pairs whose relevance is held at once.
_PAIRS = 2**22


class Relevance(ABC):
    """Says of neighbours that were found whether they are what was looked for.

    Attributes:
        relevant: Int64 `[Q]`: how many keys are relevant to each query, without its own
            row.
        query_labels: Int64 `[Q]`: the queries' classes; zeros where they have no single
            one.
        pairs_at_once: How many keys are looked at for a query, beside its neighbours.
        has_grades: Is some of it more relevant than other?
        has_classes: Has each query one label?
    """

    relevant: Ints
    query_labels: Ints
    pairs_at_once: int = 1
    has_grades: bool = False
    has_classes: bool = True

    @abstractmethod
    def ranking(
        self, block: slice, rows: Ints, costs: Floats, k: int, excludes_self: bool
    ) -> Ranking:
        """What metrics look at, for the queries of a block.

        Args:
            block: Which queries.
            rows: Rows `[q, K]` of their neighbours among the keys; -1 for none.
            costs: Costs `[q, K]`.
            k: How many count for a metric without a cut-off.
            excludes_self: Were the queries' own rows taken out?
        """


class RelevanceOfLabels(Relevance):
    """Relevant is what has the query's label.

    Args:
        labels: Int64 `[Q]` of the queries.
        key_labels: Int64 `[M]`; a key with `types.NO_LABEL` is relevant to nobody.
        is_key: Bool `[M]`: which keys there are; `None` for all.
        own: Rows `[Q]` of the queries among the keys, -1 where it is not there; `None`
            where they are not among them.
    """

    def __init__(
        self, labels: Ints, key_labels: Ints, is_key: Bools | None, own: Ints | None
    ) -> None:
        self.query_labels = labels
        self._key_labels = key_labels
        counted = key_labels if is_key is None else key_labels[is_key]
        classes, counts = np.unique(counted[counted != NO_LABEL], return_counts=True)
        place = np.searchsorted(classes, labels)
        place = np.minimum(place, max(len(classes) - 1, 0))
        self.relevant = np.zeros(len(labels), "int64")
        if len(classes):
            self.relevant = np.where(classes[place] == labels, counts[place], 0)
        if own is not None:
            is_own = (own >= 0) & (labels == key_labels[own]) & (labels != NO_LABEL)
            self.relevant = self.relevant - is_own

    def ranking(
        self, block: slice, rows: Ints, costs: Floats, k: int, excludes_self: bool
    ) -> Ranking:
        labels = self.query_labels[block]
        found = np.where(rows >= 0, self._key_labels[rows], NO_LABEL)
        is_match = (found == labels[:, None]) & (found != NO_LABEL)
        return Ranking(labels, is_match, costs, self.relevant[block], k, excludes_self)


class RelevanceOfPairs(Relevance):
    """Relevant is what a function of labels says, by degrees or not.

    Args:
        pairs: Takes labels of some queries and of all keys; gives `Pairs`, or an array
            `[q, M]`: bools, or grades from 0, which count where they are above 0.
        labels: Labels of the queries, `Q` of them.
        key_labels: Labels of the keys, `M` of them.
        is_key: As `RelevanceOfLabels`; so is `own`.
    """

    def __init__(
        self,
        pairs: Callable[[Any, Any], Any],
        labels: Any,
        key_labels: Any,
        is_key: Bools | None,
        own: Ints | None,
    ) -> None:
        self._pairs, self._is_key, self._own = pairs, is_key, own
        self._labels, self._key_labels = labels, key_labels
        self.has_classes = labels.ndim == 1 and labels.dtype.kind in "iu"
        self.query_labels = np.zeros(len(labels), "int64")
        if self.has_classes:
            self.query_labels = check_labels(labels)
        self.pairs_at_once = max(len(key_labels), 1)
        step = max(_PAIRS // self.pairs_at_once, 1)
        blocks = [slice(start, start + step) for start in range(0, len(labels), step)]
        counts = [(self._grades(block) > 0).sum(axis=1) for block in blocks]
        self.relevant = np.concatenate(counts) if counts else np.zeros(0, "int64")

    def ranking(
        self, block: slice, rows: Ints, costs: Floats, k: int, excludes_self: bool
    ) -> Ranking:
        grades = self._grades(block)
        gains = np.where(rows >= 0, np.take_along_axis(grades, rows, axis=1), 0)
        labels, relevant = self.query_labels[block], self.relevant[block]
        if grades.dtype == bool:
            return Ranking(labels, gains > 0, costs, relevant, k, excludes_self)
        ideal = _largest(grades, rows.shape[1])
        return Ranking(labels, gains > 0, costs, relevant, k, excludes_self, gains, ideal)

    def _grades(self, block: slice) -> Any:
        """Bools or floats `[q, M]`, 0 for what is not relevant and for the own row."""
        found = self._pairs(self._labels[block], self._key_labels)
        if hasattr(found, "positive_mask"):
            weights = found.positive_weights
            found = found.positive_mask if weights is None else weights
        grades = to_numpy(found)
        queries = len(self._labels[block])
        if grades.shape != (queries, len(self._key_labels)):
            raise ValueError(
                "`pairs` must give relevance of the shape [queries, keys], "
                f"{(queries, len(self._key_labels))}. Received: {grades.shape}."
            )
        if grades.dtype != bool:
            self.has_grades = True
            grades = grades.astype("float64")
            if not (grades >= 0).all():
                raise ValueError("`pairs` must give grades from 0. Received: others.")
        grades = grades.copy()
        if self._is_key is not None:
            grades[:, ~self._is_key] = 0
        if self._own is not None:
            own = self._own[block]
            there = np.flatnonzero(own >= 0)
            grades[there, own[there]] = 0
        return grades


def _largest(grades: Floats, k: int) -> Floats:
    """The largest `k` of each row, largest first; 0 where there are fewer."""
    width = grades.shape[1]
    if k < width:
        grades = np.partition(grades, width - k, axis=1)[:, width - k :]
    ideal = np.zeros((len(grades), k))
    ideal[:, : grades.shape[1]] = -np.sort(-grades, axis=1)
    return ideal


class RelevanceUnknown(Relevance):
    """Without labels nobody knows, and no metric asks.

    Args:
        queries: How many there are.
    """

    has_classes = False

    def __init__(self, queries: int) -> None:
        self.relevant = np.ones(queries, "int64")
        self.query_labels = np.zeros(queries, "int64")

    def ranking(
        self, block: slice, rows: Ints, costs: Floats, k: int, excludes_self: bool
    ) -> Ranking:
        raise ValueError("`labels` must say what is relevant. Received: labels=None.")
