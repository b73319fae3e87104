"""A search engine under examination, and the rows that it is examined with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_similarity import distances
from keras_similarity.distances import Distance
from keras_similarity.search import LinearSearch, Search
from keras_similarity.types import NO_ID, Bools, Floats, Ints

Make = Callable[[str, int], Search]

DIM = 16
#: Neighbours that are looked up.
K = 10
_QUERIES = 50
_CLUSTERS = 40
_SEED = 20190401


@dataclass
class SearchSubject:
    """How an engine is made, what it is tried with, and how good it has to be.

    Attributes:
        make: `make(distance, dim)` gives an empty engine.
        recall: The share of the nearest neighbours that it finds, at least.
        distances: Names of the distances that it is tried with.
        rows: How many embeddings it is given.
    """

    make: Make
    recall: float
    distances: Sequence[str]
    rows: int

    @functools.cached_property
    def embeddings(self) -> Floats:
        """Rows `[rows, DIM]` in heaps, of many lengths, none of them twice."""
        random = np.random.default_rng(_SEED)
        heaps = random.normal(size=(_CLUSTERS, DIM))
        rows = heaps[random.integers(0, _CLUSTERS, self.rows)]
        return (rows + 0.5 * random.normal(size=rows.shape)).astype("float32")

    @functools.cached_property
    def queries(self) -> Floats:
        """Embeddings `[Q, DIM]` that are none of the rows."""
        random = np.random.default_rng(_SEED + 1)
        some = self.embeddings[:_QUERIES]
        return (some + 0.3 * random.normal(size=some.shape)).astype("float32")

    @functools.cached_property
    def ids(self) -> Ints:
        """Ids `[rows]`: the numbers of the rows, as an index has them."""
        return np.arange(self.rows)

    def filled(self, distance: str | None = None) -> Search:
        """An engine with all the rows."""
        engine = self.make(distance or self.distances[0], DIM)
        engine.batch_add(self.embeddings, self.ids, verbose=0)
        return engine

    def distance(self, name: str | None = None) -> Distance:
        return distances.get(name or self.distances[0])

    def expected(
        self, distance: str | None = None, k: int = K, allowed: Bools | None = None
    ) -> tuple[Ints, Floats]:
        """Exact ids and distances `[Q, k]` of the queries' neighbours."""
        engine = LinearSearch(distance or self.distances[0], DIM)
        engine.batch_add(self.embeddings, self.ids, verbose=0)
        return engine.batch_lookup(self.queries, k, allowed=allowed)


def recall_of(found: Ints, expected: Ints) -> float:
    """The share of the expected ids `[Q, k]` that were found."""
    is_wanted = expected != NO_ID
    hits = [
        np.isin(ours[wanted], theirs).sum()
        for ours, theirs, wanted in zip(expected, found, is_wanted, strict=True)
    ]
    return float(np.sum(hits) / max(is_wanted.sum(), 1))
