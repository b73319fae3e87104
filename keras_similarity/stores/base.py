"""What all stores share: rows by id, checked before they change."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.registry import Registry
from keras_similarity.stores.checks import (
    as_ids,
    check_free,
    check_known,
    check_replacing,
    counted_ids,
    data_column,
    labels_column,
    new_ids,
    optional_labels,
)
from keras_similarity.stores.columns import Column, metadata_columns
from keras_similarity.stores.filter import Filter, check_filter
from keras_similarity.stores.frame import data_frame
from keras_similarity.stores.rows import UNCHANGED, NewRows, Rows
from keras_similarity.stores.saving import load_store, save_store
from keras_similarity.types import Bools, Floats, Ids, Ints, MetadataOf, Records

if TYPE_CHECKING:
    import pandas as pd


class Store(Rows):
    """Keeps the embedding, the label, the data and the metadata of what was indexed.

    What a user calls by its id has a row: 0, 1, 2 ... in the order of adding. Rows that
    were deleted stay behind, hidden, until `keep` drops them.

    A subclass says how checked columns are kept and read, by row: see `Rows`.
    `testing.check_store` says what it does wrong.

    Args:
        name: Name of the object; the class's short name by default.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
    """

    default_name: ClassVar[str] = "store"
    #: Do the rows live elsewhere (a file, a server), and outlive the object?
    is_external: bool = False

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        self.name = name or self.default_name
        self.verbose = verbose
        self._writing = threading.Lock()

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
        return self.batch_add(
            np.atleast_2d(to_numpy(embedding)),
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
        with self._exclusively():
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
            replacing: May ids be taken? `commit` hides the rows that have them, then.
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
            metadata_columns(metadata, count, self.columns),
            first=self.num_rows,
            is_replacing=replacing,
        )

    def commit(self, new: NewRows) -> None:
        """Adds what `prepare` has checked."""
        with self._exclusively():
            if len(new.ids):
                self._replace(new, self.replaced_rows(new))

    def keep(self, rows: Ints) -> None:
        """Forgets all other rows; these, ascending, are numbered anew from 0 on."""
        if (np.diff(rows) <= 0).any():
            raise ValueError("`rows` must ascend. Received: some that do not.")
        with self._exclusively():
            self._keep(rows)

    def hide(self, rows: Ints) -> None:
        """Deletes rows."""
        with self._exclusively():
            self._hide(rows)

    def delete(self, ids: Any) -> None:
        """Deletes what has these ids; on an error nothing.

        Raises:
            IndexError: If there is no such id.
        """
        with self._exclusively():
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
        with self._exclusively():
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
                metadata_columns(metadata, len(rows), self.columns),
            )

    def known_rows(self, ids: Any) -> Ints:
        """Rows `[n]` of ids, or of one.

        Raises:
            IndexError: If there is no such id.
        """
        ids = as_ids(ids)
        rows = self.rows_of(ids)
        check_known(ids[rows < 0])
        return rows

    def matching(self, filter: Filter) -> Bools:
        """Bool `[rows]`: of which rows is the condition true?

        Raises:
            ValueError: If it asks for a column that is not there.
            TypeError: If a value is not of its column's type.
        """
        return check_filter(filter).truth(self.columns)[0]

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
        return list(embeddings), optional_labels(self.labels(rows)), data

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
        return data_frame(self, num_records)

    def save(
        self,
        path: str | os.PathLike[str],
        compression: bool = True,
        *,
        copy: bool = False,
    ) -> None:
        """Saves the rows into a folder, atomically; fsspec URLs work too.

        Args:
            path: Folder; made if it is missing.
            compression: Smaller files, written and read more slowly? Embeddings are
                saved as they are.
            copy: Of a store that lives elsewhere (`is_external`): save its rows, too?
                Otherwise only where it is.

        Raises:
            TypeError: If some row's data cannot be saved.
        """
        save_store(
            path,
            registry.serialize(self),
            lambda folder: self.write(folder, compression, copy=copy),
        )

    def load(self, path: str | os.PathLike[str]) -> int:
        """Replaces the rows by those that `save` wrote, and returns their number.

        Raises:
            ValueError: If there is nothing, if it is damaged or was saved by another
                class. Nothing changes then.
        """
        load_store(path, type(self).__name__, self.read)
        return self.size()

    def write(
        self, folder: Path, compression: bool = True, *, copy: bool = False
    ) -> None:
        """Puts the rows into files of an existing local folder; see `save`."""
        with self._writing:
            self._write(folder, compression, copy)

    def read(self, folder: Path, mmap: bool = False) -> None:
        """Replaces the rows by those in the files of `write`.

        Args:
            folder: Local folder.
            mmap: Leave the embeddings in their file, and read them where they are asked
                for? The file must stay as it is then.
        """
        with self._writing:
            self._read(folder, mmap)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {"name": self.name, "verbose": self.verbose}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The (empty) store whose `get_config` gave `config`."""
        return cls(**config)

    def replaced_rows(self, new: NewRows) -> Ints:
        """Rows that new ones come in place of."""
        rows = self.rows_of(new.ids) if new.is_replacing else np.empty(0, "int64")
        return rows[rows >= 0]

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """While it lasts nobody else changes the rows."""
        with self._writing:
            yield

    def _new_ids(self, ids: Any, count: int, *, replacing: bool) -> Ids:
        """Ids of `count` new rows, or an error if they are not as they must be."""
        if replacing:
            check_replacing(ids)
        are_strings = None
        if self.num_rows:
            are_strings = self.ids(np.zeros(1, "int64")).dtype == object
        if ids is None:
            return counted_ids(self.next_id, count, are_strings)
        ids = new_ids(ids, count, are_strings)
        if not replacing:
            check_free(ids[self.rows_of(ids) >= 0])
        return ids

    @property
    def next_id(self) -> int:
        """The id of what is added next, unless it is given one."""
        if not self.num_rows:
            return 0
        return int(self.ids(np.arange(self.num_rows)).max()) + 1


registry = Registry("store", Store)
register = registry.register
