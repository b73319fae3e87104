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
# Keys whose mean stands for that of all.
_SAMPLE = 1024


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
    if count == len(keys):
        rows = np.broadcast_to(np.arange(count), (len(queries), count))
        bounds = np.full(len(queries), np.inf)
        # All keys: nothing to be found, but a formula is asked whether it gives NaN.
        if type(distance) in FAISS_METRICS:
            return rows, bounds
        return _by_formula(distance, queries, keys, count)[0], bounds
    if type(distance) in FAISS_METRICS:
        return _by_faiss(distance, queries, keys, count)
    return _by_formula(distance, queries, keys, count)


def _by_faiss(
    distance: Distance, queries: Floats, keys: Floats, count: int
) -> tuple[Ints, Floats]:
    import faiss

    metric = FAISS_METRICS[type(distance)]
    is_product = len(queries) >= _BLAS_QUERIES
    if is_product and metric == "METRIC_L2":
        # The product's errors grow with the square of the distance from 0.
        center = keys[:: max(len(keys) // _SAMPLE, 1)].mean(axis=0)
        queries, keys = queries - center, keys - center
    with _matrix_products(is_product):
        values, rows = faiss.knn(queries, keys, count, getattr(faiss, metric))
    worst = values.min(1) if metric == "METRIC_INNER_PRODUCT" else values.max(1)
    worst = worst.astype("float64")
    # Rounding errors add up like a random walk; four times that is never seen.
    epsilon = 4 * np.finfo("float32").eps * keys.shape[1] ** 0.5
    if metric == "METRIC_INNER_PRODUCT":
        lengths = _lengths(queries) * _lengths(keys[rows].reshape(-1, keys.shape[1]))
    ...
