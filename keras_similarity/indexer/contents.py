"""The rows of an index: a search engine and a store that agree."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.indexer.answers import as_long, lookups_of
from keras_similarity.indexer.choice import ANY, Choice, Find
from keras_similarity.indexer.parts import has_rows_of
from keras_similarity.persistence import SavedFiles
from keras_similarity.search import Search
from keras_similarity.search.lock import ReadersWriterLock
from keras_similarity.stores import Store
from keras_similarity.types import (
    NO_ID,
    Bools,
    Floats,
    Ints,
    Lookups,
    Records,
)

logger = logging.getLogger(__name__)

# So many deleted rows, and more than half of all, are worth making a new engine.
_MANY_DELETED = 1000
# Neighbours that are looked at first for all within a distance, and how many times as
# many next.
_WITHIN = 64
_WIDENING = 4
# Rows that are fetched from a store at once.
_ROWS_AT_ONCE = 2**18
# The file of a saved index that holds the store's vectors.
_EMBEDDINGS = "store/embeddings.npy"


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
        # Rows from here on are not to be found: they replace others, and that is not
        # done yet; or it failed, and the store lacks them.
        self._first_pending: int | None = None
        # Files that rows are still read from, if the index was loaded by mapping them.
        self._files: SavedFiles | None = None
        self._writing = threading.Lock()
        # Adding leaves running lookups alone; other changes have to wait for them.
        self._lookups = ReadersWriterLock()
        self.search.use_vectors(self.vectors)

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
            first = self.store.num_rows
            self.store.commit(new)
            try:
                if build:
                    self._build(verbose, embeddings)
            except BaseException:
                with self._lookups.writing():
                    # Not those that another process has added since.
                    self.store.hide(np.arange(first, first + len(new.ids)))
                raise
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
            self._build(0)
            first = self.store.num_rows
            with self._lookups.writing():
                self._first_pending = first
            try:
                rows = np.arange(first, first + len(embeddings))
                self.search.batch_add(embeddings, rows, verbose=0)
                with self._lookups.writing():
                    self.store.commit(new)
                    self._first_pending = None
            except BaseException:
                self._drop_pending()
                raise
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
            find, limit = self._finder(embeddings, choice)
            rows, distances = choice.chosen(find, k, limit, self.store)
            return lookups_of(self.store, self._reader(), rows, distances, choice.offset)

    def lookup_within(
        self, embeddings: Floats, max_cost: float, choice: Choice
    ) -> Lookups:
        """As `lookup`, but all neighbours up to a cost."""
        with self._lookups.reading():
            find, limit = self._finder(embeddings, choice)
            limit, k = max(limit, 1), _WITHIN
            while True:
                k = min(k, limit)
                rows, distances = choice.chosen(find, k, limit, self.store)
                costs = self.search.distance.to_cost(distances)
                is_within = costs <= max_cost  # Not NaN.
                if k == limit or not is_within[:, -1].any():
                    break
                k *= _WIDENING
            width = int(is_within.sum(axis=1).max(initial=0))
            rows = np.where(is_within, rows, NO_ID)[:, :width]
            distances = np.where(is_within, distances, np.nan)[:, :width]
            return lookups_of(self.store, self._reader(), rows, distances)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keeps rows from being replaced, deleted or numbered anew meanwhile."""
        with self._lookups.reading():
            yield

    def nearest(self, embeddings: Floats, k: int) -> Ints:
        """Rows `[Q, k]` that the search finds, inside of `reading`."""
        find, limit = self._finder(embeddings, ANY)
        return ANY.chosen(find, k, limit, self.store)[0]

    def searchable_rows(self) -> Ints:
        """The rows that a lookup may find."""
        may_be_found = self._may_be_found(ANY)
        if may_be_found is None:
            return np.arange(self.search.size())
        return np.flatnonzero(may_be_found[: self.search.size()])

    def vectors(self, rows: Ints) -> Floats:
        """Embeddings `[n, D]` of rows."""
        return self._reader()(rows)[0]

    def labels(self, rows: Ints) -> Ints:
        """Labels `[n]` of rows; `types.NO_LABEL` where there is none."""
        return self.store.labels(rows)

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
            self._first_pending = self._files = None

    def compact(self) -> None:
        """Removes what was deleted from memory; ids stay."""
        with self._writing:
            self._compact()

    def write(
        self, folder: Path, compression: bool, copy_store: bool = False
    ) -> dict[str, Any]:
        """Puts the rows into files; returns what `read` has to know."""
        with self._writing:
            self._repair()
            self.verify()  # Or the copy of what is damaged would get good checksums.
            for part in ("store", "search"):
                (folder / part).mkdir()
            self.store.write(folder / "store", compression, copy=copy_store)
            self.search.write(folder / "search")
            return {**self._sizes(), "store_version": self.store.version}

    def read(
        self, folder: Path, saved: Mapping[str, Any], files: SavedFiles | None = None
    ) -> None:
        """Takes the rows from the files of `write`, which returned `saved`.

        Args:
            files: Checks what is mapped; `None` where nothing is to be mapped.

        Raises:
            ValueError: If there are more or fewer.
        """
        mmap = files is not None
        self.store.read(folder / "store", mmap=mmap)
        if has_rows_of(self.store, saved):
            self.search.read(folder / "search", mmap=mmap)
        self._files = files
        if self.store.is_external:
            self.build(0)
            return
        sizes = {name: saved[name] for name in self._sizes()}
        if self._sizes() != sizes:
            raise ValueError(f"`path` must hold {sizes}. Received: {self._sizes()}.")

    def verify(self) -> None:
        """Checks all that is mapped.

        Raises:
            ValueError: If a file is damaged.
        """
        if self._files is not None:
            self._files.check_mapped()

    def _sizes(self) -> dict[str, int]:
        return {"size": self.store.num_rows, "searchable": self.search.size()}

    def _build(self, verbose: int, newest: Floats | None = None) -> None:
        """Hands the search the rows that it lacks, always the store's last.

        `newest` spares fetching them, where they are all that it lacks.
        """
        self._repair()
        first, end = self.search.size(), self.store.num_rows
        if newest is not None and len(newest) == end - first and first < end:
            self.search.batch_add(newest, np.arange(first, end), verbose=verbose)
            return
        self._fill(self.search, np.arange(first, end), first, verbose)

    def _fill(self, search: Search, rows: Ints, first: int, verbose: int) -> None:
        """Adds the store's rows to an engine, which numbers them from `first` on."""
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            numbers = np.arange(len(part)) + first + start
            search.batch_add(self.vectors(part), numbers, verbose=verbose)

    def _drop_pending(self) -> None:
        """Takes rows out of the search again that the store did not get."""
        if self._first_pending is None:
            return
        try:
            self._repair()
        except Exception as error:
            # They stay hidden, and the next change tries again.
            logger.warning("The search could not be put right yet: %s", error)

    def _repair(self) -> None:
        """A new engine, if the old has rows that the store did not get."""
        if self._first_pending is None:
            return
        if self.search.size() > self.store.num_rows:
            search = self._empty_search()
            self._fill(search, np.arange(self.store.num_rows), 0, 0)
            with self._lookups.writing():
                self.search.adopt(search)
        with self._lookups.writing():
            self._first_pending = None

    def _empty_search(self) -> Search:
        search = type(self.search).from_config(self.search.get_config())
        search.use_vectors(self.vectors)
        return search

    def _finder(self, embeddings: Floats, choice: Choice) -> tuple[Find, int]:
        """What finds so many of the rows that may be found, and how many those are."""
        if self._files is not None:
            self._files.check_mapped(but=_EMBEDDINGS)
        may_be_found = self._may_be_found(choice)

        def find(count: int) -> tuple[Ints, Floats]:
            return self.search.batch_lookup(embeddings, count, allowed=may_be_found)

        return find, self._limit(may_be_found)

    def _reader(self) -> Records:
        """The store's `reader`, which checks mapped rows before it reads them."""
        reader, files = self.store.reader(), self._files
        if files is None:
            return reader

        def checked(rows: Ints) -> tuple[Floats, list[Any]]:
            files.check_rows(_EMBEDDINGS, rows)
            return reader(rows)

        return checked

    def _may_be_found(self, choice: Choice) -> Bools | None:
        """Which rows may be found, by their numbers; `None` for all."""
        may_be_found = None
        if self._first_pending is not None or self.store.size() < self.store.num_rows:
            may_be_found = self.store.is_live[: self._first_pending]
        if choice.filter is None:
            return may_be_found
        matching = self.store.matching(choice.filter)
        return (
            matching
            if may_be_found is None
            else matching & as_long(may_be_found, matching)
        )

    def _limit(self, may_be_found: Bools | None) -> int:
        """How many rows there are to find."""
        if may_be_found is None:
            return self.search.size()
        return int(np.count_nonzero(may_be_found[: self.search.size()]))

    def _compact_if_worthwhile(self) -> None:
        deleted = self.store.num_rows - self.store.size()
        if deleted <= max(_MANY_DELETED, self.store.num_rows // 2):
            return
        try:
            self._compact()
        except Exception as error:
            # What was asked for is done, and the next change tries again.
            logger.warning("The index could not be made smaller yet: %s", error)

    def _compact(self) -> None:
        """Keeps the rows that are live, in a new engine that is swapped in when ready."""
        self._repair()
        self.verify()
        live = np.flatnonzero(self.store.is_live)
        searchable = live[live < self.search.size()]
        search = self._empty_search()
        # Until the store numbers them anew, too, these are their rows.
        search.use_vectors(lambda rows: self.vectors(searchable[rows]))
        self._fill(search, searchable, 0, 0)
        search.use_vectors(self.vectors)
        with self._lookups.writing():
            self.store.keep(live)
            self.search.adopt(search)
            self._files = None  # All rows are in memory now.
