"""The store in memory."""

from __future__ import annotations

import base64
import functools
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.growing import GrowingArray, grown
from keras_similarity.stores.base import NewRows, Store, register
from keras_similarity.stores.columns import Column, GrowingColumn, missing
from keras_similarity.stores.encoding import decode, encode
from keras_similarity.types import NO_LABEL, Bools, Floats, Ids, Ints


@register("memory")
class MemoryStore(Store):
    """Keeps everything in memory; saved without pickle.

    Embeddings and labels are arrays that grow, data a list. Data is saved as one array
    if all items are arrays of one shape and dtype; else items may be `None`, numbers,
    text, bytes, NumPy arrays, and lists, tuples and dicts of these.

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
    _labels: GrowingArray
    _ids: GrowingArray
    _is_live: GrowingArray
    _metadata: dict[str, GrowingColumn]
    _data: list[Any]
    # Id -> row; `None` as long as ids are the numbers of the rows.
    _places: dict[Any, int] | None
    _next_id: int
    _num_hidden: int

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        super().__init__(name, verbose)
        self.reset()

    @property
    def dim(self) -> int | None:
        return self._embeddings.rows.shape[1] if self.num_rows else None

    @property
    def num_rows(self) -> int:
        return len(self._labels)

    def size(self) -> int:
        return self.num_rows - self._num_hidden

    @property
    def is_live(self) -> Bools:
        return self._is_live.rows[: self.num_rows]

    @property
    def columns(self) -> dict[str, Column]:
        labels = self._labels.rows
        rows = len(labels)
        # A column that is new lacks the rows before it was: it is padded when added.
        metadata = {name: column.first(rows) for name, column in self._metadata.items()}
        return {"label": Column("int64", labels, labels != NO_LABEL), **metadata}

    def ids(self, rows: Ints) -> Ids:
        return self._ids.rows[_checked(rows, len(self._labels))]

    def rows_of(self, ids: Ids) -> Ints:
        if self._places is None:  # An id is the number of its row.
            if ids.dtype == object:
                return np.full(len(ids), -1)
            is_known = (ids >= 0) & (ids < self.num_rows)
            rows = np.where(is_known, ids, -1)
            if self.num_rows:
                rows[~self.is_live[rows]] = -1
            return np.where(is_known, rows, -1)
        return np.array([self._places.get(id_, -1) for id_ in ids.tolist()], "int64")

    @property
    def next_id(self) -> int:
        return self._next_id

    def _add(self, new: NewRows) -> None:
        rows, first = len(new.labels), self.num_rows
        if not first:
            self._embeddings = GrowingArray("float32", new.embeddings.shape[1])
            self._ids = GrowingArray(new.ids.dtype)
        self._place(new.ids, first)
        self._embeddings.extend(new.embeddings)
        self._data.extend(new.data or [None] * rows)
        self._ids.extend(new.ids)
        self._is_live.extend(np.ones(rows, bool))
        for name, column in new.metadata.items():
            if name not in self._metadata:
                before = GrowingColumn(missing(column.type, first))
                self._metadata = {**self._metadata, name: before}
        for name, known in self._metadata.items():
            known.extend(new.metadata.get(name) or missing(known.type, rows))
        # Labels, by which the number of rows goes, come last: a reader finds whole rows.
        self._labels.extend(new.labels)

    def _hide(self, rows: Ints) -> None:
        ids = self._ids.rows[rows]
        is_live = self._is_live.rows.copy()
        is_live[rows] = False
        self._num_hidden = int(np.count_nonzero(~is_live))
        self._is_live = grown(is_live)
        if self._places is not None:
            for id_, row in zip(ids.tolist(), rows.tolist(), strict=True):
                if self._places.get(id_) == row:  # Unless another row has taken it.
                    del self._places[id_]

    def _keep(self, rows: Ints) -> None:
        embeddings, data = self.records(rows)
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        labels = columns.pop("label").values
        new = NewRows(self.ids(rows), embeddings, labels, data, columns)
        next_id = self._next_id
        self.reset()
        if len(rows):
            self._add(new)
        self._next_id = next_id

    def _update(
        self,
        rows: Ints,
        labels: Ints | None,
        data: list[Any] | None,
        metadata: Mapping[str, Column],
    ) -> None:
        # Copies: what readers have taken does not change.
        if labels is not None:
            changed = self._labels.rows.copy()
            changed[rows] = labels
            self._labels = grown(changed)
        if data is not None:
            items = list(self._data)
            for row, item in zip(rows.tolist(), data, strict=True):
                items[row] = item
            self._data = items
        for name, column in metadata.items():
            before = self._metadata.get(name)
            whole = (
                missing(column.type, self.num_rows)
                if before is None
                else before.first(self.num_rows)
            )
            whole = whole.replaced(rows, column)
            self._metadata = {**self._metadata, name: GrowingColumn(whole)}

    def labels(self, rows: Ints) -> Ints:
        labels = self._labels.rows
        return labels[_checked(rows, len(labels))]

    def records(self, rows: Ints) -> tuple[Floats, list[Any]]:
        return _records(rows, embeddings=self._embeddings.rows, data=self._data)

    def reader(self) -> functools.partial[tuple[Floats, list[Any]]]:
        return functools.partial(
            _records, embeddings=self._embeddings.rows, data=self._data
        )

    def reset(self) -> None:
        # New objects, not emptied ones: readers of the old keep them.
        self._embeddings = GrowingArray("float32", 0)
        self._labels = GrowingArray("int64")
        self._ids = GrowingArray("int64")
        self._is_live = GrowingArray("bool")
        self._metadata = {}
        self._data = []
        self._places = None
        self._num_hidden = 0
        self._next_id = 0

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
        if ids.dtype != object:
            self._next_id = max(self._next_id, int(ids.max()) + 1)

    def _write(self, folder: Path, compression: bool) -> None:
        text, arrays = encode(self._data)
        details, metadata_arrays = _encode_details(
            self._ids.rows, self._next_id, self.columns
        )
        columns: dict[str, Any] = {
            "embeddings": self._embeddings.rows,
            "labels": self._labels.rows,
            "is_live": self._is_live.rows,
            **metadata_arrays,
            **arrays,
        }
        write_arrays = np.savez_compressed if compression else np.savez
        write_arrays(folder / "store.npz", **columns)
        (folder / "data.json").write_text(json.dumps(text))
        (folder / "details.json").write_text(json.dumps(details))

    def _read(self, folder: Path, mmap: bool) -> None:
        with np.load(folder / "store.npz", allow_pickle=False) as file:
            arrays = dict(file)
        embeddings, labels = arrays.pop("embeddings"), arrays.pop("labels")
        is_live = arrays.pop("is_live", np.ones(len(labels), bool))
        details = None
        if (folder / "details.json").exists():  # Saved by 0.1.0, there are none.
            details = json.loads((folder / "details.json").read_text())
        ids, next_id, metadata = _decode_details(details, arrays, len(labels))
        data = decode(json.loads((folder / "data.json").read_text()), arrays)
        lengths = {len(column) for column in (embeddings, labels, data, is_live, ids)}
        lengths |= {len(column) for column in metadata.values()}
        if len(lengths) > 1:
            raise ValueError(
                "The columns of a saved store must be of one length. Received: "
                f"{len(embeddings)} embeddings, {len(labels)} labels, {len(data)} data."
            )
        self.reset()
        if len(labels):
            self._add(NewRows(ids, embeddings, labels, data, metadata))
            self._hide(np.flatnonzero(~is_live))
        self._next_id = next_id


def _encode_details(
    ids: Ids, next_id: int, columns: Mapping[str, Column]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What arrays cannot say, as plain data, and arrays, of ids and metadata."""
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {"next_id": next_id, "ids": None, "metadata": []}
    if ids.dtype == object:
        plain["ids"] = ids.tolist()
    else:
        arrays["ids"] = ids
    metadata = [(name, column) for name, column in columns.items() if name != "label"]
    for number, (name, column) in enumerate(metadata):
        saved: dict[str, Any] = {"name": name, "type": column.type, "values": None}
        if column.values.dtype == object:
            values = column.to_list()
            if column.type == "binary":
                values = [_as_text(value) for value in values]
            saved["values"] = values
        else:
            arrays[f"column {number}"] = column.values
        arrays[f"column {number} is present"] = column.is_present
        plain["metadata"].append(saved)
    return plain, arrays


