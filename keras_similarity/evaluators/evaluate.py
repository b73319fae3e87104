"""How good embeddings are: all metrics at once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_embeddings, check_labels, to_numpy
from keras_similarity.distances import Distance
from keras_similarity.evaluators.evaluation import Evaluation
from keras_similarity.evaluators.neighbours import (
    Keys,
    KeysOfArrays,
    engine_for,
    keys_of_index,
)
from keras_similarity.evaluators.relevance import (
    Relevance,
    RelevanceOfLabels,
    RelevanceOfPairs,
)
from keras_similarity.evaluators.sampling import Sampling, check_groups
from keras_similarity.retrieval_metrics import (
    BNDCG,
    RetrievalMetric,
    metric_names,
    metric_of_name,
)
from keras_similarity.search import Search
from keras_similarity.search.base import check_positive
from keras_similarity.types import Floats, Ints

DEFAULT_METRICS = (
    "precision_at_1",
    "r_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
)
# Neighbours that are held at once, and at most so many queries.
_NEIGHBOURS = 2**21
_QUERIES = 2**13
# Pairs whose relevance is looked at at once.
_PAIRS = 2**22


def evaluate(
    embeddings: Any,
    labels: Any,
    metrics: Sequence[str | RetrievalMetric] = DEFAULT_METRICS,
    *,
    key_embeddings: Any = None,
    key_labels: Any = None,
    index: Any = None,
    exclude_self: Any = None,
    distance: Distance | str | None = None,
    search: Search | str | Mapping[str, Any] = "linear",
    k: int | None = None,
    pairs: Callable[[Any, Any], Any] | None = None,
    groups: Any = None,
    average: str | None = None,
    lone_queries: str = "skip",
    sampling_unit: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Judges embeddings by the neighbours they give, all metrics in one pass.

    A set is judged against itself, each row a query for which its own row does not count;
    or queries against keys, or against an index. Memory does not grow with the number of
    pairs: queries are looked up in blocks, and of each only its nearest are kept.

    A query without anything relevant among the keys cannot be answered rightly. It is
    left out of all means, as PyTorch Metric Learning does; `lone_queries="zero"` counts
    it as 0, as TensorFlow Similarity does.

    Intervals say how much a metric would change with other queries: drawn anew, row by
    row, or class by class (`sampling_unit`). Rows of one class are alike, so that many
    rows of few classes say little about other classes: a set against itself draws
    classes unless told otherwise. Queries against keys draw queries: the classes of an
    index are mostly those it will be used for. In both cases what the queries are
    compared with stays as it is; in a set against itself, whose classes stand in each
    other's way, that makes 95 % intervals cover some 93 to 95 %.

    Args:
        embeddings: Queries `[Q, D]`.
        labels: Their classes, integers `[Q]`; with `pairs`, what that takes.
        metrics: Names (see `retrieval_metrics.metric_names`) or objects.
        key_embeddings: `[M, D]`, what the queries are compared with; `None` for the
            queries themselves.
        key_labels: Integers `[M]`; with `pairs`, what that takes.
        index: An `Indexer` to look the queries up in, in place of keys.
        exclude_self: Ids `[Q]` of the queries among the keys (for arrays, their rows) or
            in the index, where they are in there: none finds itself. Not needed for a
            set against itself.
        distance: A `Distance` or its name; cosine by default, and with `index` that of
            the index.
        search: Engine that finds the neighbours: a name, a config or an empty `Search`.
            `"linear"` is exact.
        k: How many neighbours count for metrics without a cut-off of their own; later
            matches are misses. `None`: as many as the largest class among the queries has
            relevant rows (PyTorch Metric Learning's `max_bin_count`).
        pairs: Which keys are relevant, where that is more than having the same label: a
            function of query labels and key labels, e.g. `pairs_from_multi_hot` of
            `keras_similarity.pairs`. It gives `Pairs` or an array `[q, M]`: bools, or
            grades from 0. It is called with some of the queries at a time.
        groups: A column `[Q]` of the queries' metadata, or a mapping or data frame of
            columns by name, for results by group.
        average: `"micro"`, the mean over queries, or `"macro"`, the mean over classes of
            the mean within each. `None`: micro, but a metric object as it says.
        lone_queries: `"skip"` or `"zero"`, for queries without anything relevant.
        sampling_unit: What is drawn anew for intervals: `"queries"`, `"classes"`, or the
            name of a column of `groups` (persons, say). `None`: classes for a set against
            itself, otherwise queries.
        confidence: Of the intervals.
        resamples: Draws of the bootstrap.
        seed: Of the draws: the same seed, the same intervals.

    Returns:
        A mapping from the name of each metric to its value, with intervals, results by
        class and group, tables and a picture; see `Evaluation`.

    Raises:
        ValueError: If a metric is not known, or arguments do not fit each other.
        TypeError: If labels are no integers.

    Example:
        >>> from keras_similarity.evaluators import evaluate
        >>> embeddings = [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.8, 0.2]]
        >>> result = evaluate(embeddings, [0, 0, 1, 1, 1], ["recall@1", "r_precision"])
        >>> result["recall@1"], result["r_precision"]
        (0.8, 0.8)
    """
    embeddings = check_embeddings(embeddings)
    if not len(embeddings):
        raise ValueError("`embeddings` must hold at least one query. Received: none.")
    found = check_metrics(metrics)
    _check_choices(average=average, lone_queries=lone_queries)
    labels = _check_labels(labels, "labels", len(embeddings), pairs)
    is_self = key_embeddings is None and index is None
    keys = _keys_of(
        embeddings, labels, key_embeddings, key_labels, index, distance, search, pairs
    )
    if is_self and exclude_self is None:
        exclude_self = np.arange(len(embeddings))
    own = None if exclude_self is None else _own_rows(keys, exclude_self, len(labels))
    relevance: Relevance = (
        RelevanceOfLabels(labels, keys.labels, keys.is_key, own)
        if pairs is None
        else RelevanceOfPairs(pairs, labels, keys.labels, keys.is_key, own)
    )
    _check_grades(found, relevance)
    k = max(int(relevance.relevant.max()), 1) if k is None else check_positive("k", k)
    values = _values(found, embeddings, keys, relevance, k, exclude_self)
    is_lone = relevance.relevant == 0
    values[is_lone] = np.nan if lone_queries == "skip" else 0.0
    has_classes = pairs is None or relevance.query_labels.any()
    return Evaluation(
        values_by_query=values,
        names=tuple(found),
        averages=tuple(average or metric.average for metric in found.values()),
        sampling=Sampling(
            labels=relevance.query_labels if has_classes else None,
            groups=check_groups(groups, len(labels)),
            unit=sampling_unit or ("classes" if is_self and has_classes else "queries"),
        ),
        k=k,
        distance=keys.distance.name,
        lone=int(is_lone.sum()),
        confidence=_check_confidence(confidence),
        resamples=check_positive("resamples", resamples),
        seed=seed,
    )


