"""What all stores share: checks, ids, columns and rows, files."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_similarity.arrays import check_embeddings, check_labels, to_numpy
from keras_similarity.persistence import open_folder, save_folder
from keras_similarity.registry import Registry
from keras_similarity.types import NO_LABEL, Floats, Ints, Records

if TYPE_CHECKING:
    import pandas as pd


class Store(ABC):
    """Keeps the embedding, the label and the data of what was indexed, by id.

    Ids are 0, 1, 2 ... in the order of adding. A subclass says how checked columns are
    kept and read: `_add`, `labels`, `records`, `size`, `reset`, `_write`, `_read`.

    Args:
        name: Name of the object; the class's short name by default.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
    """

    default_name: ClassVar[str] = "store"

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        self.name = name or self.default_name
        self.verbose = verbose
        self._writing = threading.Lock()

    @abstractmethod
    def _add(self, embeddings: Floats, labels: Ints, data: list[Any] | None) -> None:
        """Appends rows: float32 `[N, D]`, int64 `[N]`, a list of `N` or `None`."""

    @abstractmethod
    def labels(self, ids: Ints) -> Ints:
        """Labels, int64 `[n]`, of ids `[n]`; `types.NO_LABEL` where there is none."""

    @abstractmethod
    def records(self, ids: Ints) -> tuple[Floats, list[Any]]:
        """Embeddings `[n, D]` and a list of `n` data of ids `[n]`."""

    @abstractmethod
    def size(self) -> int:
        """Number of rows."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets all rows."""

    @abstractmethod
    def _write(self, folder: Path, compression: bool) -> None:
        """Puts the rows into files."""

    @abstractmethod
    def _read(self, folder: Path) -> None:
        """Replaces the rows by those of `_write`; changes nothing if that fails."""

    @property
    def dim(self) -> int | None:
        """Embedding size; `None` as long as the store is empty."""
        return self.records(np.zeros(1, "int64"))[0].shape[1] if self.size() else None

    def add(self, embedding: Any, label: int | None = None, data: Any = None) -> int:
        """Adds one row; see `batch_add`.

        Args:
            embedding: `[D]` or `[1, D]`.
            label: Its class, if it has one.
            data: Anything to be kept with it.

        Returns:
            Its id.
        """
        embedding = np.atleast_2d(to_numpy(embedding))
        return self.batch_add(embedding, [label], [data])[0]

    def batch_add(
        self, embeddings: Any, labels: Any = None, data: Any = None
    ) -> list[int]:
        """Adds rows; on an error none of them.

        Args:
            embeddings: `[N, D]`, of the embedding size of the rows before.
            labels: Integers `[N]`; `None` for a row without a label, or for all.
            data: One item a row: an array `[N, ...]` or a list of anything. An array is
                copied.

        Returns:
            Ids of the rows.

        Raises:
            ValueError: If lengths or the embedding size differ.
            TypeError: If the labels are no integers.
        """
        embeddings = check_embeddings(embeddings)
        labels = labels_column(labels, len(embeddings))
        items = None if data is None else _data_column(data, len(embeddings))
        with self._writing:
            if self.dim not in (None, embeddings.shape[1]):
                raise ValueError(
                    f"`embeddings` must have {self.dim} columns, as those stored. "
                    f"Received: embeddings.shape={embeddings.shape}."
                )
            first = self.size()
            if len(embeddings):
                self._add(embeddings, labels, items)
            return list(range(first, first + len(embeddings)))

    def get(self, idx: int) -> tuple[Floats, int | None, Any]:
        """Embedding `[D]`, label (or `None`) and data of one id."""
        embeddings, labels, data = self.batch_get([idx])
        return embeddings[0], labels[0], data[0]

    def batch_get(self, idxs: Any) -> tuple[list[Floats], list[int | None], list[Any]]:
        """Three lists: embeddings, labels and data of the ids.

        Raises:
            IndexError: If an id is not in the store.
        """
        ids = np.asarray(idxs, "int64").reshape(-1)
        embeddings, data = self.records(ids)
        return list(embeddings), self._optional_labels(ids), data

    def reader(self) -> Records:
        """A `records` that keeps answering with today's rows, also after a reset."""
        return self.records

    def to_data_frame(self, num_records: int = 0) -> pd.DataFrame:
        """The first rows, in columns `embeddings`, `data` and `labels`.

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
        ids = np.arange(min(num_records or self.size(), self.size()))
        embeddings, data = self.records(ids)
        return pd.DataFrame(
            {
                "embeddings": pd.Series(list(embeddings), dtype=object),
                "data": pd.Series(data, dtype=object),
                "labels": pd.array(self._optional_labels(ids), dtype="Int64"),
            }
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

    def write(self, folder: Path, compression: bool = True) -> None:
        """Puts the rows into files of an existing local folder."""
        with self._writing:
            self._write(folder, compression)

    def read(self, folder: Path) -> None:
        """Replaces the rows by those in the files of `write`."""
        with self._writing:
            self._read(folder)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {"name": self.name, "verbose": self.verbose}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The (empty) store whose `get_config` gave `config`."""
        return cls(**config)

    def _optional_labels(self, ids: Ints) -> list[int | None]:
        labels = self.labels(ids)
        column: list[int | None] = labels.tolist()
        for row in np.flatnonzero(labels == NO_LABEL):
            column[row] = None
        return column


registry = Registry("store", Store)
register = registry.register


def labels_column(labels: Any, rows: int) -> Ints:
    """Labels as int64 `[rows]`, with `types.NO_LABEL` for `None`.

    Raises:
        ValueError: If there are not as many as rows, or one is `types.NO_LABEL` itself.
        TypeError: If they are no integers.
    """
    if labels is None:
        return np.full(rows, NO_LABEL, "int64")
    array = to_numpy(labels)
    if array.dtype != object:
        column = check_labels(array, rows=rows)
        is_missing = np.zeros(len(column), bool)
    else:
        array = array.reshape(-1)
        is_missing = np.array([label is None for label in array])
        column = check_labels(np.where(is_missing, 0, array).tolist(), rows=rows)
    if (column == NO_LABEL).any():
        raise ValueError(f"`labels` must not be {NO_LABEL}, which stands for no label.")
    return np.where(is_missing, NO_LABEL, column)


def _data_column(data: Any, rows: int) -> list[Any]:
    is_array = hasattr(data, "shape") and hasattr(data, "dtype")
    try:
        # A copy: what the caller does to the array later is nothing to the store.
        items = list(np.array(to_numpy(data)) if is_array else data)
    except TypeError as error:
        raise TypeError(
            "`data` must be an array or a list with one item a row. Received: a "
            f"{type(data).__name__}."
        ) from error
    if len(items) != rows:
        raise ValueError(
            f"`data` must hold one item a row, {rows} of them. Received: {len(items)}."
        )
    return items
