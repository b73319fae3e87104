"""Evaluation in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.classification_metrics import (
    ClassificationMetric,
    make_classification_metric,
)
from keras_similarity.evaluators.answers import Answers
from keras_similarity.evaluators.base import Evaluator, register
from keras_similarity.evaluators.calibration import (
    TARGET_FAR,
    candidate_thresholds,
    cutpoint,
    cutpoint_indices,
)
from keras_similarity.evaluators.false_accepts import (
    check_target,
    false_accept_threshold,
)
from keras_similarity.evaluators.lookup_columns import (
    round_distances,
    unpack_lookup_distances,
    unpack_lookup_labels,
)
from keras_similarity.matchers import (
    ClassificationMatch,
    MatchPerClass,
    make_classification_matcher,
)
from keras_similarity.matchers.base import check_lookup_columns
from keras_similarity.retrieval_metrics import RetrievalMetric, compute_match_mask
from keras_similarity.retrieval_metrics.base import check_retrieval_metrics
from keras_similarity.types import CalibrationResults, Lookup

# Keys of results that are no metric's.
_RESERVED = ("distance", "name", "value")
# Names of cutpoints that are no target's.
_CUTPOINTS = {"optimal": "the best value", TARGET_FAR: "a false-accept rate"}


@register("memory")
class MemoryEvaluator(Evaluator):
    """Evaluates whole arrays at once, so fast that there is no progress to show.

    Example:
        >>> from keras_similarity.evaluators import MemoryEvaluator
        >>> from keras_similarity.types import Lookup
        >>> lookups = [[Lookup(1, 0.1, 7)], [Lookup(1, 0.3, 8)], [Lookup(1, 0.4, 7)]]
        >>> results = MemoryEvaluator().calibrate(
        ...     target_labels=[7, 8, 9],
        ...     lookups=lookups,
        ...     thresholds_targets={"half": 0.5},
        ...     calibration_metric="recall",
        ...     matcher="match_nearest",
        ... )
        >>> round(results.cutpoints["half"]["distance"], 3)
        0.1
    """

    def evaluate_retrieval(
        self,
        target_labels: Any,
        lookups: Sequence[Sequence[Lookup]],
        retrieval_metrics: Sequence[RetrievalMetric],
        distance_rounding: int | None = 8,
    ) -> dict[str, float]:
        metrics = check_retrieval_metrics(retrieval_metrics)
        labels = check_labels(target_labels, name="target_labels", rows=len(lookups))
        lookup_labels = unpack_lookup_labels(lookups)
        lookup_distances = unpack_lookup_distances(
            lookups, distance_rounding=distance_rounding
        )
        match_mask = compute_match_mask(labels, lookup_labels)
        return {
            metric.name: metric.compute(
                query_labels=labels,
                lookup_labels=lookup_labels,
                lookup_distances=lookup_distances,
                match_mask=match_mask,
            )
            for metric in metrics
        }

    def evaluate_classification(
        self,
        query_labels: Any,
        lookup_labels: Any,
        lookup_distances: Any,
        distance_thresholds: Any,
        metrics: Sequence[str | ClassificationMetric],
        matcher: str | ClassificationMatch,
        distance_rounding: int | None = 8,
        verbose: int = 1,
    ) -> dict[str, Any]:
        matcher = make_classification_matcher(matcher)
        computed = _classification_metrics(metrics)
        labels, distances = check_lookup_columns(lookup_labels, lookup_distances)
        matcher.compile(distance_thresholds)
        matcher.compute_count(
            query_labels, labels, round_distances(distances, distance_rounding)
        )
        counts = matcher.tp, matcher.fp, matcher.tn, matcher.fn, matcher.count
        return {
            "distance": matcher.distance_thresholds,
            **{metric.name: metric.compute(*counts) for metric in computed},
        }

    def calibrate(
        self,
        target_labels: Any,
        lookups: Sequence[Sequence[Lookup]],
        thresholds_targets: Mapping[str, float] | None,
        calibration_metric: str | ClassificationMetric,
        matcher: str | ClassificationMatch,
        extra_metrics: Sequence[str | ClassificationMetric] = (),
        distance_rounding: int | None = 8,
        metric_rounding: int | None = 6,
        verbose: int = 1,
        *,
        target_far: float | None = None,
        confidence: float = 0.95,
        unit: str = "query",
        impostors: Sequence[Sequence[Lookup]] | None = None,
        per_class: bool = False,
    ) -> CalibrationResults:
        targets = _check_targets(thresholds_targets)
        metric = make_classification_metric(calibration_metric)
        matcher = make_classification_matcher(matcher)
        answers = Answers.of(target_labels, lookups, matcher, distance_rounding)
        if not np.isfinite(answers.lookup_distances).any():
            raise ValueError("lookups must not be empty. Is there no data in the index?")
        promised = None
        if target_far is not None:
            check_target(target_far, confidence, unit)
            trials = answers.trials(impostors)
            promised = false_accept_threshold(trials, target_far, confidence, unit)
        offsets = answers.class_offsets() if per_class else {}

        def judge(matcher: ClassificationMatch, thresholds: Any) -> dict[str, Any]:
            metrics = [*extra_metrics, metric]
            columns = self._judged(answers, thresholds, metrics, matcher, verbose)
            return {**columns, "value": columns[metric.name]}

        deciding = MatchPerClass(matcher, offsets) if offsets else matcher
        thresholds = judge(deciding, candidate_thresholds(answers.lookup_distances))
        indices = cutpoint_indices(thresholds["value"], targets, metric, metric_rounding)
        cutpoints = {
            name: cutpoint(name, index, thresholds) for name, index in indices.items()
        }
        if promised:
            # Beside a threshold that accepts nothing, as others have smaller ones.
            columns = judge(matcher, [-np.inf, promised[0]])
            cutpoints[TARGET_FAR] = cutpoint(TARGET_FAR, 1, columns)
        promise = promised[1] if promised else None
        return CalibrationResults(cutpoints, thresholds, promise, offsets)

    def _judged(
        self,
        answers: Answers,
        thresholds: Any,
        metrics: Sequence[str | ClassificationMetric],
        matcher: ClassificationMatch,
        verbose: int,
    ) -> dict[str, Any]:
        """Classification metrics of lookups, at thresholds."""
        return self.evaluate_classification(
            query_labels=answers.query_labels,
            lookup_labels=answers.lookup_labels,
            lookup_distances=answers.lookup_distances,
            distance_thresholds=thresholds,
            metrics=metrics,
            matcher=matcher,
            distance_rounding=None,  # They are.
            verbose=verbose,
        )


def _classification_metrics(
    metrics: Sequence[str | ClassificationMetric],
) -> list[ClassificationMetric]:
    made = [make_classification_metric(metric) for metric in metrics]
    for metric in made:
        if metric.name in _RESERVED:
            raise ValueError(
                f"A metric must not be named {metric.name!r}, which is another key of "
                "the results. Give it another `name`."
            )
    return made


def _check_targets(targets: Mapping[str, float] | None) -> dict[str, float]:
    checked = {name: float(target) for name, target in (targets or {}).items()}
    for name, target in checked.items():
        if math.isnan(target):
            raise ValueError(
                f"`thresholds_targets` must hold numbers. Received: {name}={target}."
            )
    for name in checked.keys() & _CUTPOINTS.keys():
        raise ValueError(
            f"`thresholds_targets` must not name a target {name!r}: that is the cutpoint "
            f"of {_CUTPOINTS[name]}. Choose another name."
        )
    return checked