def check_metrics(metrics: Any) -> dict[str, RetrievalMetric]:
    """Key in results -> metric: what a name was written as, or an object's own name.

    Raises:
        ValueError: If there are none, one is not known, or two different ones share a
            key.
    """
    if isinstance(metrics, (str, RetrievalMetric)) or not isinstance(metrics, Sequence):
        raise ValueError(
            "`metrics` must be a list of names or metrics, e.g. ['recall@1']. Received: "
            f"{metrics!r}."
        )
    if not metrics:
        raise ValueError("`metrics` must name at least one metric. Received: none.")
    found: dict[str, RetrievalMetric] = {}
    for each in metrics:
        metric = metric_of_name(each) if isinstance(each, str) else each
        if not isinstance(metric, RetrievalMetric):
            raise ValueError(
                "`metrics` must hold metrics of `retrieval_metrics` or these names: "
                f"{', '.join(metric_names())}. Received: {each!r}."
            )
        key = each if isinstance(each, str) else metric.name
        other = found.setdefault(key, metric)
        if (type(other), other.get_config()) != (type(metric), metric.get_config()):
            raise ValueError(
                f"`metrics` holds two different metrics named {key!r}, so that one would "
                "hide the other. Give one another `name`."
            )
    return found


def _check_grades(metrics: Mapping[str, RetrievalMetric], relevance: Relevance) -> None:
    """Raises where `ndcg@k` could be taken for one that knows grades."""
    for key, metric in metrics.items():
        if relevance.has_grades and type(metric) is BNDCG and key.lower()[:1] == "n":
            raise ValueError(
                f"`metrics` must not hold {key!r}, TensorFlow Similarity's, which sees "
                "no grades, where `pairs` give some. Ask for "
                f"'graded_ndcg@{metric.k}', or for 'bndcg@{metric.k}' without them."
            )


