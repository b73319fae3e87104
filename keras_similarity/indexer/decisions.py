"""What an index decides about its neighbours, and how good it is at that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from keras_similarity.arrays import check_labels
from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.indexer.calibration import Calibration
from keras_similarity.indexer.judging import Judge
from keras_similarity.indexer.predictions import TakesPredictions
from keras_similarity.matchers import ClassificationMatch
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.retrieval_metrics.base import check_retrieval_metrics
from keras_similarity.search.base import check_positive
from keras_similarity.types import Bools, CalibrationResults, Floats, Lookups


class Decisions(TakesPredictions, ABC):
    """Judges, calibrates and matches: the half of `Indexer` that is about labels.

    Attributes:
        distance: Of the index.
        evaluator: Computes what is judged.
    """

    distance: Distance
    evaluator: Evaluator
    _calibration: Calibration | None = None

    @abstractmethod
    def size(self) -> int:
        """Number of examples, those that are not searchable yet included."""

    @abstractmethod
    def searchable(self) -> int:
        """Number of examples that a lookup may find."""

    @abstractmethod
    def _lookup(self, embeddings: Floats, k: int) -> Lookups:
        """The `k` nearest neighbours of each."""

    def evaluate_retrieval(
        self,
        predictions: Any,
        target_labels: Any,
        retrieval_metrics: Sequence[RetrievalMetric],
        verbose: int = 1,
    ) -> dict[str, Any]:
        """Judges the order of the neighbours.

        Args:
            retrieval_metrics: Metrics, which bring their own `k`. Under a similarity
                their `distance_threshold` is a cost, the similarity's negative.

        Returns:
            Name of the metric -> its value.

        Raises:
            IndexError: If the index is empty.
            ValueError: If something else than a metric is given, or one needs more
                neighbours than the index has rows.
        """
        self._check_not_empty()
        metrics = check_retrieval_metrics(retrieval_metrics)
        # One more, for the metrics that drop the nearest, the query itself.
        k = 1 + max((metric.k for metric in metrics), default=0)
        labels, lookups = self._judged(predictions, target_labels, k)
        return self._judge.evaluate_retrieval(labels, lookups, metrics)

    def evaluate_classification(
        self,
        predictions: Any,
        target_labels: Any,
        distance_thresholds: Any,
        metrics: Sequence[str | ClassificationMetric] = ("f1",),
        matcher: str | ClassificationMatch = "match_nearest",
        k: int = 1,
        verbose: int = 1,
    ) -> dict[str, Any]:
        """Judges the decisions that thresholds make of the neighbours.

        Args:
            distance_thresholds: Thresholds `[T]`, in the units of the distance.
            metrics: Names or metrics.
            verbose: Handed to the evaluator.

        Returns:
            `"distance"`: the thresholds `[T]` in float32, from the strictest to the
            laxest, repeated ones too; and by the name of each metric its values there.

        Raises:
            IndexError: If the index is empty.
        """
        self._check_not_empty()
        labels, lookups = self._judged(predictions, target_labels, k)
        return self._judge.evaluate_classification(
            labels, lookups, distance_thresholds, metrics, matcher, verbose
        )

    def calibrate(
        self,
        predictions: Any,
        target_labels: Any,
        thresholds_targets: Mapping[str, float] | None = None,
        calibration_metric: str | ClassificationMetric = "f1_score",
        k: int = 1,
        matcher: str | ClassificationMatch = "match_nearest",
        extra_metrics: Sequence[str | ClassificationMetric] = ("precision", "recall"),
        rounding: int = 2,
        verbose: int = 1,
    ) -> CalibrationResults:
        """Finds the distances up to which a neighbour is a match, and keeps them.

        Args:
            predictions: The queries; not examples that are in the index.
            thresholds_targets: Name of a cutpoint -> the value that the calibration
                metric must reach there; left out of the results where it can't.
            calibration_metric: Name or metric; the cutpoint `optimal` is where it is
                best.
            extra_metrics: Further names or metrics to report.
            rounding: Digits of the printed table.
            verbose: Print the cutpoints?

        Raises:
            ValueError: If the index is empty or an argument is not known.
        """
        if not self.searchable():
            hint = " Call `build_index()` first." if self.size() else ""
            raise ValueError(
                f"lookups must not be empty. Is there no data in the index?{hint}"
            )
        labels, lookups = self._judged(predictions, target_labels, k)
        calibration = self._judge.calibrate(
            labels,
            lookups,
            thresholds_targets or {},
            calibration_metric,
            matcher,
            extra_metrics,
            verbose,
        )
        self._calibration = calibration
        if verbose:
            print(calibration.table(rounding))
        return calibration.results

    def match(
        self,
        predictions: Any,
        no_match_label: int = -1,
        k: int = 1,
        matcher: str | ClassificationMatch = "match_nearest",
        verbose: int = 1,
    ) -> dict[str, list[int]]:
        """Decides which class each example belongs to, or none, at every cutpoint.

        Distances are rounded as `calibrate` rounds them, so that an example exactly at
        the cutpoint matches.

        Args:
            no_match_label: Stands for none.
            k: As in `calibrate`; so is `matcher`.

        Returns:
            Name of the cutpoint -> one label an example.

        Raises:
            IndexError: If the index is empty.
            ValueError: If it was not calibrated.
        """
        self._check_not_empty()
        thresholds = self._check_calibrated().distances
        lookups = self._lookup_at_most(self._embeddings(predictions), k)
        return self._judge.match(lookups, thresholds, no_match_label, matcher)

    def is_within(self, distances: Any, cutpoint: str = "optimal") -> Bools:
        """Which distances lie within a cutpoint, as `match` decides it.

        Args:
            distances: Of any shape, e.g. those of a lookup `[Q, k]`. NaN lies within
                nothing.
            cutpoint: Name of the cutpoint.

        Returns:
            Bool, of the shape of `distances`.

        Raises:
            ValueError: If the index was not calibrated, or has no such cutpoint.
        """
        thresholds = self._check_calibrated().distances
        if cutpoint not in thresholds:
            raise ValueError(
                f"`cutpoint` must be one of {', '.join(thresholds)}. Received: "
                f"cutpoint={cutpoint!r}."
            )
        return self._judge.is_within(distances, thresholds[cutpoint])

    @property
    def is_calibrated(self) -> bool:
        return self._calibration is not None

    @property
    def cutpoints(self) -> Mapping[str, Mapping[str, Any]]:
        calibration = self._calibration  # Read once: a reset may take it away.
        return calibration.results.cutpoints if calibration else {}

    @property
    def calibration_thresholds(self) -> Mapping[str, Any]:
        calibration = self._calibration
        return calibration.results.thresholds if calibration else {}

    def get_calibration_metric(self) -> ClassificationMetric:
        """The metric that `calibrate` used.

        Raises:
            ValueError: If the index was not calibrated.
        """
        return self._check_calibrated().metric

    def _judged(
        self, predictions: Any, target_labels: Any, k: int
    ) -> tuple[Any, Lookups]:
        """Labels, and the lookups of their queries."""
        embeddings = self._embeddings(predictions)
        labels = check_labels(target_labels, name="target_labels", rows=len(embeddings))
        return labels, self._lookup_at_most(embeddings, k)

    def _lookup_at_most(self, embeddings: Floats, k: int) -> Lookups:
        """Lookups no wider than the index has rows: matchers vote on real neighbours."""
        return self._lookup(embeddings, min(check_positive("k", k), self.searchable()))

    @property
    def _judge(self) -> Judge:
        return Judge(self.distance, self.evaluator)

    def _check_not_empty(self) -> None:
        if not self.searchable():
            hint = "call `build_index()`" if self.size() else "add examples"
            raise IndexError(f"The index must not be empty: {hint} first.")

    def _check_calibrated(self) -> Calibration:
        if self._calibration is None:
            raise ValueError("The index must be calibrated: call `calibrate()` first.")
        return self._calibration
