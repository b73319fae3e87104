"""A Keras model that decides about neighbours, and is judged by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.classification_metrics import make_classification_metric
from keras_similarity.distances import Distance
from keras_similarity.indexer import Indexer
from keras_similarity.matchers import make_classification_matcher
from keras_similarity.models.indexed_model import IndexedModel, known_rows
from keras_similarity.search.base import check_positive
from keras_similarity.types import UNKNOWN_LABEL, CalibrationResults, Ints


class DecidingModel(IndexedModel):
    """The part of a similarity model that is about labels: it decides, and is judged."""

    def calibrate(
        self,
        x: Any,
        y: Any,
        thresholds_targets: Mapping[str, float] | None = None,
        k: int = 1,
        calibration_metric: Any = "f1",
        matcher: Any = "match_nearest",
        extra_metrics: Sequence[Any] = ("precision", "recall"),
        rounding: int = 2,
        verbose: int = 1,
        **kwargs: Any,
    ) -> CalibrationResults:
        """Chooses the distances below which a neighbour counts as a match.

        Use examples that the model was not trained on and that are not in the index.
        With `target_far=0.001` the results have a cutpoint `"target_far"`, which keeps
        the rate of false accepts at or below that, with 95 % confidence.

        Args:
            x: Inputs `[N, ...]`.
            y: Their labels `[N]`.
            thresholds_targets: Values of the calibration metric to reach, by the name
                of the cutpoint; one that cannot be reached is left out.
            k: Neighbours that the matcher sees.
            calibration_metric: What the cutpoint `"optimal"` optimises.
            matcher: How neighbours become a label: `"match_nearest"`,
                `"match_majority_vote"` or a `ClassificationMatch`.
            extra_metrics: Also reported for each threshold.
            rounding: Digits in the printed table.
            verbose: Print the cutpoints?
            **kwargs: Of `Indexer.calibrate`, which explains them: `target_far`,
                `confidence`, `trials`, `unit` and `per_class`.

        Raises:
            ValueError: If the index is empty, or an argument is not known.
        """
        self._check_has_index()
        k = check_positive("k", k)
        labels = _checked_labels(y, x)
        matcher = make_classification_matcher(matcher)
        metric = make_classification_metric(calibration_metric)
        embeddings = self.embed(x, verbose=verbose)
        return self._index_of(embeddings).calibrate(
            embeddings,
            target_labels=labels,
            thresholds_targets=thresholds_targets,
            k=k,
            calibration_metric=metric,
            matcher=matcher,
            extra_metrics=extra_metrics,
            rounding=rounding,
            verbose=verbose,
            **kwargs,
        )

    def match(
        self,
        x: Any,
        cutpoint: str = "optimal",
        no_match_label: int = UNKNOWN_LABEL,
        k: int = 1,
        matcher: Any = "match_nearest",
        verbose: int = 0,
    ) -> Any:
        """Label of each example, or `no_match_label` where no neighbour is near enough.

        Args:
            x: Inputs `[N, ...]`.
            cutpoint: Which threshold of the calibration; `"all"` for a mapping of all.
            no_match_label: Stands for unknown. Choose another number if the index has
                examples of the class -1.
            k: Neighbours that the matcher sees.
            matcher: As in `calibrate`.
            verbose: Show progress?

        Returns:
            List of `N` labels; with `cutpoint="all"` one by the name of each cutpoint.

        Raises:
            ValueError: If the model is not calibrated, or the cutpoint is not known.
            IndexError: If the index is empty.
        """
        index = self._calibrated_index()
        if cutpoint != "all" and cutpoint not in index.cutpoints:
            known = ", ".join(repr(name) for name in ("all", *index.cutpoints))
            raise ValueError(
                f"`cutpoint` must be one of {known}. Received: {cutpoint!r}."
            )
        k = check_positive("k", k)
        matches = index.match(
            self.embed(x, verbose=verbose),
            no_match_label=no_match_label,
            k=k,
            matcher=matcher,
            verbose=verbose,
        )
        return matches if cutpoint == "all" else matches[cutpoint]

    def evaluate_retrieval(
        self, x: Any, y: Any, retrieval_metrics: Sequence[Any], verbose: int = 1
    ) -> dict[str, Any]:
        """Values of retrieval metrics, by name, with `x` as queries.

        Raises:
            IndexError: If the index is empty.
        """
        index = self._filled_index()
        labels = _checked_labels(y, x)
        return index.evaluate_retrieval(
            self.embed(x, verbose=verbose), labels, retrieval_metrics, verbose=verbose
        )

    def evaluate_classification(
        self,
        x: Any,
        y: Any,
        k: int = 1,
        extra_metrics: Sequence[Any] = ("precision", "recall"),
        matcher: Any = "match_nearest",
        verbose: int = 1,
    ) -> dict[str, dict[str, Any]]:
        """Metrics of the matches at each cutpoint of the calibration.

        Args:
            x: Inputs `[N, ...]`.
            y: Their labels `[N]`.
            k: Neighbours that the matcher sees.
            extra_metrics: Beside the calibration metric.
            matcher: As in `calibrate`.
            verbose: Show progress?

        Returns:
            By the name of the cutpoint, a mapping with its `name`, its `distance` and,
            by the name of each metric, an array `[1]`.

        Raises:
            ValueError: If the model is not calibrated.
            IndexError: If the index is empty.
        """
        index = self._calibrated_index()
        k = check_positive("k", k)
        embeddings = self.embed(x, verbose=verbose)
        labels = _checked_labels(y, x)
        judged: dict[str, dict[str, Any]] = {}
        # Not all cutpoints have thresholds of classes: those are judged on their own.
        for has_offsets in (False, True):
            cutpoints = {
                name: cutpoint
                for name, cutpoint in index.cutpoints.items()
                if bool(index.class_offsets(name)) == has_offsets
            }
            if cutpoints:
                found = index.evaluate_classification(
                    embeddings,
                    target_labels=labels,
                    distance_thresholds=[cut["distance"] for cut in cutpoints.values()],
                    metrics=[*extra_metrics, index.get_calibration_metric()],
                    matcher=matcher,
                    k=k,
                    verbose=0,
                    class_offsets=index.class_offsets(next(iter(cutpoints))),
                )
                judged |= _by_cutpoint(found, cutpoints, index.distance)
        return {name: judged[name] for name in index.cutpoints}

    def _calibrated_index(self) -> Indexer:
        index = self._filled_index()
        if not index.is_calibrated:
            raise ValueError("The model is not calibrated. Call `calibrate()` first.")
        return index


def _by_cutpoint(
    found: Mapping[str, Any], cutpoints: Mapping[str, Any], distance: Distance
) -> dict[str, dict[str, Any]]:
    """What was found at each cutpoint, by its name."""
    thresholds = np.asarray([cutpoint["distance"] for cutpoint in cutpoints.values()])
    # The columns go from the strictest threshold to the laxest.
    order = np.argsort(distance.to_cost(thresholds), kind="stable")
    columns = np.argsort(order).tolist()
    return {
        name: {
            **{metric: values[[column]] for metric, values in found.items()},
            "distance": cutpoint["distance"],
            "name": name,
        }
        for (name, cutpoint), column in zip(cutpoints.items(), columns, strict=True)
    }


def _checked_labels(y: Any, x: Any) -> Ints:
    return check_labels(y, name="y", rows=known_rows(x))
