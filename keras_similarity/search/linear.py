"""Exact search."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.growing import GrowingArray
from keras_similarity.search.base import Search, register
from keras_similarity.search.exact import nearest, prepared
from keras_similarity.types import Bools, Floats, Ints


@register("linear")
class LinearSearch(Search):
    """Exact search: compares each query with every row. Takes any distance.

    The right engine up to some 100,000 rows. Keeps float32 rows of its own, beside
    those of a store. Rows at the same distance come in the order in which they were
    added. Unlike TensorFlow Similarity's, it normalises for the cosine distance only.

    Args:
        distance: A `Distance` (also one of your own), its name or its config.
        dim: Embedding size.
        name: Name of the object.
        verbose: Of the base class; nothing here takes long.

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
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        self._vectors = GrowingArray("float32", self.dim)

    def _add(self, embeddings: Floats) -> None:
        self._vectors.extend(prepared(self.distance, embeddings))

    def _find(
        self, queries: Floats, k: int, allowed: Bools | None
    ) -> tuple[Ints, Floats]:
        return nearest(self.distance, queries, self._vectors.rows, k, allowed)

    def _clear(self) -> None:
        self._vectors.truncate()

    def _write(self, folder: Path) -> None:
        np.save(folder / "vectors.npy", self._vectors.rows)

    def _read(self, folder: Path, mmap: bool) -> None:
        self._vectors.extend(read_vectors(folder, rows=self.size(), dim=self.dim))


def read_vectors(folder: Path, *, rows: int, dim: int) -> Floats:
    """Vectors `[rows, dim]` of `vectors.npy`, or a `ValueError` if that is not it."""
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    if vectors.shape != (rows, dim) or vectors.dtype != np.float32:
        raise ValueError(
            f"The saved vectors must be float32 [{rows}, {dim}]. Received: "
            f"{vectors.dtype} {list(vectors.shape)}."
        )
    return vectors
