"""How good embeddings are: all metrics at once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.distances import Distance
from keras_similarity.evaluators.arguments import (
    check_choices,
    check_grades,
    check_labels_of,
    check_metrics,
)
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
    RelevanceUnknown,
)
from keras_similarity.evaluators.sampling import Sampling, check_groups
from keras_similarity.evaluators.set_values import SetValues
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.search import Search
from keras_similarity.search.base import check_positive
from keras_similarity.set_metrics import SetMetric
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
    metrics: Sequence[str | RetrievalMetric | SetMetric] = DEFAULT_METRICS,
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
        labels: Their classes, integers `[Q]`; with `pairs`, what that takes. `None` where
            no metric asks for them.
        metrics: Names (of `retrieval_metrics.metric_names` and `set_metrics`) or objects.
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
    check_choices(average=average, lone_queries=lone_queries, confidence=confidence)
    rankings = {n: m for n, m in found.items() if isinstance(m, RetrievalMetric)}
    if labels is not None or rankings:
        labels = check_labels_of(labels, "labels", len(embeddings), pairs)
    is_self = key_embeddings is None and index is None
    keys = _keys_of(
        embeddings, labels, key_embeddings, key_labels, index, distance, search, pairs
    )
    if is_self and exclude_self is None:
        exclude_self = np.arange(len(embeddings))
    sets = {name: m for name, m in found.items() if isinstance(m, SetMetric)}
    if sets and (index is not None or (exclude_self is not None and not is_self)):
        raise ValueError(
            f"Metrics of the whole set ({', '.join(sets)}) must be asked of a set "
            "against itself, or against keys that do not hold it. Received: `index`, or "
            "`exclude_self` with keys."
        )
    relevance = _relevance(labels, keys, exclude_self, pairs, len(embeddings))
    check_grades(rankings, relevance)
    k = max(int(relevance.relevant.max()), 1) if k is None else check_positive("k", k)
    values = _values(rankings, embeddings, keys, relevance, k, exclude_self)
    values[relevance.relevant == 0] = np.nan if lone_queries == "skip" else 0.0
    classes = relevance.query_labels if relevance.has_classes else None
    unit = "classes" if is_self and classes is not None else "queries"
    return Evaluation(
        names=tuple(found),
        averages={name: average or m.average for name, m in rankings.items()},
        values_by_query=values,
        sampling=Sampling(
            classes, check_groups(groups, len(embeddings)), sampling_unit or unit
        ),
        k=k,
        distance=keys.distance.name,
        relevant=relevance.relevant,
        sets=SetValues(
            sets,
            embeddings,
            classes,
            keys.distance,
            {}
            if is_self
            else {"key_embeddings": keys.embeddings, "key_labels": keys.labels},
        ),
        confidence=confidence,
        resamples=check_positive("resamples", resamples),
        seed=seed,
    )


def _relevance(
    labels: Any, keys: Keys, exclude_self: Any, pairs: Any, queries: int
) -> Relevance:
    if labels is None:
        return RelevanceUnknown(queries)
    own = None if exclude_self is None else _own_rows(keys, exclude_self, queries)
    if pairs is None:
        return RelevanceOfLabels(labels, keys.labels, keys.is_key, own)
    return RelevanceOfPairs(pairs, labels, keys.labels, keys.is_key, own)


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
    if not metrics:
        return values
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
    if (key_embeddings is None) != (key_labels is None) and labels is not None:
        raise ValueError(
            "`key_embeddings` and `key_labels` belong together: give both, or none."
        )
    if key_embeddings is not None:
        embeddings = check_embeddings(
            key_embeddings, name="key_embeddings", dim=embeddings.shape[1]
        )
        if not len(embeddings):
            raise ValueError("`key_embeddings` must hold at least one row.")
        if key_labels is not None:
            key_labels = check_labels_of(key_labels, "key_labels", len(embeddings), pairs)
        labels = key_labels
    measure = distances.get("cosine" if distance is None else distance)
    engine = engine_for(search, measure, embeddings.shape[1])
    return KeysOfArrays(embeddings, labels, engine)


def _own_rows(keys: Keys, exclude_self: Any, queries: int) -> Ints:
    ids = to_numpy(exclude_self)
    if ids.shape != (queries,):
        raise ValueError(
            f"`exclude_self` must hold one id a query, {queries} of them. Received: "
            f"exclude_self.shape={ids.shape}."
        )
    return keys.rows_of(ids)
