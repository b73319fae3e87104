"""What all stores share: checks, ids, columns and rows, files."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.persistence import open_folder, save_folder
from keras_similarity.registry import Registry
from keras_similarity.stores.checks import as_ids, data_column, labels_column
from keras_similarity.stores.columns import Column, as_column, check_metadata
from keras_similarity.stores.filter import Filter
from keras_similarity.types import NO_LABEL, Bools, Floats, Ids, Ints, MetadataOf, Records

if TYPE_CHECKING:
    import pandas as pd

#: Stands for an argument that was not given, where `None` says something.
UNCHANGED: Any = object()

_PANDAS_DTYPES = {
    "bool": "boolean",
    "int64": "Int64",
    "float64": "Float64",
    "timestamp": "datetime64[us]",
    "string": "object",
    "binary": "object",
}


@dataclass(frozen=True, eq=False)
class NewRows:
    """Checked columns of rows that are added.

    Attributes:
        ids: Int64 `[N]`, or strings, an object array.
        embeddings: Float32 `[N, D]`.
        labels: Int64 `[N]`; `types.NO_LABEL` where there is none.
        data: A list of `N`; `None` for no data.
        metadata: Name -> column `[N]`.
    """

    ids: Ids
    embeddings: Floats
    labels: Ints
    data: list[Any] | None
    metadata: Mapping[str, Column]


class Store(ABC):
    """Keeps the embedding, the label, the data and the metadata of what was indexed.

    What a user calls by its id has a row: 0, 1, 2 ... in the order of adding. Rows that
    were deleted stay behind, hidden, until `keep` drops them.

    A subclass says how checked columns are kept and read, by row: `_add`, `_hide`,
    `_keep`, `_update`, `ids`, `rows_of`, `labels`, `records`, `columns`, `is_live`,
    `num_rows`, `reset`, `_write`, `_read`.

    Args:
        name: Name of the object; the class's short name by default.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
    """

    default_name: ClassVar[str] = "store"
    #: Does it live elsewhere, in a database or a file of its own? Then a saved index
    #: refers to it, and holds its rows only where that is asked for.
    is_external: ClassVar[bool] = False

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        self.name = name or self.default_name
        self.verbose = verbose
        self._writing = threading.Lock()

    @abstractmethod
    def _add(self, new: NewRows) -> None:
        """Appends rows; all of them, or raises and appends none."""

    @abstractmethod
    def _hide(self, rows: Ints) -> None:
        """Deletes rows: their ids are free again."""

    @abstractmethod
    def _keep(self, rows: Ints) -> None:
        """Forgets all other rows; these become 0, 1, 2 ..., with their ids."""

    @abstractmethod
    def _update(
        self,
        rows: Ints,
        labels: Ints | None,
        data: list[Any] | None,
        metadata: Mapping[str, Column],
    ) -> None:
        """Changes what is given of rows."""

    @abstractmethod
    def ids(self, rows: Ints) -> Ids:
        """Ids `[n]` of rows: int64, or strings in an object array."""

    @abstractmethod
    def rows_of(self, ids: Ids) -> Ints:
        """Rows `[n]` of ids; -1 where there is no such id."""

    @abstractmethod
    def labels(self, rows: Ints) -> Ints:
        """Labels, int64 `[n]`, of rows `[n]`; `types.NO_LABEL` where there is none."""

    @abstractmethod
    def records(self, rows: Ints) -> tuple[Floats, list[Any]]:
        """Embeddings `[n, D]` and a list of `n` data of rows `[n]`."""

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Column]:
        """`"label"` and the metadata, each with a value for every row."""

    @property
    @abstractmethod
    def is_live(self) -> Bools:
        """Bool `[num_rows]`: which rows are there? False for those deleted."""

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """Number of rows, those that are hidden included."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets all rows."""

    @abstractmethod
    def _write(self, folder: Path, compression: bool) -> None:
        """Puts the rows into files."""

    @abstractmethod
    def _read(self, folder: Path, mmap: bool) -> None:
        """Replaces the rows by those of `_write`; changes nothing if that fails."""

    @property
    def version(self) -> str | None:
        """Of a store elsewhere, a text that changes when rows are numbered anew."""
        return None

    @property
    def dim(self) -> int | None:
        """Embedding size; `None` as long as the store is empty."""
        if not self.num_rows:
            return None
        return self.records(np.zeros(1, "int64"))[0].shape[1]

    def size(self) -> int:
        """Number of rows that are not deleted."""
        return int(np.count_nonzero(self.is_live))

    def add(
        self,
        embedding: Any,
        label: int | None = None,
        data: Any = None,
        *,
        id: int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Adds one row; see `batch_add`.

        Args:
            embedding: `[D]` or `[1, D]`.
            label: Its class, if it has one.
            data: Anything to be kept with it.
            id: Its id; `None` for the next number.
            metadata: Name -> value.

        Returns:
            Its id.
        """
        embedding = np.atleast_2d(to_numpy(embedding))
        return self.batch_add(
            embedding,
            [label],
            [data],
            ids=None if id is None else [id],
            metadata=None if metadata is None else [metadata],
        )[0]

    def batch_add(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        *,
        ids: Any = None,
        metadata: Any = None,
    ) -> list[Any]:
        """Adds rows; on an error none of them.

        Args:
            embeddings: `[N, D]`, of the embedding size of the rows before.
            labels: Integers `[N]`; `None` for a row without a label, or for all.
            data: One item a row: an array `[N, ...]` or a list of anything. An array is
                copied.
            ids: Ids `[N]`, integers or strings, each used once; `None` to count on from
                the largest, or from 0.
            metadata: Name -> one value a row (or a single one for all), `None` for a
                missing one; or a list of one mapping a row; or a data frame. The values
                of a column are of one type: `bool`, `int`, `float`, `str`, `datetime`
                (or NumPy's times) or `bytes`.

        Returns:
            Ids of the rows.

        Raises:
            ValueError: If lengths or the embedding size differ, or an id is taken.
            TypeError: If labels, ids or metadata are of a wrong type.
        """
        with self._writing:
            new = self.prepare(embeddings, labels, data, ids, metadata)
            if len(new.ids):
                self._add(new)
        return new.ids.tolist()

    def prepare(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        ids: Any = None,
        metadata: Any = None,
        *,
        replacing: bool = False,
    ) -> NewRows:
        """Checks what `batch_add` is given, for `commit`; changes nothing.

        Args:
            replacing: May ids be taken? The rows that have them stay until `hide`.
        """
        embeddings = check_embeddings(embeddings)
        count = len(embeddings)
        if self.dim not in (None, embeddings.shape[1]):
            raise ValueError(
                f"`embeddings` must have {self.dim} columns, as those stored. "
                f"Received: embeddings.shape={embeddings.shape}."
            )
        return NewRows(
            self._new_ids(ids, count, replacing=replacing),
            embeddings,
            labels_column(labels, count),
            None if data is None else data_column(data, count),
            self._metadata_columns(check_metadata(metadata, count), count),
        )

    def commit(self, new: NewRows) -> None:
        """Adds what `prepare` has checked."""
        with self._writing:
            if len(new.ids):
                self._add(new)

    def keep(self, rows: Ints) -> None:
        """Forgets all other rows; these are numbered anew, in their order."""
        with self._writing:
            self._keep(rows)

    def hide(self, rows: Ints) -> None:
        """Deletes rows."""
        with self._writing:
            self._hide(rows)

    def delete(self, ids: Any) -> None:
        """Deletes what has these ids; on an error nothing.

        Raises:
            IndexError: If there is no such id.
        """
        with self._writing:
            self._hide(self.known_rows(ids))

    def update(
        self,
        ids: Any,
        label: Any = UNCHANGED,
        data: Any = UNCHANGED,
        metadata: Any = None,
    ) -> None:
        """Changes label, data or metadata; on an error nothing.

        Args:
            ids: Ids `[N]`, or one.
            label: Labels `[N]`, or one for all; `None` for no label.
            data: A list of `N` items.
            metadata: As `batch_add`; the columns that it names are changed.

        Raises:
            IndexError: If there is no such id.
        """
        with self._writing:
            rows = self.known_rows(ids)
            if (
                not isinstance(label, list | tuple | np.ndarray)
                and label is not UNCHANGED
            ):
                label = [label] * len(rows)
            self._update(
                rows,
                None if label is UNCHANGED else labels_column(label, len(rows)),
                None if data is UNCHANGED else data_column(data, len(rows)),
                self._metadata_columns(check_metadata(metadata, len(rows)), len(rows)),
            )

    def known_rows(self, ids: Any) -> Ints:
        """Rows `[n]` of ids, or of one.

        Raises:
            IndexError: If there is no such id.
        """
        ids = as_ids(ids)
        rows = self.rows_of(ids)
        if (rows < 0).any():
            unknown = ids[rows < 0][:5].tolist()
            raise IndexError(
                "`ids` must be of what is there. Received: "
                f"{', '.join(map(repr, unknown))}, which is not."
            )
        return rows

    def matching(self, filter: Filter) -> Bools:
        """Bool `[rows]`: of which rows is the condition true?

        Raises:
            ValueError: If it asks for a column that is not there.
            TypeError: If a value is not of its column's type.
        """
        if not isinstance(filter, Filter):
            raise TypeError(
                '`filter` must be a condition such as `field("label") == 3`. Received: a '
                f"{type(filter).__name__}."
            )
        return filter.truth(self.columns)[0]

    def get(self, idx: Any) -> tuple[Floats, int | None, Any]:
        """Embedding `[D]`, label (or `None`) and data of one id."""
        embeddings, labels, data = self.batch_get([idx])
        return embeddings[0], labels[0], data[0]

    def batch_get(self, idxs: Any) -> tuple[list[Floats], list[int | None], list[Any]]:
        """Three lists: embeddings, labels and data of the ids.

        Raises:
            IndexError: If an id is not in the store.
        """
        rows = self.known_rows(idxs)
        embeddings, data = self.records(rows)
        return list(embeddings), self._optional_labels(rows), data

    def metadata(self, rows: Ints) -> dict[str, Column]:
        """Name -> column `[n]` of rows `[n]`."""
        return {
            name: column.take(rows)
            for name, column in self.columns.items()
            if name != "label"
        }

    def reader(self) -> Records:
        """A `records` that keeps answering with today's rows, also after a reset."""
        return self.records

    def metadata_reader(self) -> MetadataOf:
        """Name -> values of rows, from today's columns."""
        columns = {k: column for k, column in self.columns.items() if k != "label"}
        return lambda rows: {k: v.take(rows).to_list() for k, v in columns.items()}

    def to_data_frame(self, num_records: int = 0) -> pd.DataFrame:
        """The first rows, in columns `embeddings`, `data`, `labels` and the metadata.

        The ids are its index.

        Args:
            num_records: How many; 0 means all.

        Raises:
            ValueError: If `num_records` is negative.
        """
        import pandas as pd

        if num_records < 0:
            raise ValueError(
                f"`num_records` must be from 0, which means all. Received: {num_records}."
            )
        rows = np.flatnonzero(self.is_live)[: num_records or None]
        embeddings, data = self.records(rows)
        columns = {
            name: pd.Series(column.to_list(), dtype=_PANDAS_DTYPES[column.type])
            for name, column in self.metadata(rows).items()
        }
        return pd.DataFrame(
            {
                "embeddings": pd.Series(list(embeddings), dtype=object),
                "data": pd.Series(data, dtype=object),
                "labels": pd.array(self._optional_labels(rows), dtype="Int64"),
                **columns,
            },
            index=pd.Index(self.ids(rows).tolist(), name="id"),
        )

    def save(self, path: str | os.PathLike[str], compression: bool = True) -> None:
        """Saves the rows into a folder, atomically; fsspec URLs work too.

        Args:
            path: Folder; made if it is missing.
            compression: Smaller files, written and read more slowly?

        Raises:
            TypeError: If some row's data cannot be saved.
        """
        save_folder(
            path,
            kind="store",
            config={"store": registry.serialize(self)},
            write=lambda folder: self.write(folder, compression),
        )

    def load(self, path: str | os.PathLike[str]) -> int:
        """Replaces the rows by those that `save` wrote, and returns their number.

        Raises:
            ValueError: If there is nothing, if it is damaged or was saved by another
                class. Nothing changes then.
        """
        try:
            with open_folder(path, kind="store") as (config, folder):
                saved = config["store"]["class_name"]
                if saved != type(self).__name__:
                    raise ValueError(
                        f"`path` must hold a saved {type(self).__name__}. Received: "
                        f"{saved}."
                    )
                self.read(folder)
        except FileNotFoundError as error:
            # The messages of TensorFlow Similarity.
            is_folder = os.path.isdir(path)
            problem = "Index file not found" if is_folder else "Index path doesn't exist"
            raise ValueError(f"{problem}. Received: path={os.fspath(path)!r}.") from error
        return self.size()

    def write(
        self, folder: Path, compression: bool = True, *, copy: bool = False
    ) -> None:
        """Puts the rows into files of an existing local folder."""
        with self._writing:
            self._write(folder, compression)

    def read(self, folder: Path, mmap: bool = False) -> None:
        """Replaces the rows by those in the files of `write`."""
        with self._writing:
            self._read(folder, mmap)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {"name": self.name, "verbose": self.verbose}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The (empty) store whose `get_config` gave `config`."""
        return cls(**config)

    def _new_ids(self, ids: Any, count: int, *, replacing: bool) -> Ids:
        """Ids of `count` new rows, or an error if they are not as they must be."""
        has_strings = self.num_rows and self.ids(np.zeros(1, "int64")).dtype == object
        if ids is None:
            if has_strings:
                raise ValueError("`ids` must be given: those indexed are strings.")
            return np.arange(self.next_id, self.next_id + count)
        ids = as_ids(ids)
        if len(ids) != count:
            raise ValueError(
                f"`ids` must hold one id a row, {count} of them. Received: {len(ids)}."
            )
        if count and self.num_rows and (ids.dtype == object) != bool(has_strings):
            kind = "strings" if has_strings else "integers"
            raise TypeError(
                f"`ids` must be {kind}, as those before. Received: {ids[0]!r}."
            )
        if len(set(ids.tolist())) < count:
            raise ValueError("`ids` must be used once each. Received: one twice.")
        taken = ids[self.rows_of(ids) >= 0] if not replacing else ids[:0]
        if len(taken):
            raise ValueError(
                "`ids` must be new. Received: "
                f"{', '.join(map(repr, taken[:5].tolist()))} again. To replace what is "
                "there, use `upsert`."
            )
        return ids

    @property
    def next_id(self) -> int:
        """The id of what is added next, unless it is given one."""
        if not self.num_rows:
            return 0
        return int(self.ids(np.arange(self.num_rows)).max()) + 1

    def _metadata_columns(
        self, metadata: Mapping[str, Any], count: int
    ) -> dict[str, Column]:
        known, columns = self.columns, {}
        for name, values in metadata.items():
            type_ = known[name].type if name in known else None
            column = as_column(name, values, count, type_)
            # Of nothing but missing values nobody knows the type.
            if name in known or column.is_present.any():
                columns[name] = column
        return columns

    def _optional_labels(self, rows: Ints) -> list[int | None]:
        labels = self.labels(rows)
        column: list[int | None] = labels.tolist()
        for row in np.flatnonzero(labels == NO_LABEL):
            column[row] = None
        return column


registry = Registry("store", Store)
register = registry.register
