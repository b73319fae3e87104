"""What one call changes of rows that are kept elsewhere."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_similarity.stores.columns import Column, missing
from keras_similarity.stores.keyed_table import KeyedTable, StoredRows
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import Ints


def new_version() -> str:
    """A text that nobody has used."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class State:
    """What is known of all rows together, where they are kept.

    Attributes:
        version: Random; another one as soon as rows were dropped or all forgotten.
        last_key: The largest key that a row ever had; -1 before the first.
        last_change: How many calls have hidden or updated rows.
        next_id: The id of the next row, unless it is given one.
        dim: Embedding size; `None` as long as there are no rows.
        columns: Names and types of the metadata, in the order of their coming.
    """

    version: str = field(default_factory=new_version)
    last_key: int = -1
    last_change: int = 0
    next_id: int = 0
    dim: int | None = None
    columns: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> State:
        plain = json.loads(text)
        plain["columns"] = tuple((name, type_) for name, type_ in plain["columns"])
        return cls(**plain)

    def with_columns(self, metadata: Mapping[str, Column]) -> State:
        """The state after these columns were written."""
        known = dict(self.columns)
        for name, column in metadata.items():
            if known.setdefault(name, column.type) != column.type:
                raise changed_meanwhile()
        return dataclasses.replace(self, columns=tuple(known.items()))


def _no_keys() -> Ints:
    return np.empty(0, "int64")


@dataclass(frozen=True, eq=False)
class Change:
    """What one call changes: all of it, or nothing.

    Attributes:
        state: The state afterwards.
        new: Rows that are added, with `keys`; `None` for none.
        keys: Int64 `[n]`, ascending.
        hidden: Keys of rows that are hidden.
        updated: Keys of rows that are given `labels`, `data` and `metadata`, those of
            them that are not `None`.
        labels: Int64.
        data: A list.
        metadata: Name -> column.
        dropped: Keys of rows that are forgotten.
        is_reset: Are all rows forgotten?
    """

    state: State
    new: NewRows | None = None
    keys: Ints = field(default_factory=_no_keys)
    hidden: Ints = field(default_factory=_no_keys)
    updated: Ints = field(default_factory=_no_keys)
    labels: Ints | None = None
    data: list[Any] | None = None
    metadata: Mapping[str, Column] = field(default_factory=dict)
    dropped: Ints = field(default_factory=_no_keys)
    is_reset: bool = False

    @property
    def added(self) -> NewRows:
        """`new`, of a change that adds rows."""
        if self.new is None:
            raise ValueError("`new` must be the rows that are added. Received: None.")
        return self.new


def added_rows(change: Change) -> StoredRows:
    """What is small of the rows that a change adds."""
    new = change.added
    is_live = ~np.isin(change.keys, change.hidden)
    return StoredRows(change.keys, new.ids, new.labels, is_live, new.metadata)


def changed_rows(change: Change, table: KeyedTable) -> tuple[StoredRows, Ints]:
    """What is small of the rows of a table that a change hides or updates, afterwards.

    And the places of those among them that are updated.
    """
    hidden = change.hidden[np.isin(change.hidden, table.keys)]
    keys = np.union1d(hidden, change.updated).astype("int64")
    rows = np.searchsorted(table.keys, keys)
    places = np.searchsorted(keys, change.updated)
    metadata = {name: column.take(rows) for name, column in table.columns.items()}
    labels = metadata.pop("label").values
    if change.labels is not None:
        labels[places] = change.labels
    for name, column in change.metadata.items():
        before = metadata.get(name) or missing(column.type, len(keys))
        metadata[name] = before.replaced(places, column)
    is_live = table.is_live[rows] & ~np.isin(keys, hidden)
    return StoredRows(keys, table.ids(rows), labels, is_live, metadata), places


def changed_meanwhile() -> RuntimeError:
    """The error of what was checked, and no more holds."""
    return RuntimeError(
        "Another process has changed rows since these were looked at. Nothing was "
        "changed. Call again."
    )
