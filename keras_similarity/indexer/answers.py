"""From rows that were found to what a lookup answers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from keras_similarity.types import (
    NO_ID,
    NO_LABEL,
    Bools,
    Floats,
    Ids,
    Ints,
    Lookups,
    MetadataOf,
    Records,
)


class Described(Protocol):
    """Knows ids, labels and metadata of rows."""

    def ids(self, rows: Ints) -> Ids: ...

    def labels(self, rows: Ints) -> Ints: ...

    def metadata_reader(self) -> MetadataOf: ...


def lookups_of(
    store: Described, reader: Records, rows: Ints, distances: Floats, offset: int = 0
) -> Lookups:
    """The answer with ids and labels of rows `[Q, K]`, -1 where nothing was found.

    Args:
        reader: The store's, for embeddings and data on demand.
        offset: How many nearer neighbours of each query were left out.
    """
    is_found = rows != NO_ID
    if is_found.all():  # As a rule, and then there is nothing to spread.
        flat = rows.ravel()
        ids = store.ids(flat).reshape(rows.shape)
        labels = store.labels(flat).reshape(rows.shape)
    else:
        found = rows[is_found]
        ids = _spread(store.ids(found), is_found)
        labels = np.full(rows.shape, NO_LABEL, "int64")
        labels[is_found] = store.labels(found)
    metadata = store.metadata_reader()
    return Lookups(ids, distances, labels, reader, rows, metadata, offset)


def _spread(ids: Ids, is_found: Bools) -> Ids:
    """Ids at the places where something was found, in the order of reading."""
    if ids.dtype == object:
        spread = np.full(is_found.shape, None, object)
    else:
        spread = np.full(is_found.shape, NO_ID, "int64")
    spread[is_found] = ids
    return spread


def as_long(mask: Bools, like: Bools) -> Bools:
    """The mask with false for rows that it does not know."""
    longer = np.zeros(len(like), bool)
    longer[: len(mask)] = mask[: len(like)]
    return longer
