"""The neighbours of queries, block by block, from whatever holds the keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity import search as searches
from keras_similarity.arrays import to_numpy
from keras_similarity.distances import Distance
from keras_similarity.search import Search
from keras_similarity.search.base import is_same_distance
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints, Lookups

# Rows that are handed to an engine at once.
_ADDED_AT_ONCE = 2**17


class Keys(ABC):
    """What queries are compared with.

    Attributes:
        labels: Labels of the keys, by row, int64 `[M]`; anything where `pairs` compare
            them.
        embeddings: `[M, D]`, where they are at hand.
        is_key: Bool `[M]`: which rows can be found; `None` for all.
        distance: How they are compared.
    """

    labels: Any
    embeddings: Floats | None = None
    is_key: Bools | None = None
    distance: Distance

    @abstractmethod
    def rows_of(self, ids: Any) -> Ints:
        """Rows `[n]` of the keys with some ids; -1 where there is no such key."""

    @abstractmethod
    def find(self, queries: Floats, k: int, own: Any) -> tuple[Ints, Floats]:
        """Rows and costs `[q, k]`, nearest first; -1 and NaN where there is none.

        Args:
            queries: `[q, D]`.
            k: How many.
            own: The queries' own ids `[q]` among the keys, which do not count; or `None`.
        """


class KeysOfArrays(Keys):
    """Keys that were given as arrays, in a search engine made for them."""

    def __init__(self, embeddings: Floats, labels: Any, engine: Search) -> None:
        self.labels, self.embeddings = labels, embeddings
        self.distance = engine.distance
        self._engine = engine
        self._count = len(embeddings)
        for start in range(0, len(embeddings), _ADDED_AT_ONCE):
            part = embeddings[start : start + _ADDED_AT_ONCE]
            engine.batch_add(part, np.arange(start, start + len(part)), verbose=0)

    def rows_of(self, ids: Any) -> Ints:
        rows = to_numpy(ids).astype("int64")
        return np.where((rows >= 0) & (rows < self._count), rows, -1)

    def find(self, queries: Floats, k: int, own: Any) -> tuple[Ints, Floats]:
        rows, distances = self._engine.batch_lookup(queries, k + (own is not None))
        if own is not None:
            rows, distances = _without_own(rows, distances, np.asarray(own))
        return rows, self.distance.to_cost(distances)


class KeysOfIndex(Keys):
    """Keys of an `Indexer` with a search engine and a store."""

    def __init__(self, index: Any) -> None:
        self.distance = index.distance
        self._index, self._store = index, index.kv_store
        self.labels = self._store.labels(np.arange(self._store.num_rows))
        self.is_key = self._store.is_live.copy()
        self.is_key[index.search.size() :] = False  # Not searchable yet.

    def find(self, queries: Floats, k: int, own: Any) -> tuple[Ints, Floats]:
        lookups = self._index.batch_lookup(queries, k, exclude_self=own)
        return self._rows_found(lookups), self.distance.to_cost(lookups.distances)

    def rows_of(self, ids: Any) -> Ints:
        return self._store.rows_of(to_numpy(ids))

    def _rows_found(self, lookups: Lookups) -> Ints:
        return lookups.rows


class KeysOfDatabase(KeysOfIndex):
    """Keys of an `Indexer` in a database, which has ids and no rows."""

    def __init__(self, index: Any) -> None:
        self.distance = index.distance
        self._index = index
        ids = index.kv_store.all_ids()
        records = index.kv_store.fetch(ids, parts=("label",))
        labels = [record["label"] for record in records]
        ids = _as_comparable(ids)
        order = np.argsort(ids)
        self._ids = ids[order]
        self.labels = np.array([NO_LABEL if x is None else x for x in labels], "int64")
        self.labels = self.labels[order]

    def rows_of(self, ids: Any) -> Ints:
        ids = _as_comparable(to_numpy(ids))
        place = np.searchsorted(self._ids, ids)
        place = np.minimum(place, max(len(self._ids) - 1, 0))
        return (
            np.where(self._ids[place] == ids, place, -1) if len(self._ids) else place - 1
        )

    def _rows_found(self, lookups: Lookups) -> Ints:
        return self.rows_of(lookups.ids)


def keys_of_index(index: Any) -> KeysOfIndex:
    """The keys of an `Indexer`.

    Raises:
        TypeError: If it is none.
        ValueError: If it is empty.
    """
    if not all(hasattr(index, name) for name in ("batch_lookup", "kv_store", "distance")):
        raise TypeError(f"`index` must be an `Indexer`. Received: {index!r}.")
    if not index.searchable():
        raise ValueError("`index` must hold something to find. Received: an empty one.")
    has_rows = hasattr(index.kv_store, "is_live")
    return KeysOfIndex(index) if has_rows else KeysOfDatabase(index)


def _as_comparable(ids: Any) -> Any:
    return ids.astype(str) if ids.dtype == object else ids


def engine_for(search: Any, distance: Distance, dim: int) -> Search:
    """An empty engine, from an object, a name or a config.

    Raises:
        ValueError: If it holds rows already, or compares in another way.
    """
    if isinstance(search, str):
        return searches.get(search, distance=distance, dim=dim)
    if not isinstance(search, (Search, Mapping)):
        raise TypeError(
            "`search` must be a search engine, its name or its config. Received: "
            f"{search!r}. An index is given as `index`."
        )
    engine = searches.get(search)
    if engine.dim != dim or not is_same_distance(engine.distance, distance):
        raise ValueError(
            f"`search` must have the distance {distance!r} and the embedding size {dim}. "
            f"Received: {engine.distance!r} and {engine.dim}."
        )
    if engine.size():
        raise ValueError(
            f"`search` must be empty: it gets the keys. Received: {engine.size()} rows. "
            "An index is given as `index`."
        )
    return engine


def _without_own(rows: Ints, distances: Floats, own: Ints) -> tuple[Ints, Floats]:
    """Takes each query's own row out, or else the last: one column less."""
    keep = rows != own[:, None]
    # Among many copies of it the own row may not be found; then the last goes.
    keep[:, -1] &= ~keep.all(axis=1)
    shape = (len(rows), rows.shape[1] - 1)
    return rows[keep].reshape(shape), distances[keep].reshape(shape)
