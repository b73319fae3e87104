"""The rows of an index: a search engine and a store that agree."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.search import Search
from keras_similarity.search.lock import ReadersWriterLock
from keras_similarity.stores import Store
from keras_similarity.types import NO_ID, NO_LABEL, Floats, Lookups


class Contents:
    """Adds rows to a search engine and a store, and finds them again.

    The store's ids are those of the search; the search may lack the last rows. Lookups
    may run in many threads while one adds or resets.

    Args:
        search: Finds ids and distances.
        store: Keeps embeddings, labels and data by id.
        dim: Embedding size.

    Raises:
        ValueError: If the two do not fit each other.
    """

    def __init__(self, search: Search, store: Store, *, dim: int) -> None:
        if store.dim not in (None, dim):
            raise ValueError(
                f"`kv_store` must hold embeddings of size {dim}. Received: {store.dim}."
            )
        if search.size() > store.size():
            raise ValueError(
                "`search` must not hold rows that `kv_store` lacks. Received: "
                f"{search.size()} rows, {store.size()} in the store."
            )
        self.search = search
        self.store = store
        self._writing = threading.Lock()
        # Adding leaves running lookups alone; a reset has to wait for them.
        self._lookups = ReadersWriterLock()

    def add(
        self, embeddings: Floats, labels: Any, data: Any, *, build: bool, verbose: int
    ) -> list[int]:
        """Adds rows, on an error none of them, and returns their ids."""
        with self._writing:
            self.search.check(embeddings)
            ids = self.store.batch_add(embeddings, labels, data)
            if build:
                self._build(verbose, embeddings)
            return ids

    def build(self, verbose: int) -> None:
        """Makes all rows searchable that are not yet."""
        with self._writing:
            self._build(verbose)

    def lookup(self, embeddings: Floats, k: int) -> Lookups:
        """Neighbours of embeddings `[Q, D]`, all from one version of the rows."""
        with self._lookups.reading():
            ids, found = self.search.batch_lookup(embeddings, k)
            labels = np.full(ids.shape, NO_LABEL, "int64")
            is_found = ids != NO_ID
            labels[is_found] = self.store.labels(ids[is_found])
            return Lookups(ids, found, labels, self.store.reader())

    def reset(self) -> None:
        """Forgets all rows, after the lookups that run: each sees one version."""
        with self._writing, self._lookups.writing():
            self.search.reset()
            self.store.reset()

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
        return {"size": self.store.size(), "searchable": self.search.size()}

    def _build(self, verbose: int, newest: Floats | None = None) -> None:
        """Hands the search the rows that it lacks, always the store's last.

        `newest` spares fetching them, where they are all that it lacks.
        """
        ids = np.arange(self.search.size(), self.store.size())
        if newest is None or len(newest) != len(ids):
            newest, _ = self.store.records(ids)
        if len(ids):
            self.search.batch_add(newest, ids, verbose=verbose)
