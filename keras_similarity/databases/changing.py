"""How rows come into a database, change and go: what is checked before it is asked."""

from __future__ import annotations

import contextlib
import threading
import uuid
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from keras_similarity.databases.table import PARTS, Schema, Table
from keras_similarity.stores.base import UNCHANGED
from keras_similarity.stores.checks import (
    as_ids,
    check_free,
    check_known,
    check_replacing,
    counted_ids,
    data_column,
    labels_column,
    new_ids,
)
from keras_similarity.stores.columns import (
    Column,
    as_column,
    check_metadata,
    metadata_columns,
    missing,
)
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import Bools, Floats, Ids

_LARGEST = int(np.iinfo(np.int64).max)


class Changing(Table):
    """The part of a `Database` that writes: nothing is sent before all is checked."""

    def __init__(self) -> None:
        # The least id that has not been given; `None` as long as nobody asked.
        self._next_id: int | None = None
        self._writing = threading.RLock()

    @abstractmethod
    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        """Embeddings as float32 `[N, dim]`, or an error that says why not."""

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Keeps other writers out, as far as that can be done."""
        with self._writing:
            yield

    def add(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        ids: Any = None,
        metadata: Any = None,
        *,
        replacing: bool = False,
    ) -> list[Any]:
        """Adds rows and returns their ids; arguments are those of `Indexer.batch_add`.

        Args:
            replacing: May ids be taken? The rows that have them are replaced, then.
        """
        with self._exclusively():
            schema = self.schema()
            embeddings = self.check(embeddings)
            count = len(embeddings)
            new = NewRows(
                self._new_ids(schema, ids, count, replacing),
                embeddings,
                labels_column(labels, count),
                None if data is None else data_column(data, count),
                self._checked_metadata(schema, metadata, count),
            )
            if count:
                self._commit(schema, new, replacing)
            return list(new.ids.tolist())

    def delete(self, ids: Any) -> int:
        """Deletes rows, and returns how many.

        Raises:
            IndexError: If there is no such id; nothing is deleted then.
        """
        with self._exclusively():
            ids = as_ids(ids)
            check_known(ids[~self.is_known(ids)])
            unique = unique_ids(ids)
            if len(unique):
                self._delete(unique)
            return len(unique)

    def update(
        self,
        ids: Any,
        label: Any = UNCHANGED,
        data: Any = UNCHANGED,
        metadata: Any = None,
    ) -> None:
        """Changes label, data or metadata; arguments are those of `Indexer.update`.

        The rows are read, changed and written again.
        """
        with self._exclusively():
            ids, schema = as_ids(ids), self.schema()
            check_known(ids[~self.is_known(ids)])
            if schema is None or not len(ids):
                return
            count = len(ids)
            if label is not UNCHANGED and not isinstance(
                label, list | tuple | np.ndarray
            ):
                label = [label] * count
            labels = None if label is UNCHANGED else labels_column(label, count)
            items = None if data is UNCHANGED else data_column(data, count)
            columns = self._checked_metadata(schema, metadata, count)
            before = self._whole_rows(ids)
            changed = NewRows(
                ids,
                before.embeddings,
                before.labels if labels is None else labels,
                before.data if items is None else items,
                {**before.metadata, **columns},
            )
            self._commit(schema, _last_of_each(changed), replacing=True)

    def reset(self) -> None:
        """Removes the table with all rows."""
        with self._exclusively():
            self._drop()
            self._next_id = None

    # What is there.

    def is_known(self, ids: Ids) -> Bools:
        """Bool `[n]`: which ids are there?"""
        schema = self.schema()
        if schema is None or schema.has_strings != (ids.dtype == object) or not len(ids):
            return np.zeros(len(ids), bool)
        known = self._known(ids)
        return np.array([id_ in known for id_ in ids.tolist()], bool)

    def fetch(
        self, ids: Ids, parts: Collection[str] = PARTS, *, latest: bool = False
    ) -> list[dict[str, Any]]:
        """What there is of each id, see `PARTS`.

        Args:
            latest: See all that was written before, whatever lookups see?

        Raises:
            IndexError: If one is not there: deleted meanwhile, say.
        """
        rows = self._fetch(unique_ids(ids), parts, latest) if len(ids) else {}
        check_known(ids[[id_ not in rows for id_ in ids.tolist()]])
        return [rows[id_] for id_ in ids.tolist()]

    def _whole_rows(self, ids: Ids) -> NewRows:
        rows = self.fetch(ids, latest=True)
        metadata = {
            name: as_column(
                name, [row["metadata"].get(name) for row in rows], len(ids), type_
            )
            for name, type_ in self._types_of_metadata(self.schema()).items()
        }
        return NewRows(
            ids,
            np.stack([row["vector"] for row in rows]),
            np.array([row["label"] for row in rows], "int64"),
            [row["data"] for row in rows],
            metadata,
        )

    # What may come.

    def _new_ids(
        self, schema: Schema | None, ids: Any, count: int, replacing: bool
    ) -> Ids:
        are_strings = None if schema is None else schema.has_strings
        if replacing:
            check_replacing(ids)
        if ids is None:
            first = 0 if are_strings or not count else self._free_id(schema)
            return counted_ids(first, count, are_strings)
        ids = new_ids(ids, count, are_strings)
        if not replacing:
            check_free(ids[self.is_known(ids)])
        return ids

    def _free_id(self, schema: Schema | None) -> int:
        """An id above all that are there, or were given here."""
        if schema is None:
            return max(self._next_id or 0, 0)
        next_id = self._next_id
        # Others may have added since this object counted.
        if next_id is None or (next_id <= _LARGEST and self._has_id_from(next_id)):
            self._next_id = max(self._largest_id() + 1, next_id or 0)
        return max(self._next_id or 0, 0)

    @staticmethod
    def _types_of_metadata(schema: Schema | None) -> Mapping[str, str]:
        return {} if schema is None else schema.columns

    def _checked_metadata(
        self, schema: Schema | None, metadata: Any, count: int
    ) -> dict[str, Column]:
        metadata = check_metadata(metadata, count)
        if not metadata:
            return {}
        if schema is not None:
            self._learn(metadata)
            schema = self.schema()
        known = no_rows(self._types_of_metadata(schema))
        columns = metadata_columns(metadata, count, known)
        for name, column in columns.items():
            values = column.values[column.is_present]
            if column.type == "float64" and not np.isfinite(values).all():
                raise ValueError(
                    f"`metadata[{name!r}]` must be finite, or None where a value is "
                    "missing. Received: a NaN or an infinity."
                )
        return columns

    # Writing it.

    def _commit(
        self,
        schema: Schema | None,
        new: NewRows,
        replacing: bool,
        identity: str | None = None,
    ) -> None:
        """Writes checked rows; makes the table and its columns before, if need be."""
        types = {name: column.type for name, column in new.metadata.items()}
        known = {} if schema is None else self._types_of_metadata(self.schema())
        lacking = {name: type_ for name, type_ in types.items() if name not in known}
        rows = self._encode(new, {**known, **lacking})
        if schema is None:
            self._create(new.ids.dtype == object, lacking, identity or uuid.uuid4().hex)
        elif lacking:
            self._add_columns(lacking)
        if new.ids.dtype != object and (self._next_id is not None or schema is None):
            # Also if writing fails: some may have been written.
            self._next_id = max(self._next_id or 0, int(new.ids.max()) + 1)
        self._write_rows(rows, replacing)


def no_rows(types: Mapping[str, str]) -> dict[str, Column]:
    """Columns of such types without any row."""
    return {name: missing(type_, 0) for name, type_ in types.items()}


def unique_ids(ids: Ids) -> Ids:
    """The ids once each, in their order."""
    once = list(dict.fromkeys(ids.tolist()))
    unique = np.empty(len(once), ids.dtype)
    unique[:] = once
    return unique


def _last_of_each(new: NewRows) -> NewRows:
    """The last of the rows of each id: what it is changed to."""
    rows = np.array(list({id_: row for row, id_ in enumerate(new.ids.tolist())}.values()))
    return NewRows(
        new.ids[rows],
        new.embeddings[rows],
        new.labels[rows],
        None if new.data is None else [new.data[row] for row in rows.tolist()],
        {name: column.take(rows) for name, column in new.metadata.items()},
    )
