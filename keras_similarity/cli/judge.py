"""Indexes, calibrates and judges a trained model on classes that it never saw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.cli.split import Split
from keras_similarity.datasets import Dataset
from keras_similarity.retrieval_metrics import MapAtK, RecallAtK
from keras_similarity.types import CalibrationResults


@dataclass(frozen=True)
class Verdict:
    """What the unseen classes say about a model.

    Attributes:
        values: Plain numbers, by name.
        calibration: Metrics by threshold, and the threshold that was chosen.
    """

    values: dict[str, float | int]
    calibration: CalibrationResults


def index_and_judge(model: Any, dataset: Dataset, split: Split) -> Verdict:
    """Indexes and calibrates `model` and measures it.

    Args:
        model: A trained `SimilarityModel`; its index is filled with the pictures.
        dataset: Its unseen part is used, and no other.
        split: Which rows are indexed, calibrate and judge.
    """
    x, y = dataset.x_test, dataset.y_test
    pictures = dataset.preprocessing.to_pixels(x[split.index])
    model.reset_index()
    model.index(x[split.index], y=y[split.index], data=pictures, verbose=0)
    rows = np.concatenate([split.calibration, split.calibration_strangers])
    calibration = model.calibrate(x[rows], y[rows], calibration_metric="f1", verbose=0)
    values = {
        "unseen_classes": len(np.unique(y[split.index])),
        "stranger_classes": len(np.unique(y[split.evaluation_strangers])),
        "queries": len(split.evaluation),
        "stranger_queries": len(split.evaluation_strangers),
        "index_size": model.index_size(),
        **_judge_retrieval(model, dataset, split),
        **_judge_matches(model, dataset, split),
        "lookups_per_second": _lookups_per_second(model, x[split.evaluation]),
    }
    return Verdict(values, calibration)


def _judge_retrieval(model: Any, dataset: Dataset, split: Split) -> dict[str, float]:
    y = dataset.y_test
    classes, counts = np.unique(y[split.index], return_counts=True)
    relevant = dict(zip(classes.tolist(), counts.tolist(), strict=True))
    metrics = {
        "recall@1": RecallAtK(k=1),
        "recall@5": RecallAtK(k=min(5, len(split.index))),
        "map@R": MapAtK(k=int(counts.max()), r=relevant, clip_at_r=True),
    }
    found = model.evaluate_retrieval(
        dataset.x_test[split.evaluation],
        y[split.evaluation],
        retrieval_metrics=list(metrics.values()),
        verbose=0,
    )
    return {name: float(found[metric.name]) for name, metric in metrics.items()}


def _judge_matches(model: Any, dataset: Dataset, split: Split) -> dict[str, float]:
    rows = np.concatenate([split.evaluation, split.evaluation_strangers])
    found = model.evaluate_classification(
        dataset.x_test[rows], dataset.y_test[rows], verbose=0
    )["optimal"]
    names = ("precision", "recall", "f1")
    values = {name: float(np.ravel(found[name])[0]) for name in names}
    return {"threshold": float(found["distance"]), **values}


def _lookups_per_second(model: Any, x: Any, seconds: float = 1.0) -> float:
    """Pictures that are embedded and looked up in a second, in batches of 256."""
    batch = np.resize(x, (256, *x.shape[1:]))
    model.lookup(batch, k=5, verbose=0)  # Compiles, on some backends.
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        model.lookup(batch, k=5, verbose=0)
        count += len(batch)
    return count / elapsed
