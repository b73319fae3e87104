"""PyTorch Metric Learning's `AccuracyCalculator`, over `evaluate`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.distances import Distance
from keras_similarity.evaluators.clusters import CLUSTERING, clustering_metrics
from keras_similarity.evaluators.evaluate import evaluate
from keras_similarity.evaluators.evaluation import Evaluation
from keras_similarity.search import Search
from keras_similarity.types import Floats

logger = logging.getLogger(__name__)

_RETRIEVAL = (
    "mean_average_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
    "precision_at_1",
    "r_precision",
)
_METRICS = (*CLUSTERING, *_RETRIEVAL)
_AT_R = ("mean_average_precision_at_r", "r_precision")


class AccuracyCalculator:
    """PyTorch Metric Learning's metrics by its names, from its arguments.

    A thin view of `evaluate`, which says more: intervals, results by class and group,
    any index. Values are PyTorch Metric Learning's, but that labels stay integers
    (it makes them float32, in which ids from 2**24 collide), that a query is subtracted
    from what is relevant to it only if `label_comparison_fn` matches it with itself, and
    that `mean_reciprocal_rank` may be asked for alone.

    Args:
        include: Metrics to compute, some of `"AMI"`, `"NMI"`, `"mean_average_precision"`,
            `"mean_average_precision_at_r"`, `"mean_reciprocal_rank"`,
            `"precision_at_1"`, `"r_precision"`; all of them if empty.
        exclude: Metrics to leave out.
        avg_of_avgs: Average over classes of the averages within each?
        return_per_class: Give a list, the average of each class with something relevant,
            by label? Not together with `avg_of_avgs`.
        k: How many neighbours count: a number, `"max_bin_count"` (the largest class
            among the references, less the query itself), or `None` for all references,
            which takes time and memory for all pairs.
        label_comparison_fn: `fn(query_labels, labels)` gives bools, whether labels match,
            of NumPy arrays that broadcast: `[q, 1, ...]` and `[1, M, ...]`. Equality by
            default. Not with `"AMI"` or `"NMI"`.
        device: Not used: neighbours are found on the CPU.
        knn_func: Engine that finds the neighbours, as `search` of `evaluate`, where
            PyTorch Metric Learning takes a function. `None` is an exact search.
        kmeans_func: `fn(embeddings, clusters)` gives the cluster of each row, for
            `"AMI"` and `"NMI"`; faiss' k-means by default.
        distance: How embeddings are compared: a `Distance` or its name.

    Raises:
        ValueError: If a metric is not known, or arguments contradict each other.
        TypeError: If `include` or `exclude` is no list or tuple.

    Example:
        >>> from keras_similarity.evaluators import AccuracyCalculator
        >>> calculator = AccuracyCalculator(include=("precision_at_1", "r_precision"))
        >>> calculator.get_accuracy([[0.0], [0.1], [0.3], [0.9], [0.8]], [1, 1, 1, 2, 2])
        {'precision_at_1': 1.0, 'r_precision': 1.0}
    """

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        avg_of_avgs: bool = False,
        return_per_class: bool = False,
        k: int | str | None = None,
        label_comparison_fn: Callable[[Any, Any], Any] | None = None,
        device: Any = None,
        knn_func: Search | str | Mapping[str, Any] | None = None,
        kmeans_func: Callable[[Floats, int], Any] | None = None,
        *,
        distance: Distance | str = "euclidean",
    ) -> None:
        if avg_of_avgs and return_per_class:
            raise ValueError(
                "`avg_of_avgs` and `return_per_class` exclude each other. Received: both."
            )
        is_number = isinstance(k, int) and not isinstance(k, bool) and k > 0
        if not is_number and k not in (None, "max_bin_count"):
            raise ValueError(
                "`k` must be an integer greater than 0, None or 'max_bin_count'. "
                f"Received: {k!r}."
            )
        self.metrics = _chosen(_METRICS, include, exclude)
        if label_comparison_fn is not None and set(self.metrics) & set(CLUSTERING):
            raise NotImplementedError(
                "`label_comparison_fn` says nothing about clusters: exclude 'AMI' and "
                f"'NMI'. Received: {', '.join(self.metrics)}."
            )
        self.avg_of_avgs = avg_of_avgs
        self.return_per_class = return_per_class
        self.k = k
        self.label_comparison_fn = label_comparison_fn
        self.device = device
        self.knn_func = knn_func
        self.kmeans_func = kmeans_func
        self.distance = distance

    def get_accuracy(
        self,
        query: Any,
        query_labels: Any,
        reference: Any = None,
        reference_labels: Any = None,
        ref_includes_query: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Metrics of queries against references, or of a set against itself.

        Args:
            query: Embeddings `[Q, D]`.
            query_labels: Integers `[Q]`; with `label_comparison_fn` what it takes.
            reference: Embeddings `[M, D]`; `None` for the queries themselves.
            reference_labels: Labels of the references.
            ref_includes_query: Are the first references the queries themselves? Then
                none finds itself.
            include: As the constructor's, of the metrics chosen there.
            exclude: The same.

        Returns:
            Name -> value; with `return_per_class` a list of the classes' values. NaN
            where nothing is relevant to any query.

        Raises:
            ValueError: If shapes do not fit, or the first references are not the queries.
        """
        names = _chosen(self.metrics, include, exclude)
        found: dict[str, Any] = {}
        clustering = [name for name in names if name in CLUSTERING]
        if clustering:
            found |= clustering_metrics(clustering, query, query_labels, self.kmeans_func)
        retrieval = [name for name in names if name in _RETRIEVAL]
        if retrieval:
            if reference is None:
                reference, reference_labels = query, query_labels
                ref_includes_query = True
            result = self._evaluate(
                retrieval, query, query_labels, reference, reference_labels,
                ref_includes_query,
            )  # fmt: skip
            found |= self._averaged(result, to_numpy(query_labels))
        return {name: found[name] for name in names}

    def _evaluate(
        self,
        names: Sequence[str],
        query: Any,
        query_labels: Any,
        reference: Any,
        reference_labels: Any,
        ref_includes_query: bool,
    ) -> Evaluation:
        query = check_embeddings(query, name="query")
        reference = check_embeddings(reference, name="reference", dim=query.shape[1])
        query_labels, reference_labels = (
            to_numpy(query_labels),
            to_numpy(reference_labels),
        )
        if (len(query), len(reference)) != (len(query_labels), len(reference_labels)):
            raise ValueError(
                "Embeddings and labels must have the same length. Received: query "
                f"{len(query)} and {len(query_labels)}, reference {len(reference)} and "
                f"{len(reference_labels)}."
            )
        own = None
        if ref_includes_query:
            _check_included(query, query_labels, reference, reference_labels)
            own = np.arange(len(query))
        match = self.label_comparison_fn
        k = len(reference) - bool(ref_includes_query) if self.k is None else self.k
        result = evaluate(
            query,
            query_labels,
            names,
            key_embeddings=reference,
            key_labels=reference_labels,
            exclude_self=own,
            distance=self.distance,
            search="linear" if self.knn_func is None else self.knn_func,
            k=None if isinstance(k, str) else max(k, 1),
            pairs=None if match is None else _comparison(match),
        )
        largest = int(result.relevant.max(initial=0))
        if isinstance(self.k, int) and self.k < largest and set(names) & set(_AT_R):
            logger.warning(
                "k=%d is less than the %d relevant references of some query, so that "
                "r_precision and mean_average_precision_at_r depend on it. Use "
                "k='max_bin_count'.",
                self.k,
                largest,
            )
        return result

    def _averaged(self, result: Evaluation, labels: Any) -> dict[str, Any]:
        """Name -> mean of each metric, or list of means of the classes."""
        if not (self.avg_of_avgs or self.return_per_class):
            return dict(result)
        is_known = result.relevant > 0
        # Labels may have several columns.
        classes, of = np.unique(labels, axis=0, return_inverse=True)
        if not is_known.any():
            nothing = [math.nan] * len(classes) if self.return_per_class else math.nan
            return dict.fromkeys(result, nothing)
        of = np.unique(of.ravel()[is_known], return_inverse=True)[1]
        found: dict[str, Any] = {}
        for name in result:
            values = result.per_query(name)[is_known]
            means = np.bincount(of, values) / np.bincount(of)
            found[name] = means.tolist() if self.return_per_class else float(means.mean())
        return found


def _comparison(match: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`pairs` of `evaluate`, from a function of labels that broadcast."""

    def pairs(labels: Any, key_labels: Any) -> Any:
        return to_numpy(match(labels[:, None], key_labels[None])).astype(bool)

    return pairs


def _chosen(
    known: Sequence[str], include: Sequence[str], exclude: Sequence[str]
) -> tuple[str, ...]:
    """Those of `known` that are included, or all, and not excluded."""
    for name, given in (("include", include), ("exclude", exclude)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(f"`{name}` must be a tuple or a list. Received: {given!r}.")
        if not set(given) <= set(known):
            raise ValueError(
                f"`{name}` must hold some of {', '.join(known)}. Received: {given!r}."
            )
    return tuple(n for n in known if n in (include or known) and n not in exclude)


def _check_included(query: Any, labels: Any, reference: Any, ref_labels: Any) -> None:
    first, first_labels = reference[: len(query)], ref_labels[: len(query)]
    if first.shape != query.shape or not (
        np.allclose(query, first) and np.array_equal(labels, first_labels)
    ):
        raise ValueError(
            "`reference` and `reference_labels` must begin with `query` and "
            "`query_labels` where `ref_includes_query`. Received: others."
        )