def _as_text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


def _decode_details(
    plain: dict[str, Any] | None, arrays: dict[str, Any], rows: int
) -> tuple[Ids, int, dict[str, Column]]:
    """Ids, the next one, and metadata; takes its arrays out of `arrays`."""
    if plain is None:
        return np.arange(rows), rows, {}
    ids = arrays.pop("ids", None)
    if plain["ids"] is not None:
        ids = np.array(plain["ids"], object)
    metadata = {}
    for number, saved in enumerate(plain["metadata"]):
        is_present = arrays.pop(f"column {number} is present")
        values = arrays.pop(f"column {number}", None)
        if saved["values"] is not None:
            values = missing(saved["type"], len(saved["values"])).values
            for row, value in enumerate(saved["values"]):
                if value is not None and saved["type"] == "binary":
                    value = base64.b64decode(value)
                values[row] = value
        metadata[saved["name"]] = Column(saved["type"], values, is_present)
    return ids, plain["next_id"], metadata


def _records(rows: Ints, *, embeddings: Floats, data: list[Any]) -> Any:
    rows = _checked(rows, len(embeddings))
    return embeddings[rows], [data[row] for row in rows.tolist()]


def _checked(rows: Ints, size: int) -> Ints:
    # NumPy would count a negative number from the end.
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        wrong = rows[(rows < 0) | (rows >= size)][0]
        raise IndexError(f"Rows must be from 0 to {size - 1}. Received: {wrong}.")
    return rows
