"""The nearest keys, exactly."""

from __future__ import annotations

from collections.abc import Callable

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
from keras_similarity.search.candidates import candidates
from keras_similarity.types import Bools, Floats, Ints

# Candidates beyond `k`: enough that one look nearly always settles who is nearest.
_SPARE = 16
# How many times as many candidates a query gets that was not settled.
_WIDENING = 8
# Values of the rows compared at once: 1 MiB, which stays in the cache.
_BLOCK = 2**18
# Candidates held at once: some 100 MiB of row numbers, distances and their order.
_CANDIDATES = 2**22
# Up to this share of the keys it is faster to copy those that may be found.
_SELECTIVE = 0.2


def prepared(distance: Distance, embeddings: Floats) -> Floats:
    """Embeddings `[N, D]` as `nearest` wants its keys: for cosine, of unit length."""
    return unit(embeddings, NUMPY) if type(distance) is CosineDistance else embeddings


def nearest(
    distance: Distance,
    queries: Floats,
    keys: Floats,
    k: int,
    allowed: Bools | None = None,
) -> tuple[Ints, Floats]:
    """The `k` nearest keys of each query.

    Fast matrix products find more candidates than are asked for. Their rounding depends
    on the shapes, and so on what other queries stand in the batch: who is nearest, and
    how far it is, `rank` decides. A query gets more candidates until no other key can be
    as near as the last that it found.

    Args:
        distance: Any `Distance`; the nearest under a similarity are the largest.
        queries: Float32 `[Q, D]`, finite.
        keys: Float32 `[M, D]`, finite, as `prepared` makes them.
        k: At least 1.
        allowed: Bool, for the first keys: which may be found; `None` for all keys.

    Returns:
        Row numbers of the keys, int64, and distances, float32, both `[Q, min(k, M)]`,
        nearest first, at the same distance by row number. What a query gets does not
        depend on the others. `M` is the number of keys that may be found.

    Raises:
        ValueError: If `distance` gives NaN.
    """
    if allowed is not None:
        keys = keys[: len(allowed)]
        allowed = allowed[: len(keys)]
        chosen = np.flatnonzero(allowed)
        if len(chosen) <= _SELECTIVE * len(keys):
            rows, distances = nearest(distance, queries, keys[chosen], k)
            return chosen[rows], distances
        k = min(k, len(chosen))
        share = len(chosen) / len(keys)
    k = min(k, len(keys))
    rows = np.zeros((len(queries), k), "int64")
    distances = np.zeros((len(queries), k), "float32")
    queries = prepared(distance, queries)
    unsettled = np.arange(len(queries)) if k else np.arange(0)
    count = k + _SPARE if allowed is None else int((k + _SPARE) / share)
    while len(unsettled):
        count = min(count, len(keys))
        still_unsettled = []
        for part in _parts(unsettled, width=count):
            found, bounds = candidates(distance, queries[part], keys, count)
            if allowed is not None:
                found = np.where(allowed[found], found, -1)
            rows[part], distances[part] = rank(distance, queries[part], keys, found, k)
            farthest = distance.to_cost(distances[part, -1])
            still_unsettled.append(part[farthest >= bounds])
        unsettled = np.concatenate(still_unsettled)
        count *= _WIDENING
    return rows, distances


def rank(
    distance: Distance, queries: Floats, keys: Floats, rows: Ints, k: int
) -> tuple[Ints, Floats]:
    """The `k` nearest among the candidates of each query, by the distance itself.

    Args:
        queries: Float32 `[Q, D]`, as `prepared` makes them; so are the keys.
        rows: Row numbers of the candidate keys `[Q, C]`; -1 where there is none.

    Returns:
        As `nearest`; row number -1 where a query has fewer than `k` candidates.
    """
    pair_distances = _pair_distances(distance, queries, keys, rows)
    costs = np.where(rows < 0, np.inf, distance.to_cost(pair_distances))
    order = np.lexsort((rows, costs))[:, :k]
    found = np.take_along_axis(rows, order, 1)
    return found, distance.to_cost(np.take_along_axis(costs, order, 1))


def _pair_distances(
    distance: Distance, queries: Floats, keys: Floats, rows: Ints
) -> Floats:
    """Distances `[Q, C]` of each query to the keys of its row, pair by pair."""
    paired = _PAIRED.get(type(distance), distance.paired)
    flat_rows = rows.ravel()
    distances = np.empty(rows.size, "float32")
    step = max(_BLOCK // keys.shape[1], 1)
    for start in range(0, rows.size, step):
        block = slice(start, start + step)
        query_rows = np.arange(start, min(start + step, rows.size)) // rows.shape[1]
        distances[block] = paired(queries[query_rows], keys[flat_rows[block]])
    return distances.reshape(rows.shape)


def _parts(numbers: Ints, *, width: int) -> list[Ints]:
    """The numbers in parts, each of at most `_CANDIDATES / width` if that is possible."""
    parts = -(-len(numbers) * width // _CANDIDATES)
    return np.array_split(numbers, min(parts, len(numbers)))


def _inner_product(query: Floats, key: Floats) -> Floats:
    return np.einsum("nd,nd->n", query, key)


def _cosine(query: Floats, key: Floats) -> Floats:
    # Rounding can leave a cosine a little above 1.
    return np.maximum(1.0 - _inner_product(query, key), 0.0)


def _squared_euclidean(query: Floats, key: Floats) -> Floats:
    # By differences: nothing cancels, however far from 0 the embeddings are.
    difference = query - key
    return _inner_product(difference, difference)


def _euclidean(query: Floats, key: Floats) -> Floats:
    return np.sqrt(_squared_euclidean(query, key))


def _manhattan(query: Floats, key: Floats) -> Floats:
    return np.abs(query - key).sum(axis=1)


# Distances `[N]` of rows `[N, D]`, of unit length for cosine: sums within a row, which
# come out the same whatever rows stand beside it. By exact type: a subclass measures
# something else, and is asked itself.
_PAIRED: dict[type[Distance], Callable[[Floats, Floats], Floats]] = {
    CosineDistance: _cosine,
    InnerProductSimilarity: _inner_product,
    EuclideanDistance: _euclidean,
    SquaredEuclideanDistance: _squared_euclidean,
    ManhattanDistance: _manhattan,
}
