"""What all search engines share: checks, ids, the shape of answers, files."""

from __future__ import annotations

import operator
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.distances import Distance
from keras_similarity.growing import GrowingArray, held
from keras_similarity.persistence import open_folder, save_folder
from keras_similarity.registry import Registry
from keras_similarity.types import NO_ID, Bools, Floats, Ints

# Longer vectors have squared distances that overflow float32.
_MAX_LENGTH = 1e18


class Search(ABC):
    """Finds the nearest of the embeddings that were added to it.

    Checks what comes in and owns the ids, so that an engine sees only finite float32
    rows of the right width and answers with row numbers. Distances are what
    `distance(query, key)` gives; those of a similarity come largest first. Lookups may
    run in many threads while one adds.

    A subclass says how rows are added, found, forgotten, written and read: `_add`,
    `_find`, `_clear`, `_write`, `_read`.

    Args:
        distance: A `Distance`, its name or its config.
        dim: Embedding size, at least 1.
        name: Name of the object; the class's short name by default.
        verbose: Above 0, prints what takes long, such as training.
    """

    default_name: ClassVar[str] = "search"

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.distance = distances.get(distance)
        self.dim = check_positive("dim", dim)
        self.name = name or self.default_name
        self.verbose = verbose
        self._ids = GrowingArray("int64")
        self._largest_id = NO_ID
        self._fetch: Callable[[Ints], Floats] | None = None
        self._writing = threading.Lock()

    @abstractmethod
    def _add(self, embeddings: Floats) -> None:
        """Appends rows `[N, dim]`; all of them, or raises and appends none."""

    @abstractmethod
    def _find(
        self, queries: Floats, k: int, allowed: Bools | None
    ) -> tuple[Ints, Floats]:
        """Row numbers and distances `[Q, k]`, nearest first.

        `k` is at most the number of rows. Where fewer are found, the answer is narrower,
        or its rows end in row number -1.

        Args:
            allowed: Bool `[rows]`: which rows may be found, at least one of them; `None`
                for all. Rows that were added meanwhile may not.
        """

    @abstractmethod
    def _clear(self) -> None:
        """Forgets all rows."""

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Puts the rows into files."""

    @abstractmethod
    def _read(self, folder: Path, mmap: bool) -> None:
        """Takes the rows from the files of `_write`; the engine is empty before.

        Checks that there is a row for each of `self.size()` ids. With `mmap`, what is
        large is mapped, where that can be done, and not looked through.
        """

    def tunable(self) -> dict[str, list[Any]]:
        """Parameters that trade time for recall -> their values, cheap ones first.

        Recall grows along the values, too. Empty where the search is exact, or has
        nothing to set.
        """
        return {}

    def parameters(self) -> dict[str, Any]:
        """What `tunable` names, as it is set now."""
        return {name: getattr(self, name) for name in self.tunable()}

    def set_parameters(self, **parameters: Any) -> None:
        """Sets what `tunable` names, for the lookups from now on."""
        for name, value in parameters.items():
            if name not in self.tunable():
                known = ", ".join(self.tunable()) or "there are none"
                raise ValueError(
                    f"A parameter must be one of: {known}. Received: {name!r}."
                )
            setattr(self, name, value)

    def add(self, embedding: Any, idx: int, verbose: int = 1) -> None:
        """Adds one embedding, `[dim]` or `[1, dim]`; see `batch_add`."""
        self.batch_add(one_row(embedding, "embedding"), [idx], verbose=verbose)

    def batch_add(self, embeddings: Any, idxs: Any, verbose: int = 1) -> None:
        """Adds embeddings; on an error none of them.

        Args:
            embeddings: Array `[N, dim]`.
            idxs: Ids `[N]`: integers from 0, each used once.
            verbose: Of TensorFlow Similarity's signature; see the constructor's.

        Raises:
            ValueError: If a shape is wrong, a value is not finite, or an id is negative
                or known already.
            TypeError: If `idxs` are no integers.
        """
        embeddings = self.check(embeddings)
        with self._writing:
            ids = self._check_ids(idxs, len(embeddings))
            if not len(ids):
                return
            before = self.size()
            # First: whatever row a lookup finds meanwhile has an id.
            self._ids.extend(ids)
            try:
                self._add(embeddings)
            except BaseException:
                self._ids.truncate(before)
                raise
            self._largest_id = max(self._largest_id, int(ids.max()))

    def lookup(self, embedding: Any, k: int = 5) -> tuple[Ints, Floats]:
        """Ids and distances `[k]` of the neighbours of one query; see `batch_lookup`."""
        ids, found = self.batch_lookup(one_row(embedding, "embedding"), k)
        return ids[0], found[0]

    def batch_lookup(
        self, embeddings: Any, k: int = 5, *, allowed: Bools | None = None
    ) -> tuple[Ints, Floats]:
        """Finds the `k` nearest rows of each query.

        Args:
            embeddings: Queries `[Q, dim]`.
            k: Number of neighbours, at least 1.
            allowed: Bool `[n]`: may the row of id 0, 1, 2 ... be found? Those beyond `n`
                may not. `None` for all rows.

        Returns:
            Ids, int64 `[Q, k]`, and distances, float32 `[Q, k]`, nearest first. Where
            fewer than `k` are found (always so in an index of fewer rows), the row ends
            in id -1 and distance NaN.

        Raises:
            ValueError: If a shape is wrong or a value is not finite.
        """
        queries = self.check(embeddings)
        k = check_positive("k", k)
        ids = np.full((len(queries), k), NO_ID, "int64")
        found = np.full((len(queries), k), np.nan, "float32")
        if not len(queries) or not self.size():
            return ids, found
        may_be_found = None if allowed is None else self._allowed_rows(allowed)
        if may_be_found is not None and not may_be_found.any():
            return ids, found
        rows, values = self._find(queries, min(k, self.size()), may_be_found)
        width = rows.shape[1]
        is_found = rows >= 0
        ids[:, :width] = np.where(is_found, self._ids.rows[rows], NO_ID)
        found[:, :width] = np.where(is_found, values, np.nan)
        return ids, found

    def size(self) -> int:
        """Number of rows that are searched."""
        return len(self._ids)

    def is_built(self) -> bool:
        """Is there something to search?"""
        return self.size() > 0

    def reset(self) -> None:
        """Forgets all rows. Not to be called while lookups run."""
        with self._writing:
            self._ids.truncate()
            self._largest_id = NO_ID
            self._clear()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the rows into a folder, atomically; fsspec URLs work too."""
        config = {"search": registry.serialize(self)}
        save_folder(path, kind="search", config=config, write=self.write)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Replaces the rows by those that `save` wrote.

        Raises:
            FileNotFoundError: If nothing is saved there.
            ValueError: If the files are damaged, or were saved by another class or for
                another embedding size or distance. Nothing changes then.
        """
        with open_folder(path, kind="search") as (config, folder):
            # A second object: this one stays as it is if reading fails.
            saved = registry.deserialize(config["search"])
            self._check_same(saved)
            saved.read(folder)
            self.adopt(saved)

    def adopt(self, other: Self) -> None:
        """Takes over the rows of another engine like this one. Not while lookups run."""
        with self._writing:
            self._adopt(other)

    def write(self, folder: Path) -> None:
        """Puts ids and rows into files of an existing local folder."""
        with self._writing:
            np.save(folder / "ids.npy", self._ids.rows)
            self._write(folder)

    def read(self, folder: Path, mmap: bool = False) -> None:
        """Takes ids and rows from the files of `write`; for an empty engine.

        Args:
            folder: Where the files are.
            mmap: Map the vectors, rather than read them: opened at once, and in memory
                only as far as they are used. The files must stay.
        """
        ids = np.load(folder / "ids.npy", allow_pickle=False)
        with self._writing:
            self._ids = held(self._check_ids(ids, len(ids)))
            self._largest_id = int(ids.max(initial=NO_ID))
            self._read(folder, mmap)

    def use_vectors(self, fetch: Callable[[Ints], Floats] | None) -> None:
        """Takes note of where exact vectors can be had; an index calls it.

        Only an engine that keeps less than the vectors has a use for them.

        Args:
            fetch: From ids `[n]` of rows to their embeddings, float32 `[n, dim]`, as they
                were added; `None` for nowhere.
        """
        self._fetch = fetch

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {
            "distance": distances.serialize(self.distance),
            "dim": self.dim,
            "name": self.name,
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The (empty) engine whose `get_config` gave `config`."""
        return cls(**config)

    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        return check_vectors(embeddings, name=name, dim=self.dim)

    def _allowed_rows(self, allowed: Bools) -> Bools:
        """Bool `[rows]`: the same by row number, in place of id."""
        ids = self._ids.rows
        is_known = ids < len(allowed)
        return np.asarray(allowed, bool)[np.where(is_known, ids, 0)] & is_known

    def _check_ids(self, idxs: Any, rows: int) -> Ints:
        ids = to_numpy(idxs)
        if ids.size == 0:
            ids = ids.astype("int64")
        if ids.dtype.kind not in "iu":
            raise TypeError(f"`idxs` must be integers. Received: dtype={ids.dtype}.")
        if ids.shape != (rows,):
            raise ValueError(
                f"`idxs` must hold one id a row, {rows} of them. Received: "
                f"idxs.shape={ids.shape}."
            )
        ids = ids.astype("int64", copy=False)
        if rows and ids.min() < 0:
            raise ValueError(f"`idxs` must be from 0. Received: {ids.min()}.")
        if rows:
            self._check_unique(ids)
        return ids

    def _check_unique(self, ids: Ints) -> None:
        # Ids that count on, as a store's do, need no sorting, and no look at the others.
        if ids[0] > self._largest_id and (ids[1:] > ids[:-1]).all():
            return
        values, counts = np.unique(ids, return_counts=True)
        repeated = values[counts > 1]
        if values[0] <= self._largest_id:
            repeated = np.union1d(repeated, np.intersect1d(values, self._ids.rows))
        if len(repeated):
            raise ValueError(
                "`idxs` must be used once each. Received: "
                f"{', '.join(map(str, repeated[:5].tolist()))} again."
            )

    def _check_same(self, saved: Search) -> None:
        for name, ours, theirs in (
            ("search engine", type(self).__name__, type(saved).__name__),
            ("embedding size", self.dim, saved.dim),
            ("distance", self.distance, saved.distance),
        ):
            is_same = (
                is_same_distance(self.distance, saved.distance)
                if name == "distance"
                else ours == theirs
            )
            if not is_same:
                raise ValueError(
                    f"`path` must hold the same {name}: {ours}. Received: {theirs}."
                )

    def _adopt(self, other: Self) -> None:
        """Takes over rows and ids of a freshly read engine of the same class."""
        names = ("name", "verbose", "_writing", "_fetch")
        kept = {name: getattr(self, name) for name in names}
        self.__dict__.update({**other.__dict__, **kept})


