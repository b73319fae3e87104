"""What approximate engines share: when they are asked, and what is made of it."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.growing import GrowingArray, held
from keras_similarity.search.base import Search, check_positive
from keras_similarity.search.codes import read_array
from keras_similarity.search.exact import nearest, prepared, rank
from keras_similarity.search.lock import ReadersWriterLock
from keras_similarity.types import Bools, Floats, Ints

logger = logging.getLogger(__name__)

# Up to this share of the rows is searched exactly where only they may be found, and where
# so large a share is asked for. There exact search is as fast, and graphs break down.
_SELECTIVE = 0.125
# The same for an engine whose candidates are filtered afterwards: of a filter that goes
# with the vectors, as a label does, most candidates near a query may be left out.
_SELECTIVE_AFTERWARDS = 0.25
# Newest rows that are searched exactly beside the engine, before it is handed them.
_TAIL = 4096
# Candidates beyond those asked for: rounding differs from engine to engine.
_SPARE = 8


class Built(NamedTuple):
    """An engine, and how many of the first rows it holds."""

    engine: Any
    rows: int


class ApproximateSearch(Search):
    """Base of engines that look at some of the rows, and may miss a neighbour.

    Keeps the float32 vectors beside the engine, and so:

    - distances are exact: the engine's candidates are ranked by the vectors;
    - few rows, up to `exact_rows`, are searched exactly, and so are the few that a filter
      leaves (an eighth of all), the queries for which the engine finds too little, and
      the newest rows, until there are enough of them to hand over to the engine;
    - lookups go on while an engine is made, and are held up for moments only while one is
      extended.

    A subclass says how an engine is made, extended (unless `can_extend` is false),
    searched, written and read: `_made`, `_extended`, `_candidates`, `_write_engine`,
    `_read_engine`.

    Args:
        distance: A `Distance`, its name or its config.
        dim: Embedding size.
        name: Name of the object.
        verbose: Above 0, prints when an engine is made.
        exact_rows: Up to so many rows are searched exactly, without an engine; `None` for
            a number that suits the engine.
    """

    #: May an engine be told which rows may be found?
    can_filter: bool = False
    #: Does an engine take more rows? If not, another one is made in its place.
    can_extend: bool = True
    #: Rows that an engine is handed at once, which holds up lookups.
    rows_at_once: int = 128

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        name: str | None = None,
        verbose: int = 0,
        exact_rows: int | None = None,
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        self.exact_rows = exact_rows
        if exact_rows is not None:
            check_positive("exact_rows", exact_rows)
        self._vectors = GrowingArray("float32", self.dim)
        self._built: Built | None = None
        # Engines may be searched by many threads, but by none while rows are added.
        self._lock = ReadersWriterLock()

    @abstractmethod
    def _made(self, vectors: Floats) -> Any:
        """An engine with these rows, as `prepared` makes them."""

    def _extended(self, engine: Any, vectors: Floats) -> Any:
        """The engine with more rows behind its own; it may be another one."""
        raise NotImplementedError(
            f"`{type(self).__name__}` must define `_extended`, or `can_extend = False`."
        )

    @abstractmethod
    def _candidates(
        self, engine: Any, queries: Floats, count: int, allowed: Bools | None
    ) -> Ints:
        """Row numbers `[Q, C]` that may be nearest, -1 where there is none.

        Args:
            queries: Float32 `[Q, dim]`, as `prepared` makes them.
            count: How many are wanted for each, `C`; fewer are taken.
            allowed: Bool, a value for each of the engine's rows: which may be found.
                `None` for all, always so where `can_filter` is false.
        """

    @abstractmethod
    def _write_engine(self, engine: Any, folder: Path) -> None:
        """Puts the engine into files."""

    @abstractmethod
    def _read_engine(self, folder: Path, mmap: bool) -> Built | None:
        """The engine in the files of `_write_engine`, and its number of rows, if any.

        Raises:
            ValueError: If it is of another kind than this object would make.
        """

    @property
    def default_exact_rows(self) -> int:
        """`exact_rows`, where none is given."""
        return 1000

    @property
    def is_trained(self) -> bool:
        """Is there an engine yet? Until then the search is exact."""
        return self._built is not None

    def _is_outgrown(self, engine: Any, rows: int) -> bool:
        """Should another engine be made, now that there are so many rows?"""
        return False

    def _tail_limit(self, rows: int) -> int:
        """How many rows may be searched exactly beside an engine of `rows` rows."""
        return _TAIL

    def _candidate_count(self, k: int) -> int:
        """How many candidates to look at for `k` neighbours."""
        return k + _SPARE

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "exact_rows": self.exact_rows}

    def _add(self, embeddings: Floats) -> None:
        before = len(self._vectors)
        self._vectors.extend(prepared(self.distance, embeddings))
        try:
            self._hand_over()
        except BaseException:
            with self._lock.writing():
                self._vectors.truncate(before)
            raise

    def _hand_over(self) -> None:
        """Makes or extends the engine, if it is time."""
        vectors = self._vectors.rows
        built = self._built
        limit = self.exact_rows or self.default_exact_rows
        if built is None and len(vectors) <= limit:
            return
        is_due = built and len(vectors) - built.rows > self._tail_limit(built.rows)
        is_outgrown = built and self._is_outgrown(built.engine, len(vectors))
        if built is None or is_outgrown or (is_due and not self.can_extend):
            # Lookups go on, as before, until the new engine is complete.
            self._tell(f"{self.name}: making an engine of {len(vectors)} rows")
            self._built = Built(self._made(vectors), len(vectors))
        elif is_due:
            self._extend(built, vectors)

    def _extend(self, built: Built, vectors: Floats) -> None:
        for start in range(built.rows, len(vectors), self.rows_at_once):
            block = vectors[start : start + self.rows_at_once]
            with self._lock.writing():
                # An engine that fails half-way holds nobody knows what.
                self._built = None
                engine = self._extended(built.engine, block)
                built = self._built = Built(engine, start + len(block))

    def _find(
        self, queries: Floats, k: int, allowed: Bools | None
    ) -> tuple[Ints, Floats]:
        may_be_found = self.size() if allowed is None else np.count_nonzero(allowed)
        rows = self.size() if allowed is None else len(allowed)
        share = _SELECTIVE if self.can_filter else _SELECTIVE_AFTERWARDS
        is_small = may_be_found <= share * rows or k > _SELECTIVE * may_be_found
        if self._built is None or is_small:
            return nearest(self.distance, queries, self._vectors.rows, k, allowed)
        prepared_queries = prepared(self.distance, queries)
        with self._lock.reading():
            built = self._engine_now()
            if built is None:
                return nearest(self.distance, queries, self._vectors.rows, k, allowed)
            found = self._candidates_of(built, prepared_queries, k, allowed)
            # After the search: they hold every row that it found.
            vectors = self._vectors.rows
        newest = self._newest(built.rows, vectors, queries, k, allowed)
        found = np.concatenate([found, newest], axis=1)
        found, distances = rank(self.distance, prepared_queries, vectors, found, k)
        return self._completed(queries, k, allowed, vectors, found, distances)

    def _engine_now(self) -> Built | None:
        """The engine of this moment, which may be another than a moment ago."""
        return self._built

    def _candidates_of(
        self, built: Built, queries: Floats, k: int, allowed: Bools | None
    ) -> Ints:
        """Candidates `[Q, C]` from an engine; those that may not be found are -1."""
        count = min(self._candidate_count(k), built.rows)
        if allowed is None:
            return _rows(self._candidates(built.engine, queries, count, None), built.rows)
        is_allowed = np.zeros(built.rows, bool)
        is_allowed[: len(allowed)] = allowed[: built.rows]
        # Codes and graphs tell less of neighbours that are farther off, as those are that
        # a filter leaves.
        share = max(float(is_allowed.mean()), 1 / built.rows)
        count = int(count / (share if self.can_filter else share**2))
        count = min(count, built.rows)
        told = is_allowed if self.can_filter else None
        rows = self._candidates(built.engine, queries, count, told)
        rows = _rows(rows, built.rows)
        return np.where(is_allowed[rows], rows, -1)

    def _newest(
        self, start: int, vectors: Floats, queries: Floats, k: int, allowed: Bools | None
    ) -> Ints:
        """The nearest `[Q, K]` of the rows that the engine lacks."""
        if allowed is not None:
            allowed, vectors = allowed[start:], vectors[: len(allowed)]
        rows, _ = nearest(self.distance, queries, vectors[start:], k, allowed)
        return rows + start

    def _completed(
        self,
        queries: Floats,
        k: int,
        allowed: Bools | None,
        vectors: Floats,
        rows: Ints,
        distances: Floats,
    ) -> tuple[Ints, Floats]:
        """The same, with exact answers for queries for which there is more to find."""
        limit = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
        k = min(k, limit)
        short = np.flatnonzero((rows >= 0).sum(axis=1) < k)
        if not len(short):
            return rows, distances
        full_rows = np.full((len(queries), k), -1)
        full_distances = np.full((len(queries), k), np.nan, "float32")
        width = min(k, rows.shape[1])
        full_rows[:, :width] = rows[:, :width]
        full_distances[:, :width] = distances[:, :width]
        full_rows[short], full_distances[short] = nearest(
            self.distance, queries[short], vectors, k, allowed
        )
        return full_rows, full_distances

    def _clear(self) -> None:
        with self._lock.writing():
            self._built = None
            self._vectors.truncate()

    def _write(self, folder: Path) -> None:
        np.save(folder / "vectors.npy", self._vectors.rows)
        if self._built is not None:
            self._write_engine(self._built.engine, folder)

    def _read(self, folder: Path, mmap: bool) -> None:
        shape = (self.size(), self.dim)
        vectors = read_array(folder / "vectors.npy", "float32", shape, mmap)
        built = self._read_engine(folder, mmap)
        if built is not None and built.rows > len(vectors):
            raise ValueError(
                f"The saved engine must have at most {len(vectors)} rows. Received: "
                f"{built.rows}."
            )
        self._vectors = held(vectors)
        self._built = built

    def _tell(self, message: str) -> None:
        logger.info(message)
        if self.verbose:
            print(message)


def _rows(rows: Ints, limit: int) -> Ints:
    """Row numbers, those that are none as -1: an engine is not trusted."""
    return np.where((rows >= 0) & (rows < limit), rows, -1).astype("int64")
