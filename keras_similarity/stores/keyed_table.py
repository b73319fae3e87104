"""The table of rows that are kept elsewhere, and where others may change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_similarity.growing import GrowingArray
from keras_similarity.stores.columns import Column
from keras_similarity.stores.row_table import RowTable
from keras_similarity.types import Bools, Ids, Ints


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows as they are read, in the order of their keys.

    Attributes:
        keys: Int64 `[n]`, ascending: what a row is called where it is kept. A key is
            never used again.
        ids: Int64 `[n]`, or strings, an object array.
        labels: Int64 `[n]`.
        is_live: Bool `[n]`.
        metadata: Name -> column `[n]`.
    """

    keys: Ints
    ids: Ids
    labels: Ints
    is_live: Bools
    metadata: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.keys)


class KeyedTable(RowTable):
    """A table that knows the key of each row.

    Rows keep their numbers while others add, change and even drop rows: one that was
    dropped stays behind, hidden, in this table.

    Attributes:
        is_renumbered: Would one who reads all rows now number them in another way?
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_renumbered = False
        self._keys = GrowingArray("int64")

    @property
    def keys(self) -> Ints:
        """Int64 `[rows]`, ascending."""
        return self._keys.rows

    def add(self, stored: StoredRows) -> None:
        """Appends rows, of which some may be hidden."""
        if not len(stored):
            return
        first = len(self)
        self._keys.extend(stored.keys)
        self.append(stored.ids, stored.labels, stored.metadata)
        hidden = np.flatnonzero(~stored.is_live)
        if len(hidden):
            self.hide(first + hidden)

    def change(self, stored: StoredRows) -> None:
        """Takes over what has changed of rows that it has."""
        rows = np.searchsorted(self.keys, stored.keys)
        rows = np.minimum(rows, max(len(self) - 1, 0))
        is_known = self.keys[rows] == stored.keys if len(self) else np.zeros(0, bool)
        rows, which = rows[is_known], np.flatnonzero(is_known)
        if not len(rows):
            return
        columns = self.columns
        before = {name: column.take(rows) for name, column in columns.items()}
        metadata = {}
        for name, column in stored.metadata.items():
            now = column.take(which)
            if name not in before or not _is_same(before[name], now):
                metadata[name] = now
        labels = stored.labels[which]
        has_new_labels = not np.array_equal(labels, before["label"].values)
        self.update(rows, labels if has_new_labels else None, metadata)
        self.hide(rows[~stored.is_live[which]])

    def become(self, stored: StoredRows) -> None:
        """Takes over all rows that there are, after some have been dropped."""
        is_gone = ~np.isin(self.keys, stored.keys)
        if is_gone.any():
            self.is_renumbered = True
            self.hide(np.flatnonzero(is_gone))
        last = self.keys[-1] if len(self) else -1
        is_new = stored.keys > last
        self.change(_part(stored, ~is_new))
        self.add(_part(stored, is_new))


def _part(stored: StoredRows, which: Bools) -> StoredRows:
    rows = np.flatnonzero(which)
    return StoredRows(
        stored.keys[rows],
        stored.ids[rows],
        stored.labels[rows],
        stored.is_live[rows],
        {name: column.take(rows) for name, column in stored.metadata.items()},
    )


def _is_same(one: Column, other: Column) -> bool:
    return one.to_list() == other.to_list()
