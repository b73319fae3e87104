"""Judging and deciding in the units of a distance."""

from __future__ import annotations

import logging
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
from keras_similarity.matchers import (
    ClassificationMatch,
    MatchPerClass,
    make_classification_matcher,
)
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints, Lookups

logger = logging.getLogger(__name__)

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
        offsets: Mapping[int, float] | None = None,
    ) -> dict[str, Any]:
        """Columns over the thresholds; see `Indexer.evaluate_classification`."""
        thresholds = np.asarray(thresholds, "float32")
        if offsets:
            matcher = MatchPerClass(matcher, self._cost_offsets(offsets))
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
        impostors: Lookups | None = None,
        **options: Any,
    ) -> Calibration:
        """Cutpoints and thresholds; see `Indexer.calibrate`.

        Args:
            impostors: Lookups without the queries' own classes, if those are trials.
            **options: Of `Evaluator.calibrate`, of the package's own kind: left out
                where nobody asks for them, since another evaluator may not know them.
        """
        metric = make_classification_metric(metric)
        if impostors is not None:
            options["impostors"] = self._costs(impostors)
        results = self.evaluator.calibrate(
            target_labels=labels,
            lookups=self._costs(lookups),
            thresholds_targets=dict(targets),
            calibration_metric=metric,
            matcher=matcher,
            extra_metrics=list(extra_metrics),
            distance_rounding=_DISTANCE_ROUNDING,
            verbose=verbose,
            **options,
        )
        is_similarity = self.distance.is_similarity
        return Calibration(metric, negated(results) if is_similarity else results)

    def match(
        self,
        lookups: Lookups,
        calibration: Calibration,
        no_match_label: int,
        matcher: str | ClassificationMatch,
    ) -> dict[str, list[int]]:
        """Name of each cutpoint -> one label a query; see `Indexer.match`."""
        matcher = make_classification_matcher(matcher)
        costs = self._rounded_costs(lookups.distances)
        matches = {}
        for offsets, names in calibration.cutpoints_by_offsets():
            deciding = matcher
            if offsets:
                deciding = MatchPerClass(matcher, self._cost_offsets(offsets))
            labels, derived = map(np.ravel, deciding.derive_match(lookups.labels, costs))
            for name in names:
                bound = self._bound(calibration.distances[name])
                is_match = (derived <= bound) & (labels != NO_LABEL)
                if (labels[is_match] == no_match_label).any():
                    logger.warning(
                        "`no_match_label` is a class, too: matches of the class %d look "
                        "unknown. Give another number.",
                        no_match_label,
                    )
                matches[name] = np.where(is_match, labels, no_match_label).tolist()
        return {name: matches[name] for name in calibration.distances}

    def is_within(
        self,
        distances: Any,
        threshold: float,
        labels: Any = None,
        offsets: Mapping[int, float] | None = None,
    ) -> Bools:
        """Does each distance lie within the threshold, by the rule of `match`?"""
        costs = self._rounded_costs(np.asarray(distances, "float32"))
        if offsets and labels is not None:
            # Each neighbour on its own, as though it was the nearest.
            columns = np.reshape(labels, (-1, 1)), costs.reshape(-1, 1)
            nearest = MatchPerClass("match_nearest", self._cost_offsets(offsets))
            costs = nearest.derive_match(*columns)[1].reshape(costs.shape)
        return costs <= self._bound(threshold)

    def _cost_offsets(self, offsets: Mapping[int, float]) -> dict[int, float]:
        sign = -1.0 if self.distance.is_similarity else 1.0
        return {label: sign * offset for label, offset in offsets.items()}

    def _costs(self, lookups: Lookups) -> Lookups:
        return replace(lookups, distances=self.distance.to_cost(lookups.distances))

    def _rounded_costs(self, distances: Floats) -> Floats:
        return round_distances(self.distance.to_cost(distances), _DISTANCE_ROUNDING)

    def _bound(self, threshold: float) -> Any:
        # In float32, as the distances: 0.3 is another number in float64.
        return self.distance.to_cost(np.float32(threshold))
