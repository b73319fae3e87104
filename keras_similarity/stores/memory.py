"""The store in memory."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_similarity.growing import GrowingArray, held
from keras_similarity.stores.base import register
from keras_similarity.stores.columns import Column
from keras_similarity.stores.files import read_rows, write_rows
from keras_similarity.stores.row_table import RowTable, checked
from keras_similarity.stores.rows import NewRows
from keras_similarity.stores.table_store import TableStore
from keras_similarity.types import Floats, Ints


@register("memory")
class MemoryStore(TableStore[RowTable]):
    """Keeps everything in memory; saved without pickle.

    Embeddings and labels are arrays that grow, data a list. Data is saved as one array
    if all items are arrays of one shape and dtype; else items may be `None`, numbers,
    text, bytes, NumPy arrays, and lists, tuples and dicts of these.

    Read with `mmap=True`, embeddings stay in their file until rows are added, which
    copies them; hiding and updating rows does not.

    Args:
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.

    Example:
        >>> from keras_similarity.stores import MemoryStore
        >>> store = MemoryStore()
        >>> store.batch_add([[0.0, 1.0], [1.0, 0.0]], labels=[7, None], data=["a", "b"])
        [0, 1]
        >>> embedding, label, data = store.get(0)
        >>> embedding.tolist(), label, data
        ([0.0, 1.0], 7, 'a')
    """

    default_name = "memory"

    _embeddings: GrowingArray
    _data: list[Any]

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        super().__init__(name, verbose)
        self.reset()

    @property
    def dim(self) -> int | None:
        return self._embeddings.rows.shape[1] if self.num_rows else None

    def _add(self, new: NewRows) -> None:
        if not self.num_rows:
            self._embeddings = GrowingArray("float32", new.embeddings.shape[1])
        self._embeddings.extend(new.embeddings)
        self._data.extend(new.data or [None] * len(new.labels))
        # The table, by which the number of rows goes, comes last.
        self._table.append(new.ids, new.labels, new.metadata)

    def _hide(self, rows: Ints) -> None:
        self._table.hide(rows)

    def _keep(self, rows: Ints) -> None:
        embeddings, data = self.records(rows)
        table = self._table.kept(rows)
        self._embeddings, self._data, self._table = held(embeddings), data, table

    def _update(
        self,
        rows: Ints,
        labels: Ints | None,
        data: list[Any] | None,
        metadata: Mapping[str, Column],
    ) -> None:
        if data is not None:
            items = list(self._data)  # What readers have taken does not change.
            for row, item in zip(rows.tolist(), data, strict=True):
                items[row] = item
            self._data = items
        self._table.update(rows, labels, metadata)

    def records(self, rows: Ints) -> tuple[Floats, list[Any]]:
        return _records(rows, embeddings=self._embeddings.rows, data=self._data)

    def reader(self) -> functools.partial[tuple[Floats, list[Any]]]:
        return functools.partial(
            _records, embeddings=self._embeddings.rows, data=self._data
        )

    def reset(self) -> None:
        # New objects, not emptied ones: readers of the old keep them.
        self._embeddings = GrowingArray("float32", 0)
        self._data = []
        self._table = RowTable()

    def _write(self, folder: Path, compression: bool, copy: bool) -> None:
        rows = len(self._table)
        blocks = [self._embeddings.rows] if rows else []
        write_rows(folder, self._table, blocks, self._data, compression=compression)

    def _read(self, folder: Path, mmap: bool) -> None:
        saved = read_rows(folder, mmap=mmap)
        self._embeddings, self._data = held(saved.embeddings), saved.data
        self._table = saved.table()


def _records(rows: Ints, *, embeddings: Floats, data: list[Any]) -> Any:
    rows = checked(rows, len(embeddings))
    return embeddings[rows], [data[row] for row in rows.tolist()]
