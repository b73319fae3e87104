"""What an index asks of an evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.matchers import ClassificationMatch
from keras_similarity.registry import Registry
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.types import CalibrationResults, Lookup


class Evaluator(ABC):
    """Judges lookups against the labels of their queries.

    In all of it smaller distances are closer. An index of a similarity hands over the
    costs (`distance.to_cost`) and turns the thresholds it gets back around.
    """

    @abstractmethod
    def evaluate_retrieval(
        self,
        target_labels: Any,
        lookups: Sequence[Sequence[Lookup]],
        retrieval_metrics: Sequence[RetrievalMetric],
        distance_rounding: int | None = 8,
    ) -> dict[str, float]:
        """Retrieval metrics of lookups.

        Args:
            target_labels: Labels `[Q]` of the queries, integers.
            lookups: Neighbours of each query, nearest first: `types.Lookups` or lists
                of `Lookup`.
            retrieval_metrics: Metrics to compute.
            distance_rounding: Decimals that distances are rounded to; `None`: not.

        Returns:
            Name of each metric -> its value.

        Raises:
            ValueError: If one needs more neighbours than there are, shapes do not fit,
                or two different metrics have one name.
        """

    @abstractmethod
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
        """Classification metrics at every threshold.

        Args:
            query_labels: Labels `[Q]` of the queries, integers.
            lookup_labels: Labels `[Q, K]` of their neighbours, nearest first;
                `types.NO_LABEL` where there is none.
            lookup_distances: Distances `[Q, K]`; infinity or NaN where there is none.
            distance_thresholds: Thresholds `[T]`, in any order.
            metrics: Names or metrics.
            matcher: Name or matcher.
            distance_rounding: Decimals that distances are rounded to; `None`: not.
            verbose: 1 allows a long evaluation to show its progress.

        Returns:
            `"distance"`: the thresholds `[T]`, ascending, and for each metric's name its
            values `[T]` there.
        """

    @abstractmethod
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
        """Thresholds that reach the best value, and given values, of a metric.

        Also one that keeps the rate of false accepts: for any target and number of
        queries, at most `1 - confidence` of all calibrations give a threshold with a
        larger rate. `evaluators.false_accepts` says what is counted, and proves it.

        Args:
            target_labels: Labels `[Q]` of the queries, integers.
            lookups: Neighbours of each query, nearest first: `types.Lookups` or lists
                of `Lookup`.
            thresholds_targets: Name of a cutpoint -> value that the calibration metric
                is to reach there: at least that, or at most for a metric that is to be
                minimised. One out of reach is left out of the results.
            calibration_metric: Name or metric that decides.
            matcher: Name or matcher.
            extra_metrics: Names or metrics to report beside it.
            distance_rounding: Decimals that distances are rounded to; `None`: not.
                Round the distances that are later held against a cutpoint alike.
            metric_rounding: Decimals in which values must differ to be told apart;
                `None`: all. The results hold the values as they are.
            verbose: 1 allows a long calibration to show its progress.
            target_far: The rate of false accepts that the cutpoint `"target_far"` is to
                keep, between 0 and 1; `None`: no such cutpoint. An index hands the last
                five arguments over only where they are used.
            confidence: How often it does, between 0 and 1.
            unit: What is drawn independently: `"query"`, or `"class"` where queries of a
                class are much alike.
            impostors: Lookups of the same queries with their own classes left out: each
                is a trial then. `None`: the queries that the matcher answers wrongly are.
            per_class: A threshold for each class, shrunk towards that of all: see
                `evaluators.class_offsets`. Cutpoints are those of all classes; the
                results' `class_offsets` are to be added. `"target_far"` has none.

        Raises:
            ValueError: If there are no lookups, or arguments do not fit.
        """

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)


registry = Registry("evaluator", Evaluator)
register = registry.register
