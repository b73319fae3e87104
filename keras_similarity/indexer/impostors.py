"""Lookups in which each query's own class is left out, as though it was not indexed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_similarity.indexer.choice import ANY, Choice
from keras_similarity.stores.filter import field
from keras_similarity.types import NO_ID, NO_LABEL, Bools, Floats, Ints, Lookups

Find = Callable[[Floats, int, Choice], Lookups]

# Rows of its own class that a query may leave out itself; those of a larger class are
# filtered out, in a lookup of their own.
_FEW = 256
# Neighbours of a block of queries.
_AT_ONCE = 2**22


def impostor_lookups(
    find: Find, embeddings: Floats, labels: Ints, k: int, index_labels: Ints
) -> Lookups:
    """The `k` nearest neighbours of each query that are of another class, or of none.

    Args:
        find: Looks up embeddings: so many neighbours, of a choice.
        embeddings: Queries `[Q, D]`.
        labels: Their labels `[Q]`.
        k: Neighbours of each.
        index_labels: Labels of all rows that can be found.

    Returns:
        Distances and labels `[Q, k]`; there are no records behind them.
    """
    sizes = _class_sizes(labels, index_labels)
    found_labels = np.full((len(labels), k), NO_LABEL)
    distances = np.full((len(labels), k), np.nan, "float32")

    def put(queries: Ints, lookups: Lookups, is_kept: Bools) -> None:
        order = np.argsort(~is_kept, axis=1, kind="stable")[:, :k]
        kept = np.take_along_axis(is_kept, order, 1)
        at = np.ix_(queries, np.arange(order.shape[1]))
        labels = np.take_along_axis(lookups.labels, order, 1)
        found_labels[at] = np.where(kept, labels, NO_LABEL)
        near = np.take_along_axis(lookups.distances, order, 1)
        distances[at] = np.where(kept, near, np.nan)

    for queries in _blocks(np.flatnonzero(sizes <= _FEW), sizes, k):
        width = min(k + int(sizes[queries].max()), len(index_labels))
        lookups = find(embeddings[queries], width, ANY)
        is_other = lookups.labels != labels[queries, None]
        put(queries, lookups, lookups.is_found & is_other)
    for label in np.unique(labels[sizes > _FEW]).tolist():
        others = (field("label") != label) | field("label").is_null()
        queries = np.flatnonzero(labels == label)
        lookups = find(embeddings[queries], k, Choice(filter=others))
        put(queries, lookups, lookups.is_found)
    return Lookups(
        ids=np.where(np.isnan(distances), NO_ID, 0),
        distances=distances,
        labels=found_labels,
        records=lambda rows: (np.zeros((len(rows), 0)), [None] * len(rows)),
    )


def _class_sizes(labels: Ints, index_labels: Ints) -> Ints:
    """How many rows of each query's class are in the index, `[Q]`."""
    known, counts = np.unique(index_labels, return_counts=True)
    places = np.searchsorted(known, labels)
    places[places == len(known)] = 0
    is_known = (known[places] == labels) if len(known) else np.zeros(len(labels), bool)
    return np.where(is_known, counts[places] if len(known) else 0, 0)


def _blocks(queries: Ints, sizes: Ints, k: int) -> list[Ints]:
    """Queries of about one class size, few enough for a lookup so wide."""
    ordered = queries[np.argsort(sizes[queries], kind="stable")]
    # Of any block the last is the widest, and none is wider than `k + _FEW`.
    at_once = max(_AT_ONCE // (k + _FEW), 1)
    return [ordered[at : at + at_once] for at in range(0, len(ordered), at_once)]
