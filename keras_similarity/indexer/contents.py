"""The rows of an index: a search engine and a store that agree."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.indexer.choice import ANY, Choice
from keras_similarity.search import Search
from keras_similarity.search.lock import ReadersWriterLock
from keras_similarity.stores import Store
from keras_similarity.types import NO_ID, NO_LABEL, Bools, Floats, Ids, Ints, Lookups

# So many deleted rows, and more than half of all, are worth making a new engine.
_MANY_DELETED = 1000
# Neighbours that are looked at first for all within a distance, and how many times as
# many next.
_WITHIN = 64
_WIDENING = 4


class Contents:
    """Adds rows to a search engine and a store, changes them, and finds them again.

    The engine's ids are the numbers of the store's rows; the engine may lack the last
    of them. Lookups may run in many threads while one changes the rows: each sees one
    version of them.

    Args:
        search: Finds rows and distances.
        store: Keeps embeddings, labels, data and metadata by row.
        dim: Embedding size.

    Raises:
        ValueError: If the two do not fit each other.
    """

    def __init__(self, search: Search, store: Store, *, dim: int) -> None:
        if store.dim not in (None, dim):
            raise ValueError(
                f"`kv_store` must hold embeddings of size {dim}. Received: {store.dim}."
            )
        if search.size() > store.num_rows:
            raise ValueError(
                "`search` must not hold rows that `kv_store` lacks. Received: "
                f"{search.size()} rows, {store.num_rows} in the store."
            )
        self.search = search
        self.store = store
        # Rows from here on are not to be found yet: they replace others.
        self._first_pending: int | None = None
        self._writing = threading.Lock()
        # Adding leaves running lookups alone; other changes have to wait for them.
        self._lookups = ReadersWriterLock()

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
        """Adds rows, on an error none of them, and returns their ids."""
        with self._writing:
            self.search.check(embeddings)
            new = self.store.prepare(embeddings, labels, data, ids, metadata)
            self.store.commit(new)
            if build:
                self._build(verbose, embeddings)
            return new.ids.tolist()

    def upsert(
        self, embeddings: Floats, labels: Any, data: Any, ids: Any, metadata: Any
    ) -> None:
        """Adds rows in place of those that have the same ids, at once for all lookups."""
        with self._writing:
            embeddings = self.search.check(embeddings)
            new = self.store.prepare(
                embeddings, labels, data, ids, metadata, replacing=True
            )
            replaced = self.store.rows_of(new.ids)
            self._build(0)
            first = self.store.num_rows
            with self._lookups.writing():
                self._first_pending = first
            try:
                rows = np.arange(first, first + len(embeddings))
                self.search.batch_add(embeddings, rows, verbose=0)
                with self._lookups.writing():
                    self.store.commit(new)
                    self.store.hide(replaced[replaced >= 0])
                    self._first_pending = None
            finally:
                self._first_pending = None
            self._compact_if_worthwhile()

    def delete(self, ids: Any) -> int:
        """Deletes rows, on an error none of them, and returns how many."""
        with self._writing:
            rows = self.store.known_rows(ids)
            with self._lookups.writing():
                self.store.hide(rows)
            self._compact_if_worthwhile()
            return len(np.unique(rows))

    def update(self, ids: Any, label: Any, data: Any, metadata: Any) -> None:
        """Changes labels, data and metadata; on an error nothing."""
        with self._writing, self._lookups.writing():
            self.store.update(ids, label, data, metadata)

    def build(self, verbose: int) -> None:
        """Makes all rows searchable that are not yet."""
        with self._writing:
            self._build(verbose)

    def lookup(self, embeddings: Floats, k: int, choice: Choice) -> Lookups:
        """Neighbours of embeddings `[Q, D]`, all from one version of the rows."""
        with self._lookups.reading():
            may_be_found = self._may_be_found(choice)

            def find(count: int) -> tuple[Ints, Floats]:
                return self.search.batch_lookup(embeddings, count, allowed=may_be_found)

            limit = self._limit(may_be_found)
            rows, distances = choice.chosen(find, k, limit, self.store)
            return self._lookups_of(rows, distances)

    def lookup_within(
        self, embeddings: Floats, max_cost: float, choice: Choice
    ) -> Lookups:
        """As `lookup`, but all neighbours up to a cost."""
        with self._lookups.reading():
            may_be_found = self._may_be_found(choice)

            def find(count: int) -> tuple[Ints, Floats]:
                return self.search.batch_lookup(embeddings, count, allowed=may_be_found)

            limit, k = max(self._limit(may_be_found), 1), _WITHIN
            while True:
                k = min(k, limit)
                rows, distances = choice.chosen(find, k, limit, self.store)
                is_within = (
                    self.search.distance.to_cost(distances) <= max_cost
                )  # Not NaN.
                if k == limit or not is_within[:, -1].any():
                    break
                k *= _WIDENING
            width = int(is_within.sum(axis=1).max(initial=0))
            rows = np.where(is_within, rows, NO_ID)[:, :width]
            distances = np.where(is_within, distances, np.nan)[:, :width]
            return self._lookups_of(rows, distances)

    def size(self) -> int:
        """Number of rows that are not deleted."""
        return self.store.size()

    def searchable(self) -> int:
        """Number of rows that a lookup may find."""
        return self._limit(self._may_be_found(ANY))

    def reset(self) -> None:
        """Forgets all rows, after the lookups that run: each sees one version."""
        with self._writing, self._lookups.writing():
            self.search.reset()
            self.store.reset()

    def compact(self) -> None:
        """Removes what was deleted from memory; ids stay."""
        with self._writing:
            self._compact()

    def write(self, folder: Path, compression: bool) -> dict[str, int]:
        """Puts the rows into files; returns the sizes, which `read` checks."""
        with self._writing:
            for part in ("store", "search"):
                (folder / part).mkdir()
            self.store.write(folder / "store", compression)
            self.search.write(folder / "search")
            return self._sizes()

    def read(self, folder: Path, sizes: dict[str, int]) -> None:
        """Takes the rows from the files of `write`, which returned `sizes`.

        Raises:
            ValueError: If there are more or fewer.
        """
        self.store.read(folder / "store")
        self.search.read(folder / "search")
        if self._sizes() != sizes:
            raise ValueError(f"`path` must hold {sizes}. Received: {self._sizes()}.")

    def _sizes(self) -> dict[str, int]:
        return {"size": self.store.num_rows, "searchable": self.search.size()}

    def _build(self, verbose: int, newest: Floats | None = None) -> None:
        """Hands the search the rows that it lacks, always the store's last.

        `newest` spares fetching them, where they are all that it lacks.
        """
        rows = np.arange(self.search.size(), self.store.num_rows)
        if newest is None or len(newest) != len(rows):
            newest, _ = self.store.records(rows)
        if len(rows):
            self.search.batch_add(newest, rows, verbose=verbose)

    def _may_be_found(self, choice: Choice) -> Bools | None:
        """Which rows may be found, by their numbers; `None` for all."""
        may_be_found = None
        if self._first_pending is not None or self.store.size() < self.store.num_rows:
            may_be_found = self.store.is_live[: self._first_pending]
        if choice.filter is None:
            return may_be_found
        matching = self.store.matching(choice.filter)
        return (
            matching if may_be_found is None else matching & _to(may_be_found, matching)
        )

    def _limit(self, may_be_found: Bools | None) -> int:
        """How many rows there are to find."""
        if may_be_found is None:
            return self.search.size()
        return int(np.count_nonzero(may_be_found[: self.search.size()]))

    def _lookups_of(self, rows: Ints, distances: Floats) -> Lookups:
        is_found = rows != NO_ID
        found = rows[is_found]
        labels = np.full(rows.shape, NO_LABEL, "int64")
        labels[is_found] = self.store.labels(found)
        return Lookups(
            _spread(self.store.ids(found), is_found),
            distances,
            labels,
            self.store.reader(),
            rows,
            self.store.metadata_reader(),
        )

    def _compact_if_worthwhile(self) -> None:
        deleted = self.store.num_rows - self.store.size()
        if deleted > max(_MANY_DELETED, self.store.num_rows // 2):
            self._compact()

    def _compact(self) -> None:
        """Keeps the rows that are live, in a new engine that is swapped in when ready."""
        live = np.flatnonzero(self.store.is_live)
        searchable = live[live < self.search.size()]
        search = type(self.search).from_config(self.search.get_config())
        if len(searchable):
            embeddings, _ = self.store.records(searchable)
            search.batch_add(embeddings, np.arange(len(searchable)), verbose=0)
        with self._lookups.writing():
            self.store.keep(live)
            self.search.adopt(search)


def _spread(ids: Ids, is_found: Bools) -> Ids:
    """Ids at the places where something was found, in the order of reading."""
    if ids.dtype == object:
        spread = np.full(is_found.shape, None, object)
    else:
        spread = np.full(is_found.shape, NO_ID, "int64")
    spread[is_found] = ids
    return spread


def _to(mask: Bools, like: Bools) -> Bools:
    """The mask with false for rows that it does not know."""
    longer = np.zeros(len(like), bool)
    longer[: len(mask)] = mask[: len(like)]
    return longer
