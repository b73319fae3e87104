"""What is small of all rows: ids, labels, metadata, and which rows are there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.growing import GrowingArray, grown
from keras_similarity.stores.columns import Column, GrowingColumn, missing
from keras_similarity.types import NO_LABEL, Bools, Ids, Ints


class RowTable:
    """Columns of all rows, in memory, that one thread changes while others read.

    What was taken from it never changes. A reader that takes the number of rows, or a
    column, finds whole rows.

    Attributes:
        next_id: The id of the next row, unless it is given one.
    """

    def __init__(self) -> None:
        self.next_id = 0
        self._labels = GrowingArray("int64")
        self._ids = GrowingArray("int64")
        self._is_live = GrowingArray("bool")
        self._metadata: dict[str, GrowingColumn] = {}
        self._num_hidden = 0
        # Id -> row; `None` as long as ids are the numbers of the rows.
        self._places: dict[Any, int] | None = None

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def num_live(self) -> int:
        return len(self) - self._num_hidden

    @property
    def is_live(self) -> Bools:
        return self._is_live.rows[: len(self)]

    @property
    def all_ids(self) -> Ids:
        return self._ids.rows[: len(self)]

    @property
    def columns(self) -> dict[str, Column]:
        labels = self._labels.rows
        rows = len(labels)
        # A column that is new lacks the rows before it was: it is padded when added.
        metadata = {name: column.first(rows) for name, column in self._metadata.items()}
        return {"label": Column("int64", labels, labels != NO_LABEL), **metadata}

    def ids(self, rows: Ints) -> Ids:
        return self._ids.rows[checked(rows, len(self))]

    def labels(self, rows: Ints) -> Ints:
        labels = self._labels.rows
        return labels[checked(rows, len(labels))]

    def rows_of(self, ids: Ids) -> Ints:
        """Rows `[n]` of ids; -1 where there is no such id."""
        if self._places is not None:
            places = self._places
            return np.array([places.get(id_, -1) for id_ in ids.tolist()], "int64")
        if ids.dtype == object:
            return np.full(len(ids), -1)
        is_live = self.is_live
        is_known = (ids >= 0) & (ids < len(is_live))
        rows = np.where(is_known, ids, -1)
        if len(is_live):
            rows[~is_live[rows]] = -1
        return np.where(is_known, rows, -1)

    def append(self, ids: Ids, labels: Ints, metadata: Mapping[str, Column]) -> None:
        """Appends rows."""
        count, first = len(labels), len(self)
        self._take_kind(ids)
        self._place(ids, first)
        self._ids.extend(ids)
        self._is_live.extend(np.ones(count, bool))
        for name, column in metadata.items():
            if name not in self._metadata:
                before = GrowingColumn(missing(column.type, first))
                self._metadata = {**self._metadata, name: before}
        for name, known in self._metadata.items():
            known.extend(metadata.get(name) or missing(known.type, count))
        # Labels, by which the number of rows goes, come last: a reader finds whole rows.
        self._labels.extend(labels)

    def hide(self, rows: Ints) -> None:
        """Hides rows; some may be hidden already."""
        ids = self._ids.rows[rows]
        is_live = self.is_live.copy()
        is_live[rows] = False
        self._num_hidden = int(np.count_nonzero(~is_live))
        self._is_live = grown(is_live)
        if self._places is not None:
            for id_, row in zip(ids.tolist(), rows.tolist(), strict=True):
                if self._places.get(id_) == row:  # Unless another row has taken it.
                    del self._places[id_]

    def update(
        self, rows: Ints, labels: Ints | None, metadata: Mapping[str, Column]
    ) -> None:
        """Changes what is given of rows."""
        # Copies: what readers have taken does not change.
        if labels is not None:
            changed = self._labels.rows.copy()
            changed[rows] = labels
            self._labels = grown(changed)
        for name, column in metadata.items():
            before = self._metadata.get(name)
            whole = missing(column.type, len(self)) if before is None else None
            whole = whole or before.first(len(self))  # type: ignore[union-attr]
            whole = whole.replaced(rows, column)
            self._metadata = {**self._metadata, name: GrowingColumn(whole)}

    def kept(self, rows: Ints) -> RowTable:
        """A table of these rows, which are 0, 1, 2 ... in it."""
        table = type(self)()
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        labels = columns.pop("label").values
        if len(rows):
            table.append(self.ids(rows), labels, columns)
        table.next_id = self.next_id
        return table

    def _take_kind(self, ids: Ids) -> None:
        """Makes room for strings after integers, or the other way: all are hidden."""
        if len(self) and self._ids.rows.dtype == ids.dtype:
            return
        no_id = None if ids.dtype == object else -1
        self._ids = grown(np.full(len(self), no_id, ids.dtype))
        if len(self):
            self._places = {}

    def _place(self, ids: Ids, first: int) -> None:
        """Notes where ids are that rows from `first` on have."""
        is_plain = (
            ids.dtype != object and (ids == np.arange(first, first + len(ids))).all()
        )
        if self._places is None and not is_plain:
            live = np.flatnonzero(self.is_live)
            self._places = dict(
                zip(self._ids.rows[live].tolist(), live.tolist(), strict=True)
            )
        if self._places is not None:
            self._places.update(zip(ids.tolist(), itertools.count(first), strict=False))
        if ids.dtype != object and len(ids):
            self.next_id = max(self.next_id, int(ids.max()) + 1)


def checked(rows: Ints, size: int) -> Ints:
    """The rows, if they are from 0 to `size`; NumPy would count from the end."""
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        wrong = rows[(rows < 0) | (rows >= size)][0]
        raise IndexError(f"Rows must be from 0 to {size - 1}. Received: {wrong}.")
    return rows
