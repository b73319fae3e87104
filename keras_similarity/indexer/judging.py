"""Judging and deciding in the units of a distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator, round_distances
from keras_similarity.indexer.calibration import Calibration, negated
from keras_similarity.matchers import ClassificationMatch, make_classification_matcher
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints, Lookups

# Decimals in which distances are told apart, in calibrating and in matching.
_DISTANCE_ROUNDING = 8


@dataclass(frozen=True)
class Judge:
    """Stands between an index and its evaluator, which knows costs only.

    Distances go in as costs, in which smaller is closer; thresholds come back as
    distances. All distances are rounded alike, so that what made a cutpoint lies within.

    Attributes:
        distance: The distance of the index.
        evaluator: Its evaluator.
    """

    distance: Distance
    evaluator: Evaluator

    def evaluate_retrieval(
        self, labels: Ints, lookups: Lookups, metrics: Sequence[RetrievalMetric]
    ) -> dict[str, Any]:
        """Name of each metric -> its value; see `Indexer.evaluate_retrieval`."""
        return self.evaluator.evaluate_retrieval(
            target_labels=labels,
            lookups=self._costs(lookups),
            retrieval_metrics=metrics,
            distance_rounding=_DISTANCE_ROUNDING,
        )

    def evaluate_classification(
        self,
        labels: Ints,
        lookups: Lookups,
        thresholds: Any,
        metrics: Sequence[str | ClassificationMetric],
        matcher: str | ClassificationMatch,
        verbose: int,
    ) -> dict[str, Any]:
        """Columns over the thresholds; see `Indexer.evaluate_classification`."""
        thresholds = np.asarray(thresholds, "float32")
        results = self.evaluator.evaluate_classification(
            query_labels=labels,
            lookup_labels=lookups.labels,
            lookup_distances=self.distance.to_cost(lookups.distances),
            distance_thresholds=self.distance.to_cost(thresholds),
            metrics=list(metrics),
            matcher=matcher,
            distance_rounding=_DISTANCE_ROUNDING,
            verbose=verbose,
        )
        used = self.distance.to_cost(np.asarray(results["distance"]))
        return {**results, "distance": used}

    def calibrate(
        self,
        labels: Ints,
        lookups: Lookups,
        targets: Mapping[str, float],
        metric: str | ClassificationMetric,
        matcher: str | ClassificationMatch,
        extra_metrics: Sequence[str | ClassificationMetric],
        verbose: int,
    ) -> Calibration:
        """Cutpoints and thresholds; see `Indexer.calibrate`."""
        metric = make_classification_metric(metric)
        results = self.evaluator.calibrate(
            target_labels=labels,
            lookups=self._costs(lookups),
            thresholds_targets=dict(targets),
            calibration_metric=metric,
            matcher=matcher,
            extra_metrics=list(extra_metrics),
            distance_rounding=_DISTANCE_ROUNDING,
            verbose=verbose,
        )
        is_similarity = self.distance.is_similarity
        return Calibration(metric, negated(results) if is_similarity else results)

    def match(
        self,
        lookups: Lookups,
        thresholds: Mapping[str, float],
        no_match_label: int,
        matcher: str | ClassificationMatch,
    ) -> dict[str, list[int]]:
        """Name of each threshold -> one label a query; see `Indexer.match`."""
        labels, costs = make_classification_matcher(matcher).derive_match(
            lookups.labels, self._rounded_costs(lookups.distances)
        )
        labels, costs = labels[:, 0], costs[:, 0]
        matches = {}
        for name, threshold in thresholds.items():
            is_match = (costs <= self._bound(threshold)) & (labels != NO_LABEL)
            matches[name] = np.where(is_match, labels, no_match_label).tolist()
        return matches

    def is_within(self, distances: Any, threshold: float) -> Bools:
        """Does each distance lie within the threshold, by the rule of `match`?"""
        costs = self._rounded_costs(np.asarray(distances, "float32"))
        return costs <= self._bound(threshold)

    def _costs(self, lookups: Lookups) -> Lookups:
        return replace(lookups, distances=self.distance.to_cost(lookups.distances))

    def _rounded_costs(self, distances: Floats) -> Floats:
        return round_distances(self.distance.to_cost(distances), _DISTANCE_ROUNDING)

    def _bound(self, threshold: float) -> Any:
        # In float32, as the distances: 0.3 is another number in float64.
        return self.distance.to_cost(np.float32(threshold))
