"""Stores that keep in memory what is small of a row."""

from __future__ import annotations

from typing import Generic, TypeVar

from keras_similarity.stores.base import Store
from keras_similarity.stores.columns import Column
from keras_similarity.stores.row_table import RowTable
from keras_similarity.types import Bools, Ids, Ints

T = TypeVar("T", bound=RowTable)


class TableStore(Store, Generic[T]):
    """Answers from a table of ids, labels, metadata and which rows are there.

    A subclass keeps embeddings and data, and changes the table.

    Args:
        name: Name of the object; the class's short name by default.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
    """

    _table: T

    @property
    def num_rows(self) -> int:
        return len(self._table)

    def size(self) -> int:
        return self._table.num_live

    @property
    def is_live(self) -> Bools:
        return self._table.is_live

    @property
    def columns(self) -> dict[str, Column]:
        return self._table.columns

    def ids(self, rows: Ints) -> Ids:
        return self._table.ids(rows)

    def rows_of(self, ids: Ids) -> Ints:
        return self._table.rows_of(ids)

    def labels(self, rows: Ints) -> Ints:
        return self._table.labels(rows)

    @property
    def next_id(self) -> int:
        return self._table.next_id
