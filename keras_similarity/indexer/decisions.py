"""What an index decides about its neighbours, and how good it is at that."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.evaluators.false_accepts import check_target, check_trials
from keras_similarity.indexer.calibration import Calibration
from keras_similarity.indexer.choice import ANY, Choice
from keras_similarity.indexer.impostors import impostor_lookups
from keras_similarity.indexer.judging import Judge
from keras_similarity.indexer.predictions import TakesPredictions
from keras_similarity.matchers import ClassificationMatch, make_classification_matcher
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.retrieval_metrics.base import check_retrieval_metrics
from keras_similarity.search.base import check_positive
from keras_similarity.types import (
    UNKNOWN_LABEL,
    Bools,
    CalibrationResults,
    Floats,
    Ints,
    Lookups,
)

logger = logging.getLogger(__name__)


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
    def _lookup(self, embeddings: Floats, k: int, choice: Choice = ANY) -> Lookups:
        """The `k` nearest neighbours of each, of a choice."""

    @abstractmethod
    def _labels(self) -> Ints:
        """Labels of the examples that a lookup may find."""

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
        *,
        class_offsets: Mapping[int, float] | None = None,
    ) -> dict[str, Any]:
        """Judges the decisions that thresholds make of the neighbours.

        Args:
            distance_thresholds: Thresholds `[T]`, in the units of the distance.
            metrics: Names or metrics.
            verbose: Handed to the evaluator.
            class_offsets: Label -> what its thresholds are above these, such as
                `index.class_offsets("optimal")`.

        Returns:
            `"distance"`: the thresholds `[T]` in float32, from the strictest to the
            laxest, repeated ones too; and by the name of each metric its values there.

        Raises:
            IndexError: If the index is empty.
        """
        self._check_not_empty()
        labels, lookups = self._judged(predictions, target_labels, k)
        return self._judge.evaluate_classification(
            labels,
            lookups,
            distance_thresholds,
            metrics,
            matcher,
            verbose,
            class_offsets,
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
        *,
        target_far: float | None = None,
        confidence: float = 0.95,
        trials: str = "auto",
        unit: str = "query",
        per_class: bool = False,
    ) -> CalibrationResults:
        """Finds the distances up to which a neighbour is a match, and keeps them.

        With `target_far` the results have a cutpoint of that name: the largest threshold
        that keeps the rate of false accepts at or below the target, with the stated
        confidence: of many calibrations on queries like these, at most
        `1 - confidence` give a threshold whose rate is larger. It is an order statistic
        of the trials, whose guarantee is exactly binomial, for any distribution and any
        number of trials; `evaluators.false_accepts` has the proof. The results'
        `false_accepts` says how many trials there were, the bound itself, and how many
        more would tighten it. Where they are too few for any threshold, that one accepts
        nothing, and a warning says how many it takes (about `3 / target_far` at 0.95).

        The guarantee is about queries drawn as these were, the index as it is now, and
        the `k` and `matcher` of the calibration.

        Args:
            predictions: The queries; not examples that are in the index.
            thresholds_targets: Name of a cutpoint -> the value that the calibration
                metric must reach there; left out of the results where it can't.
            calibration_metric: Name or metric; the cutpoint `optimal` is where it is
                best.
            extra_metrics: Further names or metrics to report.
            rounding: Digits of the printed table.
            verbose: Print the cutpoints?
            target_far: The rate, between 0 and 1; `None`: no such cutpoint.
            confidence: Between 0 and 1.
            trials: What must not be accepted, and is counted: `"wrong"`, the queries
                that the matcher answers wrongly, those of classes that are not indexed
                among them (the rate is `fp / (fp + tn)`, the metric `fpr`); `"every"`,
                each query, its own class left out of the index; `"auto"`, the first if
                there is a query of a class that is not indexed, else the second.
            unit: `"class"` if queries of a class are so much alike that the class is what
                is drawn: then trials are counted by class, and the rate is its mean.
            per_class: A threshold for each class, shrunk towards that of all, for all
                cutpoints but `target_far`; see `class_thresholds`.

        Raises:
            ValueError: If the index is empty or an argument is not known.

        Example:
            >>> import numpy as np
            >>> from keras_similarity.indexer import Indexer
            >>> random = np.random.default_rng(0)
            >>> index = Indexer(embedding_size=8, distance="euclidean")
            >>> ids = index.batch_add(random.normal(size=(50, 8)), range(50))
            >>> strangers = random.normal(size=(1000, 8))
            >>> results = index.calibrate(
            ...     strangers, np.full(1000, 99), target_far=0.01, verbose=0
            ... )
            >>> results.false_accepts.accepted, round(results.false_accepts.bound, 4)
            (4, 0.0091)
        """
        if not self.searchable():
            hint = " Call `build_index()` first." if self.size() else ""
            raise ValueError(
                f"lookups must not be empty. Is there no data in the index?{hint}"
            )
        options: dict[str, Any] = {"per_class": True} if per_class else {}
        if target_far is not None:
            check_target(target_far, confidence, unit)
            options |= {"target_far": target_far, "confidence": confidence, "unit": unit}
        check_trials(trials)
        embeddings = self._embeddings(predictions)
        labels = check_labels(target_labels, name="target_labels", rows=len(embeddings))
        if target_far is not None:
            options["impostors"] = self._impostors(embeddings, labels, k, trials)
        matcher = make_classification_matcher(matcher)
        calibration = self._judge.calibrate(
            labels,
            self._lookup_at_most(embeddings, k),
            thresholds_targets or {},
            calibration_metric,
            matcher,
            extra_metrics,
            verbose,
            **options,
        )
        made_with = {"matcher": repr(matcher), "k": int(k), "examples": self.searchable()}
        calibration = replace(calibration, made_with=made_with)
        self._calibration = calibration
        promise = calibration.results.false_accepts
        if promise and not promise.is_met:
            logger.warning("%s", promise)
        if verbose:
            print(calibration.text(rounding))
        return calibration.results

    def match(
        self,
        predictions: Any,
        no_match_label: int = UNKNOWN_LABEL,
        k: int = 1,
        matcher: str | ClassificationMatch = "match_nearest",
        verbose: int = 1,
    ) -> dict[str, list[int]]:
        """Decides which class each example belongs to, or none, at every cutpoint.

        The answer is unknown where the neighbours amount to no label at all, or to one
        that is farther than the cutpoint, or than that of its class.

        Distances are rounded as `calibrate` rounds them, so that an example exactly at
        the cutpoint matches.

        Args:
            no_match_label: Stands for unknown. Choose another number if the index has
                examples of the class -1.
            k: As in `calibrate`; so is `matcher`.

        Returns:
            Name of the cutpoint -> one label an example.

        Raises:
            IndexError: If the index is empty.
            ValueError: If it was not calibrated.
        """
        self._check_not_empty()
        calibration = self._check_calibrated()
        calibration.warn_unless_made_with(repr(make_classification_matcher(matcher)), k)
        lookups = self._lookup_at_most(self._embeddings(predictions), k)
        return self._judge.match(lookups, calibration, no_match_label, matcher)

    def is_within(
        self, distances: Any, cutpoint: str = "optimal", labels: Any = None
    ) -> Bools:
        """Which distances lie within a cutpoint, as `match` decides it.

        Args:
            distances: Of any shape, e.g. those of a lookup `[Q, k]`. NaN lies within
                nothing.
            cutpoint: Name of the cutpoint.
            labels: Labels of the neighbours, of the same shape, for the thresholds of
                their classes; `None`: the cutpoint decides for all.

        Returns:
            Bool, of the shape of `distances`.

        Raises:
            ValueError: If the index was not calibrated, or has no such cutpoint.
        """
        calibration = self._check_cutpoint(cutpoint)
        return self._judge.is_within(
            distances,
            calibration.distances[cutpoint],
            labels,
            calibration.offsets_of(cutpoint),
        )

    def class_offsets(self, cutpoint: str = "optimal") -> Mapping[int, float]:
        """Label -> what its threshold is above a cutpoint; 0 for other labels.

        Empty unless `calibrate(per_class=True)` was called, and for `"target_far"`.
        """
        return self._check_cutpoint(cutpoint).offsets_of(cutpoint)

    def class_thresholds(self, cutpoint: str = "optimal") -> dict[int, float]:
        """Label -> the distance up to which a neighbour of that class is a match.

        Holds the classes that `calibrate(per_class=True)` knows something of; the
        cutpoint's own distance is for all others. A class' threshold is the cutpoint's,
        and half of what the class' right answers lie farther than those of all classes,
        and half of what its wrong ones do, each shrunk towards 0 the more the fewer
        examples there are: see `evaluators.class_offsets`.
        """
        calibration = self._check_cutpoint(cutpoint)
        threshold = calibration.distances[cutpoint]
        offsets = calibration.offsets_of(cutpoint)
        return {label: threshold + offset for label, offset in offsets.items()}

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

    def _impostors(
        self, embeddings: Floats, labels: Ints, k: int, trials: str
    ) -> Lookups | None:
        """Lookups without the queries' own classes, if each of those is a trial."""
        if trials == "wrong":
            return None
        known = self._labels()
        if trials == "auto" and not np.isin(labels, known).all():
            return None
        k = min(check_positive("k", k), self.searchable())
        return impostor_lookups(self._lookup, embeddings, labels, k, known)

    def _check_cutpoint(self, cutpoint: str) -> Calibration:
        calibration = self._check_calibrated()
        if cutpoint not in calibration.distances:
            raise ValueError(
                f"`cutpoint` must be one of {', '.join(calibration.distances)}. "
                f"Received: cutpoint={cutpoint!r}."
            )
        return calibration

    def _check_calibrated(self) -> Calibration:
        if self._calibration is None:
            raise ValueError("The index must be calibrated: call `calibrate()` first.")
        return self._calibration
