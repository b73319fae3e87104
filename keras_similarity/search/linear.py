"""Exact search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.distances import CosineDistance, Distance
from keras_similarity.search.base import Search, register
from keras_similarity.search.coded import nearest_by_codes, rescored
from keras_similarity.search.codes import CODES, check_float16
from keras_similarity.search.exact import nearest, prepared
from keras_similarity.types import Bools, Floats, Ints

# Candidates beyond `k` that are ranked by exact vectors, before codes widen that.
_SPARE = 4
# So few rows that may be found are compared by their exact vectors at once.
_FEW = 4096


@register("linear")
class LinearSearch(Search):
    """Exact search: compares each query with every row. Takes any distance.

    The right engine up to some 100,000 rows. Keeps float32 rows of its own, beside
    those of a store. Rows at the same distance come in the order in which they were
    added. Unlike TensorFlow Similarity's, it normalises for the cosine distance only.

    Cosine, inner product, both Euclidean distances and Manhattan run on faiss, which
    compares blocks of 4,096 queries with blocks of 1,024 rows; any other distance on its
    own NumPy formula, 256 queries with 16,384 rows at a time, 16 MiB of distances. The
    best of each query, some more than `k`, are then ranked by their exact distances.

    With another `storage` it keeps codes in place of vectors, and compares queries with
    what the codes stand for, 65,536 rows at a time (`"binary"`: signs with signs). In an
    index the best of them, some more than `k`, are ranked by the exact vectors, which the
    store has; alone, the distances are those to what the codes stand for. Either way
    some neighbours may be missed: measure how many with `recall` of the index.

    Args:
        distance: A `Distance` (also one of your own), its name or its config.
        dim: Embedding size.
        name: Name of the object.
        verbose: Of the base class; nothing here takes long.
        storage: `"float32"`, which is exact; `"float16"`, half of the memory; `"int8"`,
            a quarter; `"binary"`, a thirty-second, for embeddings that point to all sides
            of 0, as those compared by cosine do.

    Raises:
        ValueError: If there is no such storage.

    Example:
        >>> from keras_similarity.search import LinearSearch
        >>> search = LinearSearch("euclidean", dim=2)
        >>> search.batch_add([[0.0, 0.0], [3.0, 4.0]], idxs=[7, 8])
        >>> ids, distances = search.batch_lookup([[0.0, 0.0]], k=2)
        >>> ids.tolist(), distances.tolist()
        ([[7, 8]], [[0.0, 5.0]])
    """

    default_name = "linear"

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        name: str | None = None,
        verbose: int = 0,
        storage: str = "float32",
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        if storage not in CODES:
            raise ValueError(
                f"`storage` must be one of {', '.join(CODES)}. Received: "
                f"storage={storage!r}."
            )
        self.storage = storage
        self._codes = CODES[storage](self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "storage": self.storage}

    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        array = super().check(embeddings, name)
        if self.storage == "float16" and type(self.distance) is not CosineDistance:
            check_float16(array, name)
        return array

    def _add(self, embeddings: Floats) -> None:
        self._codes.extend(prepared(self.distance, embeddings))

    def _find(
        self, queries: Floats, k: int, allowed: Bools | None
    ) -> tuple[Ints, Floats]:
        if self.storage == "float32":
            vectors = self._codes.array("vectors")
            return nearest(self.distance, queries, vectors, k, allowed)
        queries = prepared(self.distance, queries)
        fetch = self._fetch
        if fetch is None:
            return nearest_by_codes(self.distance, queries, self._codes, k, allowed)

        def exact(rows: Ints) -> Floats:
            vectors = np.ascontiguousarray(fetch(self._ids.rows[rows]), "float32")
            return prepared(self.distance, vectors)

        if allowed is not None and np.count_nonzero(allowed) <= _FEW:
            chosen = np.flatnonzero(allowed)
            rows, distances = nearest(self.distance, queries, exact(chosen), k)
            return chosen[rows], distances
        count = self._codes.widening * (k + _SPARE)
        rows, _ = nearest_by_codes(self.distance, queries, self._codes, count, allowed)
        return rescored(self.distance, queries, rows, k, exact)

    def _clear(self) -> None:
        self._codes.truncate()

    def _write(self, folder: Path) -> None:
        self._codes.write(folder)

    def _read(self, folder: Path, mmap: bool) -> None:
        self._codes.read(folder, self.size(), mmap)
