"""The keys that may be nearest, found fast, by distances with rounding errors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    ManhattanDistance,
    SquaredEuclideanDistance,
)
from keras_similarity.types import Floats, Ints

# Our distance -> the metric of faiss that puts keys in the same order. By exact type: a
# subclass measures something else.
FAISS_METRICS: dict[type[Distance], str] = {
    CosineDistance: "METRIC_INNER_PRODUCT",
    InnerProductSimilarity: "METRIC_INNER_PRODUCT",
    EuclideanDistance: "METRIC_L2",
    SquaredEuclideanDistance: "METRIC_L2",
    ManhattanDistance: "METRIC_L1",
}

# Distances of one block of NumPy's path: 256 * 16384 float32 are 16 MiB.
_QUERY_BLOCK = 256
_KEY_BLOCK = 16384

# faiss multiplies matrices only from a number of values on that it keeps in a global,
# 128,000 of them, which is late; below this many queries it is right not to.
_BLAS_QUERIES = 32
# Keys whose mean stands for that of all, and how many times their squared distance from
# it its squared length must be to be worth a copy of all keys.
_SAMPLE = 1024
_FAR = 10


def candidates(
    distance: Distance, queries: Floats, keys: Floats, count: int
) -> tuple[Ints, Floats]:
    """The keys that are nearest up to rounding errors.

    Cosine, inner product, both Euclidean distances and Manhattan run on faiss, any
    other distance on its own NumPy formula, 16 MiB of distances at a time.

    Args:
        distance: Any `Distance`.
        queries: Float32 `[Q, D]`, for cosine of unit length; so are the keys.
        keys: Float32 `[M, D]`.
        count: How many for each query, `C`: from 1 to M.

    Returns:
        Row numbers `[Q, C]`, int64, and bounds `[Q]`: the cost of every other key is
        above them. Infinity if there is no other key.

    Raises:
        ValueError: If `distance` gives NaN.
    """
    if type(distance) not in FAISS_METRICS:
        return _by_formula(distance, queries, keys, count)
    if count < len(keys):
        return _by_faiss(distance, queries, keys, count)
    rows = np.broadcast_to(np.arange(count), (len(queries), count))
    return rows, np.full(len(queries), np.inf)


def _by_faiss(
    distance: Distance, queries: Floats, keys: Floats, count: int
) -> tuple[Ints, Floats]:
    import faiss

    metric = FAISS_METRICS[type(distance)]
    is_product = len(queries) >= _BLAS_QUERIES
    if is_product and metric == "METRIC_L2":
        queries, keys = _moved_to_zero(queries, keys)
    with _matrix_products(is_product):
        values, rows = faiss.knn(queries, keys, count, getattr(faiss, metric))
    worst = values[:, -1].astype("float64")
    rounding = _rounding(keys)
    if type(distance) is CosineDistance:
        return rows, 1.0 - worst - rounding
    if metric == "METRIC_INNER_PRODUCT":
        return rows, -worst - rounding * _lengths(queries) * _lengths(keys).max()
    error = rounding * worst
    if is_product and metric == "METRIC_L2":
        # The lengths of the query and of the longest key that is not farther.
        lengths = _lengths(queries)
        error = rounding * (lengths**2 + (lengths + np.sqrt(worst.clip(0))) ** 2)
    bounds = worst - error
    if type(distance) is EuclideanDistance:
        bounds = np.sqrt(bounds.clip(0))
    return rows, bounds


def _moved_to_zero(queries: Floats, keys: Floats) -> tuple[Floats, Floats]:
    """Queries and keys, moved alike so that the keys lie around 0, if they are far off.

    A product's errors grow with the squared lengths, and none of it is distance.
    """
    sample = keys[:: max(len(keys) // _SAMPLE, 1)]
    center = sample.mean(axis=0)
    spread = np.square(sample - center).sum(axis=1).mean()
    if np.square(center).sum() < _FAR * spread:
        return queries, keys
    return queries - center, keys - center


def _rounding(keys: Floats) -> float:
    """Relative error of a float32 sum over the features.

    Errors add up like a random walk; this is four times that.
    """
    return float(4 * np.finfo("float32").eps * keys.shape[1] ** 0.5)


def _lengths(embeddings: Floats) -> Floats:
    return np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings).astype("float64"))


def _by_formula(
    distance: Distance, queries: Floats, keys: Floats, count: int
) -> tuple[Ints, Floats]:
    blocks = [
        _block_by_formula(distance, queries[start : start + _QUERY_BLOCK], keys, count)
        for start in range(0, len(queries), _QUERY_BLOCK)
    ]
    rows, worst, scale = (
        np.concatenate(columns) for columns in zip(*blocks, strict=True)
    )
    if count == len(keys):
        return rows, np.full(len(queries), np.inf)
    return rows, worst - _rounding(keys) * scale


def _block_by_formula(
    distance: Distance, queries: Floats, keys: Floats, count: int
) -> tuple[Ints, Floats, Floats]:
    """Row numbers `[q, C]`, the cost `[q]` of the worst of them, and its scale `[q]`.

    The scale is the largest cost of any key: that of the terms of a formula in which
    they cancel, and so that of its rounding errors, too.
    """
    rows = np.empty((len(queries), 0), "int64")
    scale = np.zeros(len(queries), "float32")
    costs = np.empty((len(queries), 0), "float32")
    for start in range(0, len(keys), _KEY_BLOCK):
        block = distance.cost(queries, keys[start : start + _KEY_BLOCK])
        if np.isnan(block).any():
            raise ValueError(
                f"`distance` must give numbers. Received: a NaN from {distance!r}."
            )
        scale = np.maximum(scale, np.abs(block).max(axis=1))
        columns = _smallest(block, count)
        costs = np.concatenate([costs, np.take_along_axis(block, columns, 1)], axis=1)
        rows = np.concatenate([rows, columns + start], axis=1)
        columns = _smallest(costs, count)
        costs = np.take_along_axis(costs, columns, 1).astype("float32")
        rows = np.take_along_axis(rows, columns, 1)
    return rows, costs.max(axis=1), scale


def _smallest(costs: Floats, count: int) -> Ints:
    """Columns `[Q, min(count, M)]` of the smallest costs `[Q, M]`, in any order."""
    if count >= costs.shape[1]:
        return np.broadcast_to(np.arange(costs.shape[1]), costs.shape)
    return np.argpartition(costs, count - 1, axis=1)[:, :count]


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
