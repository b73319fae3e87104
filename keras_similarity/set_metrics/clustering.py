"""What the metrics of clusterings share."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.array_ops import NUMPY
from keras_similarity.arrays import check_labels
from keras_similarity.distances.normalize import unit
from keras_similarity.set_metrics.base import SetMetric
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats, Ints

#: Gives embeddings `[N, D]` and a number of clusters ids `[N]` of clusters.
KMeans = Callable[[Floats, int], Any]

_ITERATIONS = 20


@dataclass(frozen=True)
class Contingency:
    """How often each class and each cluster meet, for every draw.

    Attributes:
        classes: Class `[L]` of each cell that is not empty, from 0.
        clusters: Its cluster `[L]`, from 0.
        weights: Weight `[R, L]` of its rows, as they were given.
    """

    classes: Ints
    clusters: Ints
    weights: Floats

    @functools.cached_property
    def class_weights(self) -> Floats:
        """Weight `[R, C]` of each class."""
        return _grouped(self.weights, self.classes)

    @functools.cached_property
    def cluster_weights(self) -> Floats:
        """Weight `[R, C]` of each cluster."""
        return _grouped(self.weights, self.clusters)

    @property
    def is_trivial(self) -> Any:
        """Bool `[R]`: is there but one class and one cluster?"""
        sides = self.class_weights, self.cluster_weights
        return np.logical_and(*(((side > 0).sum(axis=1) == 1) for side in sides))

    @functools.cached_property
    def mutual_information(self) -> Floats:
        """Mutual information `[R]` of classes and clusters, in nats."""
        total = self.weights.sum(axis=1, keepdims=True)
        expected = (
            self.class_weights[:, self.classes] * self.cluster_weights[:, self.clusters]
        )
        is_used = self.weights > 0
        ratio = np.where(is_used, self.weights * total, 1.0) / np.where(
            is_used, expected, 1.0
        )
        return ((self.weights / total) * np.log(ratio)).sum(axis=1).clip(0)

    @property
    def mean_entropy(self) -> Floats:
        """Mean `[R]` of the entropies of classes and of clusters, in nats."""
        return (_entropy(self.class_weights) + _entropy(self.cluster_weights)) / 2


class ClusteringMetric(SetMetric):
    """How well clusters of the embeddings agree with the classes.

    The embeddings are clustered once, by k-means (faiss, 20 iterations, Euclidean) into
    as many clusters as there are classes, after scaling to length 1 if the distance does
    that; PyTorch Metric Learning never scales. A draw weighs the rows in the table of
    classes and clusters; keys play no role. NaN without rows.

    Args:
        kmeans: `kmeans(embeddings, clusters)` gives the cluster id of each row, in place
            of faiss. It is not saved with the metric.
        seed: Of faiss' k-means.
        restarts: The best of so many starts counts, from 1, PyTorch Metric Learning's
            number. One start often ends beside the best clusters: values of two models
            differ by that, too.
        name: Name of the object.

    Raises:
        ValueError: If `restarts` is less than 1.
    """

    def __init__(
        self,
        kmeans: KMeans | None = None,
        seed: int = 1234,
        restarts: int = 1,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if restarts < 1:
            raise ValueError(
                f"`restarts` must be at least 1. Received: restarts={restarts}."
            )
        self.kmeans = kmeans
        self.seed = seed
        self.restarts = restarts

    @property
    def summary_key(self) -> Hashable:
        return "clusters", self.kmeans, self.seed, self.restarts

    def get_config(self) -> dict[str, Any]:
        config = {"seed": self.seed, "restarts": self.restarts}
        return {**super().get_config(), **config}

    def summarize(self, rows: Rows) -> Contingency:
        names, classes = np.unique(rows.labels, return_inverse=True)
        embeddings = rows.embeddings
        if rows.distance.normalize_embeddings:
            embeddings = unit(embeddings, NUMPY)
        kmeans = self.kmeans or self._kmeans
        found = kmeans(embeddings, len(names)) if len(names) else np.zeros(0, "int64")
        found = check_labels(found, name="kmeans(...)", rows=len(classes))
        _, clusters = np.unique(found, return_inverse=True)
        cells, cell = np.unique(
            np.stack([classes, clusters]), axis=1, return_inverse=True
        )
        weights = np.ones((1, len(cell))) if rows.weights is None else rows.weights
        return Contingency(cells[0], cells[1], _grouped(weights, cell.ravel()))

    def value(self, summary: Contingency) -> Floats:
        if summary.weights.shape[1] == 0:
            return np.full(len(summary.weights), np.nan)
        return np.where(summary.is_trivial, 1.0, self.agreement(summary))

    def _kmeans(self, embeddings: Floats, clusters: int) -> Ints:
        return faiss_kmeans(embeddings, clusters, self.seed, self.restarts)

    @abstractmethod
    def agreement(self, table: Contingency) -> Floats:
        """The metric `[R]` of the tables of all draws."""


def faiss_kmeans(
    embeddings: Floats, clusters: int, seed: int = 1234, restarts: int = 1
) -> Ints:
    """Cluster ids `[N]` of embeddings `[N, D]` by faiss' k-means."""
    import faiss

    kmeans = faiss.Kmeans(
        embeddings.shape[1],
        clusters,
        niter=_ITERATIONS,
        nredo=restarts,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(embeddings),
    )
    kmeans.train(embeddings)
    return kmeans.index.search(embeddings, 1)[1][:, 0]


def _grouped(weights: Floats, group: Ints) -> Floats:
    """Sums `[R, groups]` of weights `[R, n]` by group `[n]`; each has a member."""
    if weights.shape[1] == 0:
        return weights.astype("float64")
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums = [np.add.reduceat(draw[order].astype("float64"), starts) for draw in weights]
    return np.stack(sums)


def _entropy(weights: Floats) -> Floats:
    shares = weights / weights.sum(axis=1, keepdims=True)
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