def _values(
    metrics: Mapping[str, RetrievalMetric],
    embeddings: Floats,
    keys: Keys,
    relevance: Relevance,
    k: int,
    own: Any,
) -> Floats:
    """Value of each query for each metric, `[Q, metrics]`."""
    values = np.empty((len(embeddings), len(metrics)))
    width = max(k, *(metric.neighbors_needed for metric in metrics.values()))
    step = min(_NEIGHBOURS // width, _PAIRS // relevance.pairs_at_once, _QUERIES)
    own = None if own is None else to_numpy(own)
    for start in range(0, len(embeddings), max(step, 1)):
        block = slice(start, start + max(step, 1))
        rows, costs = keys.find(
            embeddings[block], width, None if own is None else own[block]
        )
        ranking = relevance.ranking(block, rows, costs, k, own is not None)
        for column, metric in enumerate(metrics.values()):
            values[block, column] = metric.of_ranking(ranking)
    return values


def _keys_of(
    embeddings: Floats,
    labels: Any,
    key_embeddings: Any,
    key_labels: Any,
    index: Any,
    distance: Any,
    search: Any,
    pairs: Any,
) -> Keys:
    if index is not None:
        if key_embeddings is not None or key_labels is not None or distance is not None:
            raise ValueError(
                "`index` has keys, labels and a distance of its own. Received: "
                "`key_embeddings`, `key_labels` or `distance` beside it."
            )
        return keys_of_index(index)
    if (key_embeddings is None) != (key_labels is None):
        raise ValueError(
            "`key_embeddings` and `key_labels` belong together: give both, or none."
        )
    if key_embeddings is not None:
        embeddings = check_embeddings(
            key_embeddings, name="key_embeddings", dim=embeddings.shape[1]
        )
        if not len(embeddings):
            raise ValueError("`key_embeddings` must hold at least one row.")
        labels = _check_labels(key_labels, "key_labels", len(embeddings), pairs)
    measure = distances.get("cosine" if distance is None else distance)
    engine = engine_for(search, measure, embeddings.shape[1])
    return KeysOfArrays(embeddings, labels, engine)


def _check_labels(labels: Any, name: str, rows: int, pairs: Any) -> Any:
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


def _own_rows(keys: Keys, exclude_self: Any, queries: int) -> Ints:
    ids = to_numpy(exclude_self)
    if ids.shape != (queries,):
        raise ValueError(
            f"`exclude_self` must hold one id a query, {queries} of them. Received: "
            f"exclude_self.shape={ids.shape}."
        )
    return keys.rows_of(ids)


def _check_choices(*, average: Any, lone_queries: Any) -> None:
    if average not in (None, "micro", "macro"):
        raise ValueError(
            f"`average` must be 'micro', 'macro' or None. Received: {average!r}."
        )
    if lone_queries not in ("skip", "zero"):
        raise ValueError(
            f"`lone_queries` must be 'skip' or 'zero'. Received: {lone_queries!r}."
        )


def _check_confidence(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1. Received: {confidence}.")
    return float(confidence)
