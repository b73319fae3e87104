"""Rows of a database that have numbers for a while, as those of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.stores.columns import Column, as_column
from keras_similarity.types import NO_LABEL, Bools, Floats, Ids, Ints, MetadataOf

if TYPE_CHECKING:
    from keras_similarity.databases.base import Database, Found


class ById:
    """Rows by numbers 0, 1, 2 ..., fetched by their ids when they are asked for.

    Args:
        database: Has them.
        ids: Their ids, each once.
        labels: Their labels, if they are known.
    """

    def __init__(self, database: Database, ids: Ids, labels: Ints | None = None) -> None:
        self._database = database
        self._ids = ids
        self._labels = labels
        self._rows = {id_: row for row, id_ in enumerate(ids.tolist())}

    @property
    def is_live(self) -> Bools:
        """All are there."""
        return np.ones(len(self._ids), bool)

    def ids(self, rows: Ints) -> Ids:
        """Ids `[n]` of rows."""
        return self._ids[rows]

    def rows_of(self, ids: Ids) -> Ints:
        """Rows `[n]` of ids; -1 for an id that is not among them."""
        return np.array([self._rows.get(id_, -1) for id_ in ids.tolist()], "int64")

    def labels(self, rows: Ints) -> Ints:
        """Labels, int64 `[n]`, of rows."""
        if self._labels is not None:
            return self._labels[rows]
        found = self._database.fetch(self._ids[rows], ("label",))
        return np.array([row["label"] for row in found], "int64")

    def records(self, rows: Ints) -> tuple[Floats, list[Any]]:
        """Embeddings `[n, D]` and data, as they are now.

        Raises:
            IndexError: If a row has been deleted meanwhile.
        """
        found = self._database.fetch(self._ids[rows], ("vector", "data"))
        embeddings = np.empty((len(found), self._database.dim), "float32")
        for row, parts in enumerate(found):
            embeddings[row] = parts["vector"]
        return embeddings, [row["data"] for row in found]

    def metadata(self, rows: Ints) -> dict[str, Column]:
        """Name -> column `[n]`, as they are now."""
        found = self._database.fetch(self._ids[rows], ("metadata",))
        schema = self._database.schema()  # After that: what was found is known now.
        if schema is None:
            return {}
        columns = {}
        for name, type_ in schema.columns.items():
            values = [row["metadata"].get(name) for row in found]
            columns[name] = as_column(name, values, len(found), type_)
        return columns

    def metadata_reader(self) -> MetadataOf:
        """Name -> values of rows."""
        return lambda rows: {k: v.to_list() for k, v in self.metadata(rows).items()}


def numbered(database: Database, found: Found) -> tuple[ById, Ints]:
    """The rows that were found, and their numbers `[Q, K]`, -1 where there is none."""
    is_found = ~np.isnan(found.distances)
    given = found.ids[is_found]
    if given.dtype == object:
        places: dict[Any, int] = {}
        flat = np.array([places.setdefault(id_, len(places)) for id_ in given], "int64")
        ids = np.empty(len(places), object)
        ids[:] = list(places)
    else:
        ids, flat = np.unique(given, return_inverse=True)
    rows = np.full(found.ids.shape, -1, "int64")
    rows[is_found] = flat
    labels = np.full(len(ids), NO_LABEL, "int64")
    labels[flat] = found.labels[is_found]
    return ById(database, ids, labels), rows
