"""Which thresholds to try, and which of them to choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.types import Floats

Columns = Mapping[str, Any]

#: Name of the cutpoint that keeps a rate of false accepts.
TARGET_FAR = "target_far"


def candidate_thresholds(lookup_distances: Floats) -> Floats:
    """All distances that occur, ascending: no other threshold changes a count."""
    return np.unique(lookup_distances)


def optimal_index(values: Floats, *, maximize: bool) -> int:
    """Index of the best of the values `[T]`, the last of equals."""
    best = values.max() if maximize else values.min()
    return int(np.flatnonzero(values == best)[-1])


def target_index(
    values: Floats, target: float, *, maximize: bool, increasing: bool
) -> int | None:
    """Index of the threshold at which the values `[T]` meet a target, if any does.

    A metric to be maximised meets it with at least the target, one to be minimised with
    at most that. Where the metric gets better as the threshold grows (recall) the
    smallest threshold that meets it is chosen; where it gets worse (precision, false
    positive rate) the largest, which finds the most.

    Args:
        values: Values of the metric `[T]`, thresholds ascending.
        target: Value to reach.
        maximize: Is a larger value better?
        increasing: Does the value grow with the threshold?
    """
    meets = np.flatnonzero(values >= target if maximize else values <= target)
    if meets.size == 0:
        return None
    improves = maximize == increasing
    return int(meets[0] if improves else meets[-1])


def cutpoint_indices(
    values: Floats,
    targets: Mapping[str, float],
    metric: ClassificationMetric,
    metric_rounding: int | None,
) -> dict[str, int]:
    """Name of each cutpoint -> index of its threshold: `optimal`, and targets in reach.

    Args:
        values: Values of the calibration metric `[T]`, thresholds ascending.
        targets: Name -> value to reach.
        metric: The calibration metric.
        metric_rounding: Decimals in which values and targets are compared; `None`: all.
    """
    values = _rounded(values, metric_rounding)
    indices: dict[str, int | None] = {
        "optimal": optimal_index(values, maximize=metric.maximize)
    }
    for name, target in targets.items():
        indices[name] = target_index(
            values,
            float(_rounded(np.float64(target), metric_rounding)),
            maximize=metric.maximize,
            increasing=metric.increasing,
        )
    return {name: index for name, index in indices.items() if index is not None}


def cutpoint(name: str, index: int, thresholds: Columns) -> dict[str, Any]:
    """What the threshold columns hold at one index, as plain numbers, and its name."""
    values = {column: float(values[index]) for column, values in thresholds.items()}
    return {"name": name, **values}


def _rounded(values: Any, decimals: int | None) -> Any:
    return values if decimals is None else np.round(values, decimals)
