"""The rows of an index that a database finds and keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity import stores
from keras_similarity.databases import Database
from keras_similarity.databases.rows import ById, numbered
from keras_similarity.indexer.answers import lookups_of
from keras_similarity.indexer.choice import Choice
from keras_similarity.indexer.contents import Contents
from keras_similarity.persistence import SavedFiles
from keras_similarity.search import Search
from keras_similarity.types import NO_ID, Floats, Ints, Lookups

# Neighbours that are looked at first for all within a distance, and how many times as
# many next.
_WITHIN = 64
_WIDENING = 8


class DatabaseContents:
    """What `Contents` is, where one database takes the place of search and store.

    Ids, filters and deletions are the database's: there are no row numbers, but for those
    that a lookup gives its own answers.

    Args:
        database: Finds and keeps the rows.
    """

    def __init__(self, database: Database) -> None:
        self.search = self.store = database
        # Of `searchable_rows`, for `recall` and `tune`.
        self._numbered = ById(database, np.empty(0, "int64"))

    def add(
        self,
        embeddings: Floats,
        labels: Any,
        data: Any,
        ids: Any,
        metadata: Any,
        *,
        build: bool,
        verbose: int,
    ) -> list[Any]:
        """Adds rows and returns their ids; they are found at once, `build` or not."""
        return self.search.add(embeddings, labels, data, ids, metadata)

    def upsert(
        self, embeddings: Floats, labels: Any, data: Any, ids: Any, metadata: Any
    ) -> None:
        """Adds rows in place of those that have the same ids."""
        self.search.add(embeddings, labels, data, ids, metadata, replacing=True)

    def delete(self, ids: Any) -> int:
        """Deletes rows and returns how many."""
        return self.search.delete(ids)

    def update(self, ids: Any, label: Any, data: Any, metadata: Any) -> None:
        """Changes labels, data and metadata."""
        self.search.update(ids, label, data, metadata)

    def build(self, verbose: int) -> None:
        """Makes lookups fast, where the database leaves that for later."""
        self.search.build(verbose)

    def lookup(self, embeddings: Floats, k: int, choice: Choice) -> Lookups:
        """Neighbours of embeddings `[Q, D]`."""
        chosen = _Chosen(self.search, embeddings, choice)
        rows, distances = chosen(k)
        return chosen.lookups(rows, distances)

    def lookup_within(
        self, embeddings: Floats, max_cost: float, choice: Choice
    ) -> Lookups:
        """As `lookup`, but all neighbours up to a cost."""
        chosen, k = _Chosen(self.search, embeddings, choice), _WITHIN
        while True:
            rows, distances = chosen(k)
            costs = self.search.distance.to_cost(distances)
            is_within = costs <= max_cost  # Not NaN.
            if not is_within[:, -1].any():
                break
            k *= _WIDENING
        width = int(is_within.sum(axis=1).max(initial=0))
        rows = np.where(is_within, rows, NO_ID)[:, :width]
        return chosen.lookups(rows, np.where(is_within, distances, np.nan)[:, :width])

    def size(self) -> int:
        """Number of rows."""
        return self.search.size()

    def searchable(self) -> int:
        """Number of rows that a lookup may find: all."""
        return self.search.size()

    def reset(self) -> None:
        """Removes all rows from the database."""
        self.search.reset()

    def compact(self) -> None:
        """Frees the space of what was deleted."""
        self.search.compact()

    def write(
        self, folder: Path, compression: bool, copy_store: bool = False
    ) -> dict[str, Any]:
        """Puts a reference to the rows into files, and with `copy_store` the rows."""
        self.search.write(folder, compression, copy_store)
        return {}

    def read(
        self, folder: Path, saved: Mapping[str, Any], files: SavedFiles | None = None
    ) -> None:
        """Takes up the rows that `write` refers to."""
        self.search.read(folder)

    def verify(self) -> None:
        """Nothing is mapped."""

    # For `recall`, `tune`, `calibrate` and `centers`.

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Others may change the database meanwhile."""
        yield

    def searchable_rows(self) -> Ints:
        """Numbers of the rows that are there now, for the methods below."""
        ids = self.search.all_ids()
        self._numbered = ById(self.search, ids)
        return np.arange(len(ids))

    def vectors(self, rows: Ints) -> Floats:
        """Embeddings `[n, D]` of rows."""
        return self._numbered.records(rows)[0]

    def labels(self, rows: Ints) -> Ints:
        """Labels `[n]` of rows; `types.NO_LABEL` where there is none."""
        return self._numbered.labels(rows)

    def nearest(self, embeddings: Floats, k: int) -> Ints:
        """Rows `[Q, k]` that the database finds."""
        found = self.search.find(embeddings, k)
        rows = self._numbered.rows_of(found.ids.ravel()).reshape(found.ids.shape)
        return np.where(np.isnan(found.distances), NO_ID, rows)


class _Chosen:
    """The neighbours that a choice keeps, `k` at a time.

    Args:
        database: Finds them.
        queries: Embeddings `[Q, D]`.
        choice: What is kept.
    """

    def __init__(self, database: Database, queries: Floats, choice: Choice) -> None:
        self._database, self._queries, self._choice = database, queries, choice
        self.rows = ById(database, np.empty(0, "int64"))

    def __call__(self, k: int) -> tuple[Ints, Floats]:
        choice = self._choice
        if choice.exclude_self is None and choice.max_per_label is None:
            limit = k  # Is not asked.
        else:
            limit = max(self._database.size(choice.filter), 1)
        return choice.chosen(self._find, k, limit, self)

    def lookups(self, rows: Ints, distances: Floats) -> Lookups:
        """The answer of rows that the last call gave."""
        reader = self.rows.records
        return lookups_of(self.rows, reader, rows, distances, self._choice.offset)

    def rows_of(self, ids: Any) -> Ints:
        return self.rows.rows_of(ids)

    def labels(self, rows: Ints) -> Ints:
        return self.rows.labels(rows)

    def _find(self, count: int) -> tuple[Ints, Floats]:
        found = self._database.find(self._queries, count, self._choice.filter)
        self.rows, rows = numbered(self._database, found)
        return rows, found.distances


def contents_of(
    search: Search | Database, kv_store: Any, dim: int
) -> Contents | DatabaseContents:
    """The rows of an index with such parts.

    Args:
        search: A search engine, or a database, which needs no store.
        kv_store: A store, its name or its config.

    Raises:
        ValueError: If there is a store beside a database.
    """
    if not isinstance(search, Database):
        return Contents(search, stores.get(kv_store), dim=dim)
    is_itself = kv_store is search or (
        isinstance(kv_store, Mapping)
        and kv_store.get("class_name") == type(search).__name__
    )
    if kv_store != "memory" and not is_itself:
        raise ValueError(
            f"`kv_store` must not be given: {type(search).__name__} keeps the rows "
            f"itself. Received: kv_store={kv_store!r}."
        )
    return DatabaseContents(search)
