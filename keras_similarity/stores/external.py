"""What all stores share whose rows live in a file, in a table or on a server."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.stores.changes import (
    Change,
    State,
    changed_meanwhile,
    new_version,
)
from keras_similarity.stores.columns import Column
from keras_similarity.stores.files import read_rows, write_rows
from keras_similarity.stores.keyed_table import KeyedTable, StoredRows
from keras_similarity.stores.row_table import checked
from keras_similarity.stores.rows import NewRows
from keras_similarity.stores.table_store import TableStore
from keras_similarity.types import Floats, Ints, Records

if TYPE_CHECKING:
    import pandas as pd

_REFERENCE = "reference.json"
# Rows whose embeddings are in memory at a time when all are copied.
_BLOCK = 10_000


class ExternalStore(TableStore[KeyedTable]):
    """Keeps rows where they outlive the process, and others may change them too.

    Ids, labels, metadata and which rows are there are in memory as well; embeddings and
    data are fetched when they are asked for. Each call is one transaction. What other
    processes have changed is seen by the next change, and by `size()`, `num_rows` and
    `refresh()`; the rows that this object knows keep their numbers. Rows that another
    process drops are hidden here.

    A reader fetches what is there when it is called, and raises a `RuntimeError` if the
    rows have been dropped since.

    Saved, it is a reference to where the rows are; with `copy=True` their copy is saved,
    too, which loading brings back where no rows are.

    A subclass says how rows are kept: `location`, `_alone`, `_read_state`, `_read_rows`,
    `_read_changed`, `_fetch` and `_apply`.
    """

    is_external = True

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        super().__init__(name, verbose)
        self._catching_up = threading.RLock()
        self._state: State | None = None
        self._known: KeyedTable | None = None
        self._renumber = False

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the rows are, for messages; without a password."""

    @abstractmethod
    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """A transaction: nobody else changes rows; an exception undoes `_apply`."""

    @abstractmethod
    def _read_state(self) -> State | None:
        """The state; `None` where nothing has been written yet."""

    @abstractmethod
    def _read_rows(self, state: State, after: int) -> StoredRows:
        """All rows with a key above `after`, and up to `state.last_key`."""

    @abstractmethod
    def _read_changed(self, state: State, since: int) -> StoredRows:
        """Rows that were hidden or updated by calls with a number above `since`."""

    @abstractmethod
    def _fetch(self, keys: Ints) -> tuple[Ints, Floats, list[Any]]:
        """Keys, embeddings and data of those of `keys` (ascending) that are there."""

    @abstractmethod
    def _apply(self, change: Change) -> None:
        """Makes a change and writes its state."""

    def _has_news(self) -> bool:
        """May the state be another than the one that was read last?"""
        return True

    def _snapshot(self) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, all reads see one version, if that can be had."""
        return contextlib.nullcontext()

    # What is known of the rows.

    @property
    def _table(self) -> KeyedTable:  # type: ignore[override]
        if self._known is None:
            self.refresh()
        return self._known or KeyedTable()

    @property
    def version(self) -> str | None:
        """Another one as soon as rows were dropped or numbered anew."""
        self.refresh()
        if self._state is None:
            return None
        return f"{self._state.version}{' stale' if self._table.is_renumbered else ''}"

    @property
    def dim(self) -> int | None:
        return self._state.dim if self.num_rows and self._state else None

    @property
    def num_rows(self) -> int:
        self.refresh()
        return len(self._table)

    def size(self) -> int:
        self.refresh()
        return self._table.num_live

    def known_rows(self, ids: Any) -> Ints:
        self.refresh()
        return super().known_rows(ids)

    def to_data_frame(self, num_records: int = 0) -> pd.DataFrame:
        self.refresh()
        return super().to_data_frame(num_records)

    def refresh(self) -> None:
        """Takes over what other processes have changed."""
        # One thread does that, and the others go on with what is known, if anything is.
        if self._catching_up.acquire(blocking=self._known is None):
            try:
                if self._known is None or self._has_news():
                    self._catch_up()
            finally:
                self._catching_up.release()

    def _catch_up(self) -> None:
        with self._catching_up, self._snapshot():
            state = self._read_state()
            seen, table = self._state, self._known
            if state is None:
                self._known = table or KeyedTable()
                return
            if table is None or seen is None or self._renumber:
                table = KeyedTable()
                table.add(self._read_rows(state, -1))
            elif state.version != seen.version:
                table.become(self._read_rows(state, -1))
            else:
                if state.last_key > seen.last_key:
                    table.add(self._read_rows(state, seen.last_key))
                if state.last_change > seen.last_change:
                    table.change(self._read_changed(state, seen.last_change))
            table.next_id = state.next_id
            self._state, self._known, self._renumber = state, table, False

    # Changing.

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._writing:
            with self._alone():
                self._catch_up()
                yield
            # What was written is read again, as others read it.
            self._catch_up()

    def _add(self, new: NewRows) -> None:
        self._replace(new, np.empty(0, "int64"))

    def _replace(self, new: NewRows, rows: Ints) -> None:
        if new.first not in (None, len(self._table)):
            raise changed_meanwhile()
        state = self._state or State()
        count = len(new.ids)
        next_id = self._table.next_id
        if new.ids.dtype != object:
            next_id = max(next_id, int(new.ids.max()) + 1)
        state = dataclasses.replace(
            state.with_columns(new.metadata),
            last_key=state.last_key + count,
            last_change=state.last_change + bool(len(rows)),
            next_id=next_id,
            dim=new.embeddings.shape[1],
        )
        keys = np.arange(state.last_key - count + 1, state.last_key + 1)
        self._apply(Change(state, new=new, keys=keys, hidden=self._keys_of_live(rows)))

    def _hide(self, rows: Ints) -> None:
        keys = self._keys_of_live(rows)
        if len(keys):
            self._apply(Change(self._after_change(), hidden=keys))

    def _update(
        self,
        rows: Ints,
        labels: Ints | None,
        data: list[Any] | None,
        metadata: Mapping[str, Column],
    ) -> None:
        # The last value counts where a row is named twice.
        keys, last = np.unique(self._table.keys[rows][::-1], return_index=True)
        order = len(rows) - 1 - last
        if not len(keys) or (labels is None and data is None and not metadata):
            return
        self._apply(
            Change(
                self._after_change().with_columns(metadata),
                updated=keys,
                labels=None if labels is None else labels[order],
                data=None if data is None else [data[place] for place in order.tolist()],
                metadata={name: column.take(order) for name, column in metadata.items()},
            )
        )

    def _keep(self, rows: Ints) -> None:
        if self._state is None:
            return
        is_dropped = np.ones(len(self._table), bool)
        is_dropped[rows] = False
        self._renumber = True
        if is_dropped.any():
            state = dataclasses.replace(self._state, version=new_version())
            self._apply(Change(state, dropped=self._table.keys[is_dropped]))

    def reset(self) -> None:
        """Forgets all rows, where they are kept and for everyone."""
        with self._exclusively():
            if self._state is None:
                return
            self._renumber = True
            last = {"last_key": self._state.last_key}
            change = {"last_change": self._state.last_change}
            self._apply(Change(State(**last, **change), is_reset=True))  # type: ignore[arg-type]

    def _after_change(self) -> State:
        state = self._state or State()
        return dataclasses.replace(state, last_change=state.last_change + 1)

    def _keys_of_live(self, rows: Ints) -> Ints:
        table = self._table
        rows = np.unique(checked(rows, len(table)))
        return table.keys[rows[table.is_live[rows]]]

    # Reading.

    def records(self, rows: Ints) -> tuple[Floats, list[Any]]:
        return self._records(rows, self._table.keys)

    def reader(self) -> Records:
        return functools.partial(self._records, keys=self._table.keys)

    def _records(self, rows: Ints, keys: Ints) -> tuple[Floats, list[Any]]:
        if not len(rows):
            return np.zeros((0, self.dim or 0), "float32"), []
        wanted, places = np.unique(keys[checked(rows, len(keys))], return_inverse=True)
        found, embeddings, data = self._fetch(wanted)
        if len(found) < len(wanted):
            raise RuntimeError(
                f"{len(wanted) - len(found)} of the rows asked for are no more in "
                f"{self.location}: they were deleted, and dropped since by a compaction "
                "or a reset. Look up again."
            )
        if len(places) == len(wanted) and (np.diff(places) > 0).all():
            return embeddings, data
        return embeddings[places], [data[place] for place in places.tolist()]

    # Files.

    def _write(self, folder: Path, compression: bool, copy: bool) -> None:
        version, table = self.version, self._table
        reference = {"version": version, "rows": len(table), "location": self.location}
        (folder / _REFERENCE).write_text(json.dumps(reference))
        if not copy and self.is_external:
            return
        live = np.flatnonzero(table.is_live)
        # Deleted rows may be dropped already: their numbers are kept, and nothing else.
        data: list[Any] = [None] * len(table)

        def blocks() -> Iterator[Floats]:
            for start in range(0, len(table), _BLOCK):
                stop = min(start + _BLOCK, len(table))
                rows = live[slice(*np.searchsorted(live, [start, stop]))]
                block = np.zeros((stop - start, self.dim or 0), "float32")
                block[rows - start], items = self._records(rows, table.keys)
                for row, item in zip(rows.tolist(), items, strict=True):
                    data[row] = item
                yield block

        write_rows(folder, table, blocks(), data, compression=compression)

    def read(self, folder: Path, mmap: bool = False) -> None:
        """Finds the rows that `write` left where they are, or restores their copy.

        Raises:
            ValueError: If they are gone and there is no copy, or if there is a copy and
                other rows are where it belongs.
        """
        reference = json.loads((folder / _REFERENCE).read_text())
        has_copy = (folder / "store.npz").exists()
        version = self.version
        if version == reference["version"] or not reference["rows"]:
            return
        if has_copy and self.num_rows:
            raise ValueError(
                "A copy can be restored only where no rows are. Received: "
                f"{self.location} with {self.num_rows} rows that are not those saved. "
                "Move it away, or `reset()` it."
            )
        if has_copy:
            self._restore(folder, reference["version"])
        elif not self.num_rows:
            raise ValueError(
                f"{self.location} must hold the rows that were saved by reference, "
                f"{reference['rows']} of them. Received: none; when saved, they were in "
                f"{reference['location']}."
            )

    def _read(self, folder: Path, mmap: bool) -> None:
        self.read(folder, mmap)

    def _restore(self, folder: Path, version: str) -> None:
        saved = read_rows(folder)
        with self._exclusively():
            state = dataclasses.replace(
                (self._state or State()).with_columns(saved.metadata),
                version=version,
                next_id=saved.next_id,
                dim=saved.embeddings.shape[1],
            )
            keys = np.arange(len(saved.labels)) + state.last_key + 1
            new = NewRows(
                saved.ids, saved.embeddings, saved.labels, saved.data, saved.metadata
            )
            state = dataclasses.replace(state, last_key=int(keys[-1]))
            self._renumber = True
            hidden = keys[~saved.is_live]
            self._apply(Change(state, new=new, keys=keys, hidden=hidden))
