"""The arguments of `evaluate`, checked."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from keras_similarity import set_metrics
from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.evaluators.relevance import Relevance
from keras_similarity.retrieval_metrics import (
    BNDCG,
    RetrievalMetric,
    metric_names,
    metric_of_name,
)
from keras_similarity.set_metrics import SetMetric


def check_metrics(metrics: Any) -> dict[str, RetrievalMetric | SetMetric]:
    """Key in results -> metric: what a name was written as, or an object's own name.

    Raises:
        ValueError: If there are none, one is not known, or two different ones share a
            key.
    """
    if isinstance(metrics, (str, RetrievalMetric, SetMetric)) or not isinstance(
        metrics, Sequence
    ):
        raise ValueError(
            "`metrics` must be a list of names or metrics, e.g. ['recall@1']. Received: "
            f"{metrics!r}."
        )
    if not metrics:
        raise ValueError("`metrics` must name at least one metric. Received: none.")
    found: dict[str, RetrievalMetric | SetMetric] = {}
    for each in metrics:
        metric = _metric_of(each)
        key = each if isinstance(each, str) else metric.name
        other = found.setdefault(key, metric)
        if (type(other), other.get_config()) != (type(metric), metric.get_config()):
            raise ValueError(
                f"`metrics` holds two different metrics named {key!r}, so that one would "
                "hide the other. Give one another `name`."
            )
    return found


def _metric_of(given: Any) -> RetrievalMetric | SetMetric:
    if isinstance(given, str):
        metric = metric_of_name(given)
        if metric is not None:
            return metric
        with contextlib.suppress(ValueError):
            return set_metrics.get(given)
    elif isinstance(given, (RetrievalMetric, SetMetric)):
        return given
    known = [*metric_names(), *set_metrics.registry.names()]
    raise ValueError(
        "`metrics` must hold metrics of `retrieval_metrics` or `set_metrics`, or these "
        f"names: {', '.join(known)}. Received: {given!r}."
    )


def check_labels_of(labels: Any, name: str, rows: int, pairs: Any) -> Any:
    """Labels as int64 `[N]`; with `pairs` as an array of `N` of anything."""
    if labels is None:
        raise TypeError(f"`{name}` must say what is relevant. Received: {name}=None.")
    if pairs is None:
        array = to_numpy(labels)
        if array.ndim == 2 and array.shape[1] > 1:
            raise ValueError(
                f"`{name}` must be one integer a row, or `pairs` must say how several "
                f"compare. Received: {name}.shape={array.shape}. For multi-hot rows: "
                "pairs=keras_similarity.pairs.pairs_from_multi_hot."
            )
        return check_labels(array, name=name, rows=rows)
    array = to_numpy(labels)
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(
            f"`{name}` must have {rows} rows, as the embeddings. Received: "
            f"{name}.shape={array.shape}."
        )
    return array


def check_grades(metrics: Mapping[str, RetrievalMetric], relevance: Relevance) -> None:
    """Raises where `ndcg@k` could be taken for one that knows grades."""
    for key, metric in metrics.items():
        if relevance.has_grades and type(metric) is BNDCG and key.lower()[:1] == "n":
            raise ValueError(
                f"`metrics` must not hold {key!r}, TensorFlow Similarity's, which sees "
                "no grades, where `pairs` give some. Ask for "
                f"'graded_ndcg@{metric.k}', or for 'bndcg@{metric.k}' without them."
            )


def check_choices(*, average: Any, lone_queries: Any, confidence: Any) -> None:
    """Raises a `ValueError` unless the arguments of `evaluate` are among the choices."""
    if average not in (None, "micro", "macro"):
        raise ValueError(
            f"`average` must be 'micro', 'macro' or None. Received: {average!r}."
        )
    if lone_queries not in ("skip", "zero"):
        raise ValueError(
            f"`lone_queries` must be 'skip' or 'zero'. Received: {lone_queries!r}."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1. Received: {confidence}.")
