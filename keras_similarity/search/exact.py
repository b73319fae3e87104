"""The nearest keys by comparing each query with every key."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

from keras_similarity.array_ops import NUMPY
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    ManhattanDistance,
    SquaredEuclideanDistance,
)
from keras_similarity.distances.normalize import unit
from keras_similarity.types import Floats, Ints

# Our distance -> (metric of faiss, its value -> ours). By exact type: a subclass
# measures something else. Rounding can leave the value of equal vectors below 0.
FAISS_METRICS: dict[type[Distance], tuple[str, Callable[[Floats], Floats]]] = {
    CosineDistance: ("METRIC_INNER_PRODUCT", lambda value: np.maximum(1.0 - value, 0.0)),
    InnerProductSimilarity: ("METRIC_INNER_PRODUCT", lambda value: value),
    EuclideanDistance: ("METRIC_L2", lambda value: np.sqrt(np.maximum(value, 0.0))),
    SquaredEuclideanDistance: ("METRIC_L2", lambda value: np.maximum(value, 0.0)),
    ManhattanDistance: ("METRIC_L1", lambda value: value),
}

# Distances of one block of NumPy's path: 256 * 16384 float32 are 16 MiB.
_QUERY_BLOCK = 256
_KEY_BLOCK = 16384

# faiss multiplies matrices only from a number of values on that it keeps in a global,
# 128,000 of them, which is late; below this many queries it is right not to.
_BLAS_QUERIES = 32


def prepared(distance: Distance, embeddings: Floats) -> Floats:
    """Embeddings `[N, D]` as `nearest` wants its keys: for cosine, of unit length."""
    return unit(embeddings, NUMPY) if type(distance) is CosineDistance else embeddings


def nearest(
    distance: Distance, queries: Floats, keys: Floats, k: int
) -> tuple[Ints, Floats]:
    """The `k` nearest keys of each query, exactly.

    Cosine, inner product, both Euclidean distances and Manhattan run on faiss, any
    other distance on its own NumPy formula, 16 MiB of distances at a time.

    Args:
        distance: Any `Distance`; the nearest under a similarity are the largest.
        queries: Float32 `[Q, D]`, finite.
        keys: Float32 `[M, D]`, finite, as `prepared` makes them.
        k: At least 1.

    Returns:
        Row numbers of the keys, int64, and distances, float32, both `[Q, min(k, M)]`,
        nearest first, at the same distance by row number.

    Raises:
        ValueError: If `distance` gives NaN.
    """
    k = min(k, len(keys))
    if not k:
        return np.zeros((len(queries), 0), "int64"), np.zeros((len(queries), 0), "f4")
    if type(distance) in FAISS_METRICS:
        return _nearest_by_faiss(distance, prepared(distance, queries), keys, k)
    blocks = [
        _nearest_by_formula(distance, queries[start : start + _QUERY_BLOCK], keys, k)
        for start in range(0, len(queries), _QUERY_BLOCK)
    ]
    rows, costs = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    return rows, distance.to_cost(costs)


def rank(
    distance: Distance, queries: Floats, keys: Floats, rows: Ints, k: int
) -> tuple[Ints, Floats]:
    """The `k` nearest among the candidates of each query, by the distance itself.

    Args:
        rows: Row numbers of the candidate keys `[Q, C]`; -1 where there is none.

    Returns:
        As `nearest`; row number -1 where a query has fewer than `k` candidates.
    """
    k = min(k, rows.shape[1])
    found = np.full((len(queries), k), -1, "int64")
    costs = np.full((len(queries), k), np.inf, "float32")
    for start in range(0, len(queries), _QUERY_BLOCK):
        block = slice(start, start + _QUERY_BLOCK)
        candidates = keys[rows[block]]  # [q, C, D]
        matrix = distance.matrix(queries[block, None], candidates, NUMPY)[:, 0]
        cost = np.where(rows[block] < 0, np.inf, distance.to_cost(matrix))
        order = np.lexsort((rows[block], cost))[:, :k]
        found[block] = np.take_along_axis(rows[block], order, 1)
        costs[block] = np.take_along_axis(cost, order, 1)
    return found, distance.to_cost(costs)


def _nearest_by_faiss(
    distance: Distance, queries: Floats, keys: Floats, k: int
) -> tuple[Ints, Floats]:
    import faiss

    metric, to_distance = FAISS_METRICS[type(distance)]
    with _matrix_products(len(queries) >= _BLAS_QUERIES):
        values, rows = faiss.knn(queries, keys, k, getattr(faiss, metric))
    distances = to_distance(values)
    # faiss leaves ties in any order.
    order = np.lexsort((rows, distance.to_cost(distances)))
    return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


def _nearest_by_formula(
    distance: Distance, queries: Floats, keys: Floats, k: int
) -> tuple[Ints, Floats]:
    rows = np.empty((len(queries), 0), "int64")
    costs = np.empty((len(queries), 0), "float32")
    for start in range(0, len(keys), _KEY_BLOCK):
        block = distance.cost(queries, keys[start : start + _KEY_BLOCK])
        if np.isnan(block).any():
            raise ValueError(
                f"`distance` must give numbers. Received: a NaN from {distance!r}."
            )
        columns = _smallest(block, k)
        # The best so far stand in front, so that a tie goes to the lower row number.
        costs = np.concatenate([costs, np.take_along_axis(block, columns, 1)], axis=1)
        rows = np.concatenate([rows, columns + start], axis=1)
        columns = _smallest(costs, k)
        costs = np.take_along_axis(costs, columns, 1).astype("float32")
        rows = np.take_along_axis(rows, columns, 1)
    return rows, costs


def _smallest(costs: Floats, k: int) -> Ints:
    """Columns `[Q, min(k, M)]` of the smallest costs `[Q, M]`, ties by column."""
    if k >= costs.shape[1]:
        return np.argsort(costs, axis=1, kind="stable")
    # The k-th value, not its place: `argpartition` would choose among ties at random.
    bound = np.partition(costs, k - 1, axis=1)[:, k - 1 : k]
    rows, columns = np.nonzero(costs <= bound)  # By row, then by column.
    order = np.lexsort((costs[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(costs)))
    return columns[order][first[:, None] + np.arange(k)]


_blas_lock = threading.Lock()
_blas_users = 0
_blas_threshold = 0


@contextlib.contextmanager
def _matrix_products(wanted: bool) -> Iterator[None]:
    """Makes faiss multiply matrices inside the block, in whatever thread."""
    global _blas_users, _blas_threshold
    if not wanted:
        yield
        return
    import faiss

    with _blas_lock:
        if not _blas_users:
            _blas_threshold = faiss.cvar.distance_compute_blas_threshold
            faiss.cvar.distance_compute_blas_threshold = 1
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if not _blas_users:
                faiss.cvar.distance_compute_blas_threshold = _blas_threshold