registry = Registry("search engine", Search)
register = registry.register


def check_vectors(embeddings: Any, *, name: str, dim: int) -> Floats:
    """Embeddings as float32 `[N, dim]` that can be searched, or an error."""
    array = check_embeddings(embeddings, name=name, dim=dim)
    if array.size and max(array.max(), -array.min()) * dim**0.5 > _MAX_LENGTH:
        raise ValueError(
            f"`{name}` must be vectors shorter than {_MAX_LENGTH:g}, or their "
            "distances overflow float32. Received: a largest value of "
            f"{max(array.max(), -array.min()):g}. Scale them down."
        )
    return array


def is_same_distance(one: Distance, other: Distance) -> bool:
    """Do two distances measure the same? Their names do not matter."""
    configs = [{**d.get_config(), "name": None} for d in (one, other)]
    return type(one) is type(other) and configs[0] == configs[1]


def check_positive(name: str, value: Any) -> int:
    """The argument as an `int`, if it is a whole number above 0."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(
            f"`{name}` must be an integer. Received: {value!r} of type "
            f"{type(value).__name__}."
        )
    if number < 1:
        raise ValueError(f"`{name}` must be at least 1. Received: {name}={number}.")
    return number


def one_row(embedding: Any, name: str) -> Any:
    """One embedding `[D]` or `[1, D]` as a batch `[1, D]`.

    Raises:
        ValueError: If there are several.
    """
    array = to_numpy(embedding)
    if array.ndim == 1:
        array = array[None]
    if array.ndim == 2 and len(array) != 1:
        raise ValueError(
            f"`{name}` must be one embedding. Received: {name}.shape={array.shape}."
        )
    return array
