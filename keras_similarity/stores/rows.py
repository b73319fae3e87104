"""What a store keeps of each row, and how it is read by the number of the row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_similarity.stores.columns import Column
from keras_similarity.types import Bools, Floats, Ids, Ints

#: Stands for an argument that was not given, where `None` says something.
UNCHANGED: Any = object()


@dataclass(frozen=True, eq=False)
class NewRows:
    """Checked columns of rows that are added.

    Attributes:
        ids: Int64 `[N]`, or strings, an object array.
        embeddings: Float32 `[N, D]`.
        labels: Int64 `[N]`; `types.NO_LABEL` where there is none.
        data: A list of `N`; `None` for no data.
        metadata: Name -> column `[N]`.
        first: The number that the first of them will have; `None`: any.
        is_replacing: Do they come in place of the rows that have the same ids?
    """

    ids: Ids
    embeddings: Floats
    labels: Ints
    data: list[Any] | None
    metadata: Mapping[str, Column]
    first: int | None = None
    is_replacing: bool = False


class Rows(ABC):
    """What a subclass of `Store` says: how checked columns are kept and read, by row.

    Rows are numbered 0, 1, 2 ... in the order of adding. One that is hidden keeps its
    number, and its id is free again. The methods that change rows are called by one
    thread at a time; the others may be called meanwhile.
    """

    @abstractmethod
    def _add(self, new: NewRows) -> None:
        """Appends rows; all of them, or raises and appends none."""

    def _replace(self, new: NewRows, rows: Ints) -> None:
        """Appends rows and hides others; all or nothing where the store is durable."""
        self._add(new)
        self._hide(rows)

    @abstractmethod
    def _hide(self, rows: Ints) -> None:
        """Deletes rows: their ids are free again. Some may be hidden already."""

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
    def _write(self, folder: Path, compression: bool, copy: bool) -> None:
        """Puts the rows into files; `copy` is for stores that live elsewhere."""

    @abstractmethod
    def _read(self, folder: Path, mmap: bool) -> None:
        """Replaces the rows by those of `_write`; changes nothing if that fails."""
