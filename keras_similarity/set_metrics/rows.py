"""The rows that a metric of a set judges, and their pairs, tile by tile."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_embeddings, check_labels, to_numpy
from keras_similarity.distances import Distance, InnerProductSimilarity
from keras_similarity.types import Bools, Floats, Ints

# Pairs compared at once: 512 rows with 2,048 are 4 MiB of costs.
_QUERY_TILE = 512
_KEY_TILE = 2048
# Weights that are looked at at once.
_WEIGHTS = 2**22


@dataclass(frozen=True)
class Tile:
    """Some queries against some keys.

    Attributes:
        queries: Which queries, `n` of them.
        keys: Which keys, `m` of them.
        costs: Cost `[n, m]` of each pair, float32 or float64, finite.
        positive: Bool `[n, m]`: do the two share a label?
        counted: Bool `[n, m]`: does the pair count? `None`: all do.
    """

    queries: slice
    keys: slice
    costs: Floats
    positive: Bools
    counted: Bools | None

    @property
    def size(self) -> int:
        """How many pairs count."""
        return self.costs.size if self.counted is None else int(self.counted.sum())


@dataclass(frozen=True)
class Rows:
    """Checked arguments of `SetMetric.compute`; see there.

    Attributes:
        embeddings: Float32 `[N, D]`.
        labels: Int64 `[N]`; zeros for a metric without labels.
        key_embeddings: Float32 `[M, D]`; the embeddings, where the set is judged against
            itself.
        key_labels: Int64 `[M]`.
        distance: The distance.
        weights: Floats `[R, N]`, or `None`.
        is_self: Is the set judged against itself? A row's own pair does not count then.
    """

    embeddings: Floats
    labels: Ints
    key_embeddings: Floats
    key_labels: Ints
    distance: Distance
    weights: Floats | None
    is_self: bool

    @property
    def draws(self) -> int:
        """Number of weightings `R`; 1 where there are none."""
        return 1 if self.weights is None else len(self.weights)

    @property
    def is_symmetric(self) -> bool:
        """Does a pair cost the same from both sides, so that one is enough?"""
        distance = self.distance
        is_known = isinstance(distance, InnerProductSimilarity)
        return self.is_self and (distance.is_cosine or distance.is_euclidean or is_known)

    @property
    def pairs(self) -> int:
        """How many pairs there are, from both sides; none is a row's own."""
        own = len(self.embeddings) if self.is_self else 0
        return len(self.embeddings) * len(self.key_embeddings) - own

    @functools.cached_property
    def mean_weights(self) -> Floats:
        """Mean weight `[R]` of a row, or of a class where those were drawn."""
        if self.weights is None:
            return np.ones(1)
        if not self.draws_classes:
            return np.asarray(self.weights.mean(axis=1, dtype="float64"))
        _, of_each = np.unique(self.labels, return_index=True)
        return np.asarray(self.weights[:, of_each].mean(axis=1, dtype="float64"))

    def weights_of(self, rows: slice | Ints, draws: slice = slice(None)) -> Floats:
        """Weights `[R, n]` of some rows, float64, divided by `mean_weights`."""
        if self.weights is None:
            return np.ones((1, len(self.embeddings)))[:, rows]
        chosen = self.weights[draws][:, rows].astype("float64")
        return chosen / self.mean_weights[draws, None]

    @functools.cached_property
    def draws_classes(self) -> bool:
        """Has each class one weight in every draw: are classes what was drawn?"""
        if self.weights is None:
            return False
        order = np.argsort(self.labels, kind="stable")
        same = np.flatnonzero(np.diff(self.labels[order]) == 0)
        step = max(_WEIGHTS // max(self.weights.shape[1], 1), 1)
        return all(
            np.array_equal(part[:, order[same]], part[:, order[same + 1]])
            for start in range(0, len(self.weights), step)
            for part in [self.weights[start : start + step]]
        )

    def tiles(self, *, once: bool = False) -> Iterator[Tile]:
        """All pairs that count, some queries with all keys, then the next.

        Args:
            once: Give a pair of a symmetric distance once, and not from both sides?

        Raises:
            ValueError: If a distance is NaN or infinite.
        """
        once = once and self.is_symmetric
        for start in range(0, len(self.embeddings), _QUERY_TILE):
            queries = slice(start, min(start + _QUERY_TILE, len(self.embeddings)))
            for first in range(start if once else 0, len(self.key_labels), _KEY_TILE):
                keys = slice(first, min(first + _KEY_TILE, len(self.key_labels)))
                yield self._tile(queries, keys, once)

    def _tile(self, queries: slice, keys: slice, once: bool) -> Tile:
        costs = self.distance.cost(self.embeddings[queries], self.key_embeddings[keys])
        if not np.isfinite(costs).all():
            raise ValueError(
                "`distance` must give finite numbers. Received: a NaN or an infinity "
                f"from {self.distance!r}."
            )
        positive = self.labels[queries, None] == self.key_labels[None, keys]
        counted = None
        if self.is_self and keys.start < queries.stop and queries.start < keys.stop:
            query = np.arange(queries.start, queries.stop)[:, None]
            key = np.arange(keys.start, keys.stop)
            counted = key > query if once else key != query
        return Tile(queries, keys, costs, positive, counted)


def check_rows(
    embeddings: Any,
    labels: Any,
    distance: Distance | str,
    weights: Any = None,
    key_embeddings: Any = None,
    key_labels: Any = None,
    *,
    needs_labels: bool = True,
) -> Rows:
    """The arguments of `SetMetric.compute`, checked.

    Raises:
        ValueError, TypeError: As there.
    """
    embeddings = check_embeddings(embeddings)
    labels = _labels_of(labels, "labels", len(embeddings), needs_labels)
    if weights is not None:
        weights = _check_weights(weights, len(embeddings))
    distance = distances.get(distance)
    if key_embeddings is None:
        if key_labels is not None:
            raise ValueError("`key_labels` must come with `key_embeddings`.")
        return Rows(embeddings, labels, embeddings, labels, distance, weights, True)
    keys = check_embeddings(
        key_embeddings, name="key_embeddings", dim=embeddings.shape[1]
    )
    key_labels = _labels_of(key_labels, "key_labels", len(keys), needs_labels)
    return Rows(embeddings, labels, keys, key_labels, distance, weights, False)


def _labels_of(labels: Any, name: str, rows: int, needed: bool) -> Ints:
    if labels is not None:
        return check_labels(labels, name=name, rows=rows)
    if needed:
        raise ValueError(f"`{name}` must be given: this metric asks who belongs to whom.")
    return np.zeros(rows, "int64")


def _check_weights(weights: Any, rows: int) -> Floats:
    weights = to_numpy(weights)
    if weights.ndim != 2 or weights.shape[1] != rows:
        raise ValueError(
            f"`weights` must have the shape [draws, rows], with {rows} rows. Received: "
            f"weights.shape={weights.shape}."
        )
    is_number = weights.dtype.kind in "fiub"
    if not is_number or (
        weights.size and not 0 <= weights.min() <= weights.max() < np.inf
    ):
        raise ValueError(
            "`weights` must be finite numbers from 0. Received: "
            f"dtype={weights.dtype}, or a negative one, a NaN or an infinity."
        )
    if rows and not weights.any(axis=1).all():
        raise ValueError("`weights` must hold a weight above 0 in each draw.")
    return weights
