"""What all retrieval metrics share: cut-off, threshold, average, name and config."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.registry import Registry
from keras_similarity.retrieval_metrics.ranking import Ranking
from keras_similarity.types import Bools, Floats, Ints


class RetrievalMetric(ABC):
    """One number for the neighbours of many queries.

    A subclass says what one query is worth, in `per_query`. Smaller distances are
    closer: for a similarity, hand over its cost (`distance.to_cost`).

    For all of them: neighbours at the same distance come in the order in which the search
    gives them, an exact one by row number, and that order counts. A row that equals the
    query, or another row, is a neighbour like any other; only the query's own row does
    not count.

    Args:
        name: Key of the metric in results, without the cut-off.
        canonical_name: Name of the formula.
        k: How many neighbours count; at least 1.
        distance_threshold: A neighbour farther than this is no match.
        average: `"micro"`, the mean over queries, or `"macro"`, the mean over the
            classes among the queries of the mean within each.
        drop_closest_lookup: The nearest neighbour is the query itself, because the
            queries are also indexed, and does not count.

    Attributes:
        neighbors_needed: How many neighbours a lookup must have for this metric.
    """

    # Does a dropped neighbour make room for another one, or does it cost one of the k?
    replaces_dropped: ClassVar[bool] = True

    def __init__(
        self,
        name: str = "",
        canonical_name: str = "",
        k: int = 5,
        distance_threshold: float = math.inf,
        average: str = "micro",
        drop_closest_lookup: bool = False,
    ) -> None:
        least = 1 if self.replaces_dropped or not drop_closest_lookup else 2
        if k < least:
            why = " where `drop_closest_lookup` leaves k - 1" if least > 1 else ""
            raise ValueError(f"`k` must be at least {least}{why}. Received: k={k}.")
        if average not in ("micro", "macro"):
            raise ValueError(
                f"{average!r} is not a supported average option: `average` must be "
                '"micro" or "macro".'
            )
        self.base_name = name
        self.canonical_name = canonical_name
        self.k = k
        self.distance_threshold = float(distance_threshold)
        self.average = average
        self.drop_closest_lookup = drop_closest_lookup

    @property
    def name(self) -> str:
        """`<name>@<k>`, and the threshold where there is one."""
        return f"{self.base_name}@{self.k}{self._threshold_suffix}"

    @property
    def neighbors_needed(self) -> int:
        return self.k + (self.drop_closest_lookup and self.replaces_dropped)

    def compute(
        self,
        *,
        query_labels: Any,
        lookup_labels: Any,
        lookup_distances: Any,
        match_mask: Any,
    ) -> float:
        """The metric, averaged over queries or over classes.

        Args:
            query_labels: Integers `[Q]`.
            lookup_labels: Integers `[Q, K]`, nearest first.
            lookup_distances: Floats `[Q, K]`.
            match_mask: Bool `[Q, K]`, from `compute_match_mask`.

        Raises:
            ValueError: If shapes do not fit, there are no queries, or `K` is smaller
                than `neighbors_needed`.
        """
        match_mask = to_numpy(match_mask).astype(bool)
        self._check_columns(lookup_labels, lookup_distances, match_mask)
        labels = check_labels(query_labels, name="query_labels", rows=len(match_mask))
        if len(labels) == 0:
            raise ValueError("`query_labels` must hold at least one query.")
        # float32 on both sides, so that 0.3 means the float32 that prints as 0.3. A NaN,
        # where there is no neighbour, is within no threshold.
        distances = to_numpy(lookup_distances).astype("float32")
        is_hit = match_mask & (distances <= np.float32(self.distance_threshold))
        values = self.per_query(labels, is_hit[:, self.drop_closest_lookup :])
        return _average(values, labels, self.average)

    @abstractmethod
    def per_query(self, query_labels: Ints, match_mask: Bools) -> Floats:
        """Value `[Q]` of each query; this is what a subclass writes.

        Args:
            query_labels: Int64 `[Q]`.
            match_mask: Bool `[Q, K]`, nearest first: does a neighbour share the query's
                label, and is it within the threshold? Without the neighbour that is to
                be dropped.
        """

    def of_ranking(self, ranking: Ranking) -> Floats:
        """Value `[Q]` of each query, in `evaluators.evaluate`.

        The query's own row is not in the ranking, or, with `drop_closest_lookup`, is the
        first in it.

        Args:
            ranking: Neighbours, at least `neighbors_needed` of each query.
        """
        return self.per_query(ranking.query_labels, self._hits(ranking))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {
            "name": self.base_name,
            "canonical_name": self.canonical_name,
            "k": self.k,
            "distance_threshold": self.distance_threshold,
            "average": self.average,
            "drop_closest_lookup": self.drop_closest_lookup,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.canonical_name} : {self.name}"

    @property
    def _threshold_suffix(self) -> str:
        if self.distance_threshold and math.isfinite(self.distance_threshold):
            return f" : distance_threshold@{self.distance_threshold}"
        return ""

    def _hits(self, ranking: Ranking) -> Bools:
        """Which neighbours match, are near enough, and are not the query itself."""
        first = self.drop_closest_lookup and not ranking.excludes_self
        return ranking.matches_within(self.distance_threshold)[:, int(first) :]

    def _check_columns(self, labels: Any, distances: Any, match_mask: Bools) -> None:
        shapes = np.shape(labels), np.shape(distances), match_mask.shape
        if len(match_mask.shape) != 2 or len(set(shapes)) > 1:
            raise ValueError(
                "`lookup_labels`, `lookup_distances` and `match_mask` must have one "
                "shape, [queries, neighbours]. Received: "
                f"lookup_labels.shape={shapes[0]}, lookup_distances.shape={shapes[1]}, "
                f"match_mask.shape={shapes[2]}."
            )
        if match_mask.shape[1] < self.neighbors_needed:
            raise ValueError(
                f"The number of neighbours must be at least {self.neighbors_needed} for "
                f"{self.name} with drop_closest_lookup={self.drop_closest_lookup}. "
                f"Received: match_mask.shape={match_mask.shape}. Look up more neighbours."
            )


registry = Registry("retrieval metric", RetrievalMetric)
register = registry.register


def check_retrieval_metrics(metrics: Any) -> list[RetrievalMetric]:
    """The metrics as a list, if they are metrics that results can tell apart.

    Raises:
        ValueError: If `metrics` is not a list of metrics, or two different ones have one
            name.
    """
    if isinstance(metrics, (str, RetrievalMetric)) or not isinstance(metrics, Iterable):
        raise ValueError(
            "`retrieval_metrics` must be a list of metrics, e.g. [RecallAtK(k=1)]. "
            f"Received: {metrics!r}."
        )
    configs: dict[str, dict[str, Any]] = {}
    for metric in (checked := list(metrics)):
        if not isinstance(metric, RetrievalMetric):
            raise ValueError(
                "`retrieval_metrics` must hold objects of `retrieval_metrics`, e.g. "
                f"[RecallAtK(k=1)]. Received: {metric!r}."
            )
        config = metric.get_config()
        if configs.setdefault(metric.name, config) != config:
            raise ValueError(
                f"`retrieval_metrics` holds two different metrics named {metric.name!r}, "
                "so that one would hide the other. Give one another `name`."
            )
    return checked


def check_k(k: int, match_mask: Bools) -> None:
    """Raises unless `k` neighbours of each query are known."""
    if match_mask.ndim != 2 or not 1 <= k <= match_mask.shape[1]:
        raise ValueError(
            "`k` must be between 1 and the number of neighbours looked up. Received: "
            f"k={k}, match_mask.shape={match_mask.shape}. Look up more neighbours."
        )


def _average(values: Floats, labels: Ints, average: str) -> float:
    """Mean over queries or over classes; a query of which nothing can be said is NaN."""
    is_known = ~np.isnan(values)
    if not is_known.any():
        return math.nan
    values, labels = values[is_known], labels[is_known]
    if average == "micro":
        return float(np.mean(values))
    _, class_index = np.unique(labels, return_inverse=True)
    return float(np.mean(np.bincount(class_index, values) / np.bincount(class_index)))
