"""The nearest keys by their codes, and again by the vectors that these stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.search.codes import BinaryCodes, Codes
from keras_similarity.search.exact import nearest, prepared, rank
from keras_similarity.types import Bools, Floats, Ints

# Rows decoded at once; of width 128, 32 MiB.
_ROWS = 2**16
# Values of the vectors that are fetched at once to rank by: 64 MiB.
_VALUES = 2**24


def nearest_by_codes(
    distance: Distance, queries: Floats, codes: Codes, k: int, allowed: Bools | None
) -> tuple[Ints, Floats]:
    """The `k` nearest keys, as far as codes tell.

    Binary codes are compared sign by sign, others by the vectors that they stand for.

    Args:
        queries: Float32 `[Q, D]`, as `prepared` makes them.
        codes: Of the keys `[M, D]`, prepared alike.
        allowed: Bool, for the first keys: which may be found; `None` for all.

    Returns:
        Row numbers `[Q, K]`, int64, and distances to what the codes stand for, float32,
        nearest first; `K` is `k`, or the number of keys that may be found.
    """
    count = len(codes) if allowed is None else min(len(allowed), len(codes))
    allowed = None if allowed is None else allowed[:count]
    if isinstance(codes, BinaryCodes):
        rows = _by_signs(codes, queries, k, count, allowed)

        def vectors_of(rows: Ints) -> Floats:
            return prepared(distance, codes.vectors(rows))

        return rescored(distance, queries, rows, k, vectors_of)
    found = np.empty((len(queries), 0), "int64")
    distances = np.empty((len(queries), 0), "float32")
    for start in range(0, count, _ROWS):
        block = slice(start, min(start + _ROWS, count))
        is_allowed = None if allowed is None else allowed[block]
        keys = prepared(distance, codes.vectors(block))
        rows, values = nearest(distance, queries, keys, k, is_allowed)
        found = np.concatenate([found, rows + start], axis=1)
        distances = np.concatenate([distances, values], axis=1)
        order = np.lexsort((found, distance.to_cost(distances)))[:, :k]
        found = np.take_along_axis(found, order, 1)
        distances = np.take_along_axis(distances, order, 1)
    return found, distances


def rescored(
    distance: Distance,
    queries: Floats,
    rows: Ints,
    k: int,
    vectors_of: Callable[[Ints], Floats],
) -> tuple[Ints, Floats]:
    """The `k` nearest among candidates, by vectors that are fetched for it.

    Args:
        queries: Float32 `[Q, D]`, as `prepared` makes them.
        rows: Row numbers of the candidates `[Q, C]`; -1 where there is none.
        vectors_of: From row numbers `[n]` to vectors `[n, D]`, prepared alike.
    """
    values = rows.size * queries.shape[1]
    parts = np.array_split(np.arange(len(rows)), max(-(-values // _VALUES), 1))
    found, distances = [], []
    for part in parts:
        # Sorted, so that rows at the same distance stay in their order.
        fetched, places = np.unique(rows[part], return_inverse=True)
        is_row = fetched >= 0
        vectors = np.zeros((len(fetched), queries.shape[1]), "float32")
        vectors[is_row] = vectors_of(fetched[is_row])
        places = np.where(rows[part] < 0, -1, places.reshape(rows[part].shape))
        ranked, values_of_part = rank(distance, queries[part], vectors, places, k)
        found.append(np.where(ranked < 0, -1, fetched[ranked]))
        distances.append(values_of_part)
    return np.concatenate(found), np.concatenate(distances)


def _by_signs(
    codes: BinaryCodes, queries: Floats, k: int, count: int, allowed: Bools | None
) -> Ints:
    """Rows `[Q, K]` whose signs differ from the queries' in the fewest places."""
    import faiss

    signs = codes.array("signs")[:count]
    chosen = None if allowed is None else np.flatnonzero(allowed)
    if chosen is not None:
        signs = signs[chosen]
    query_signs = np.packbits(queries > 0, axis=1)
    _, rows = faiss.knn_hamming(query_signs, signs, min(k, len(signs)))
    rows = rows.astype("int64")
    return rows if chosen is None else np.where(rows < 0, -1, chosen[rows])
