"""The store on disk with a bounded part of it in memory."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from keras_similarity.stores.base import register
from keras_similarity.stores.changes import State
from keras_similarity.stores.keyed_table import StoredRows
from keras_similarity.stores.sqlite import SQLiteStore
from keras_similarity.types import Ints

_FILE = "cache.sqlite"
# What a row costs in memory beside its bytes.
_OVERHEAD = 250


@register("cached")
class CachedStore(SQLiteStore):
    """Keeps rows on disk, and those that were asked for last in memory.

    A `SQLiteStore` with a bounded memory of embeddings and data. Without a `path` the
    file is a temporary one that goes with the object, and `save` saves the rows; with
    one, rows that are in the folder already are there again, and `save` saves where they
    are, unless it is told to copy.

    Args:
        shard_size: Of TensorFlow Similarity's signature; there are no shards.
        path: Folder, made by the first change; `None` for a temporary one.
        num_items: How many rows the folder must hold; 0 means any number.
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
        max_bytes: How much of embeddings and data stays in memory.
        timeout: As in `SQLiteStore`.

    Raises:
        ValueError: If the folder does not hold `num_items` rows.

    Example:
        >>> from keras_similarity.stores import CachedStore
        >>> store = CachedStore()
        >>> store.batch_add([[0.0, 1.0], [1.0, 0.0]], labels=[7, None], data=["a", "b"])
        [0, 1]
        >>> store.get(0)[1:]
        (7, 'a')
    """

    default_name = "cached"

    def __init__(
        self,
        shard_size: int = 1_000_000,
        path: str | os.PathLike[str] | None = None,
        num_items: int = 0,
        name: str | None = None,
        verbose: int = 0,
        max_bytes: int = 2**28,
        timeout: float = 30.0,
    ) -> None:
        if max_bytes < 0:
            raise ValueError(f"`max_bytes` must be from 0. Received: {max_bytes}.")
        self._temporary = None if path else tempfile.TemporaryDirectory(prefix="ksim-")
        self.folder = os.path.abspath(path or self._temporary.name)  # type: ignore[union-attr]
        super().__init__(os.path.join(self.folder, _FILE), name, verbose, timeout)
        self.is_external = path is not None
        self.shard_size, self.max_bytes = shard_size, max_bytes
        self._cache: OrderedDict[int, tuple[int, bytes, bytes | None]] = OrderedDict()
        self._cached_bytes = 0
        self._caching = threading.Lock()
        self._generation = 0
        if num_items and self.size() != num_items:
            raise ValueError(
                f"`num_items` must be the number of rows in {self.folder!r}, "
                f"{self.size()}, or 0. Received: {num_items}."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            "shard_size": self.shard_size,
            "path": self.folder if self.is_external else None,
            "name": self.name,
            "verbose": self.verbose,
            "max_bytes": self.max_bytes,
            "timeout": self.timeout,
        }

    def _open(self, *, is_writer: bool) -> Any:
        if is_writer:
            os.makedirs(self.folder, exist_ok=True)
        return super()._open(is_writer=is_writer)

    def _read_changed(self, state: State, since: int) -> StoredRows:
        changed = super()._read_changed(state, since)
        with self._caching:
            self._generation += 1  # What is being read now may be old.
            for key in changed.keys.tolist():
                _, vector, data = self._cache.pop(key, (key, b"", None))
                self._cached_bytes -= _size(vector, data) if vector else 0
        return changed

    def _contents_of(self, keys: Ints) -> list[tuple[int, bytes, bytes | None]]:
        with self._caching:
            generation = self._generation
            cached = [self._cache.get(key) for key in keys.tolist()]
            for row in filter(None, cached):
                self._cache.move_to_end(row[0])
        missing = keys[np.array([row is None for row in cached], bool)]
        if not len(missing):
            return [row for row in cached if row is not None]
        fetched = super()._contents_of(missing)
        self._remember(fetched, generation)
        rows = [row for row in cached if row is not None] + fetched
        return sorted(rows, key=lambda row: row[0])

    def _remember(
        self, rows: list[tuple[int, bytes, bytes | None]], generation: int
    ) -> None:
        with self._caching:
            if generation != self._generation:
                return
            for row in rows:
                if row[0] not in self._cache:
                    self._cache[row[0]] = row
                    self._cached_bytes += _size(*row[1:])
            while self._cached_bytes > self.max_bytes:
                _, (_, vector, data) = self._cache.popitem(last=False)
                self._cached_bytes -= _size(vector, data)


def _size(vector: bytes, data: bytes | None) -> int:
    return len(vector) + len(data or b"") + _OVERHEAD
