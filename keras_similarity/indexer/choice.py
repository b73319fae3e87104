"""Which neighbours of a query a lookup is to return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_similarity.search.base import check_positive
from keras_similarity.stores.checks import as_ids
from keras_similarity.stores.filter import Filter
from keras_similarity.types import NO_ID, NO_LABEL, Bools, Floats, Ids, Ints

# How many times as many neighbours are looked at when too few were kept.
_WIDENING = 4


class Labelled(Protocol):
    """Knows labels of rows, and rows of ids (-1 where there is none)."""

    def labels(self, rows: Ints) -> Ints: ...

    def rows_of(self, ids: Ids) -> Ints: ...


Find = Callable[[int], tuple[Ints, Floats]]


@dataclass(frozen=True)
class Choice:
    """What of the nearest rows is kept.

    Attributes:
        filter: Only rows of which it is true.
        exclude_self: Ids `[Q]` of the queries themselves, each of which is not found by
            its own query. One that is not indexed excludes nothing.
        max_per_label: At most so many neighbours of one label; those without a label do
            not count as one.
        offset: How many of the nearest are left out.
    """

    filter: Filter | None = None
    exclude_self: Any = None
    max_per_label: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.max_per_label is not None:
            check_positive("max_per_label", self.max_per_label)
        if isinstance(self.offset, bool) or not isinstance(self.offset, int | np.integer):
            raise TypeError(f"`offset` must be an integer. Received: {self.offset!r}.")
        if self.offset < 0:
            raise ValueError(f"`offset` must be from 0. Received: {self.offset}.")

    def chosen(
        self, find: Find, k: int, limit: int, store: Labelled
    ) -> tuple[Ints, Floats]:
        """Rows and distances `[Q, k]` of the neighbours that are kept.

        Args:
            find: Gives rows and distances `[Q, count]` of so many nearest.
            k: How many are wanted.
            limit: How many there are at most.
            store: Knows the labels and the rows of ids.
        """
        k = check_positive("k", k) + self.offset
        rows, distances = self._kept(find, k, limit, store)
        return rows[:, self.offset :], distances[:, self.offset :]

    def _kept(
        self, find: Find, k: int, limit: int, store: Labelled
    ) -> tuple[Ints, Floats]:
        if self.exclude_self is None and self.max_per_label is None:
            return find(k)
        count = k + 1
        while True:
            rows, distances = find(count)
            is_kept = self._is_kept(rows, store)
            if count >= limit or (is_kept.sum(axis=1) >= k).all():
                return _first(rows, distances, is_kept, k)
            count = min(count * _WIDENING, limit)

    def _is_kept(self, rows: Ints, store: Labelled) -> Bools:
        is_kept = rows != NO_ID
        if self.exclude_self is not None:
            own = _rows_of_queries(self.exclude_self, len(rows), store)
            is_kept &= rows != own[:, None]
        if self.max_per_label is not None:
            is_kept &= _places_in_label(rows, is_kept, store) < self.max_per_label
        return is_kept


ANY = Choice()


def _rows_of_queries(ids: Any, count: int, store: Labelled) -> Ints:
    ids = as_ids(ids)
    if len(ids) != count:
        raise ValueError(
            f"`exclude_self` must hold one id a query, {count} of them. Received: "
            f"{len(ids)}."
        )
    rows = store.rows_of(ids)
    return np.where(rows < 0, NO_ID - 1, rows)  # Of nothing, not even of no neighbour.


def _places_in_label(rows: Ints, is_kept: Bools, store: Labelled) -> Ints:
    """How many neighbours of the same label are nearer, `[Q, K]`."""
    labels = np.full(rows.shape, 0, "int64")
    labels[is_kept] = store.labels(rows[is_kept])
    query = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    # By query and label, in the order of nearness: a place is that within the run.
    order = np.lexsort((labels.ravel(), ~is_kept.ravel(), query.ravel()))
    keys = np.stack([query.ravel(), ~is_kept.ravel(), labels.ravel()])[:, order]
    is_new = np.ones(rows.size, bool)
    is_new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    starts = np.maximum.accumulate(np.where(is_new, np.arange(rows.size), 0))
    places = np.empty(rows.size, "int64")
    places[order] = np.arange(rows.size) - starts
    return np.where(labels == NO_LABEL, 0, places.reshape(rows.shape))


def _first(rows: Ints, distances: Floats, is_kept: Bools, k: int) -> tuple[Ints, Floats]:
    """The first `k` of each query that are kept."""
    order = np.argsort(~is_kept, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(is_kept, order, 1)
    rows = np.where(kept, np.take_along_axis(rows, order, 1), NO_ID)
    distances = np.where(kept, np.take_along_axis(distances, order, 1), np.nan)
    missing = k - rows.shape[1]
    if missing > 0:
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=NO_ID)
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.nan)
    return rows, distances.astype("float32")
