"""Mutual information of classes and clusters, adjusted for chance."""

from __future__ import annotations

import numpy as np

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.clustering import ClusteringMetric, Contingency
from keras_similarity.types import Floats, Ints

# Terms of the expectation computed at once.
_TERMS = 2**21


@register("ami", "adjusted_mutual_info")
class AMI(ClusteringMetric):
    """AMI: `(I - E[I]) / (mean entropy - E[I])`; 0 is chance, 1 perfect.

    `I` is the mutual information of classes and clusters, `E[I]` what it is on average
    over all ways to deal the rows out to clusters of these sizes. As scikit-learn's
    `adjusted_mutual_info_score` has it, which says 1 for one class in one cluster. For
    weights that are not whole, sizes are rounded in `E[I]`. See `ClusteringMetric` for
    how clusters are found.

    Reference:
        [Vinh et al., 2010](https://jmlr.org/papers/v11/vinh10a.html)

    Example:
        >>> from keras_similarity.set_metrics import AMI
        >>> AMI(kmeans=lambda embeddings, clusters: [0, 0, 1, 1]).compute(
        ...     [[0.0], [0.1], [5.0], [5.1]], [3, 3, 8, 8]
        ... )
        1.0
    """

    default_name = "ami"

    def agreement(self, table: Contingency) -> Floats:
        expected = np.array(
            [
                expected_mutual_information(classes, clusters)
                for classes, clusters in zip(
                    _whole(table.class_weights),
                    _whole(table.cluster_weights),
                    strict=True,
                )
            ]
        )
        range_ = table.mean_entropy - expected
        # As scikit-learn: 0 / 0 must not be, nor must the sign change.
        smallest = np.finfo("float64").eps
        range_ = np.where(
            range_ < 0, np.minimum(range_, -smallest), np.maximum(range_, smallest)
        )
        return (table.mutual_information - expected) / range_


def expected_mutual_information(classes: Ints, clusters: Ints) -> float:
    """Mean mutual information, in nats, of two random partitions of given sizes.

    Args:
        classes: Sizes of the parts of one, whole.
        clusters: Sizes of the parts of the other.
    """
    total = int(max(classes.sum(), clusters.sum()))
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    # Parts of one size share their terms.
    a_sizes, a_counts = np.unique(classes[classes > 0], return_counts=True)
    b_sizes, b_counts = np.unique(clusters[clusters > 0], return_counts=True)
    a, b = (side.ravel() for side in np.meshgrid(a_sizes, b_sizes, indexing="ij"))
    times = np.outer(a_counts, b_counts).ravel()
    least, most = np.maximum(a + b - total, 1), np.minimum(a, b)
    ends = np.cumsum(most - least + 1)
    expected, start = 0.0, 0
    while start < len(ends):
        done = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, done + _TERMS, side="right")), start + 1)
        part = slice(start, end)
        expected += _terms(
            a[part], b[part], least[part], most[part], times[part], total, log_factorials
        )
        start = end
    return expected


def _terms(
    a: Ints,
    b: Ints,
    least: Ints,
    most: Ints,
    times: Ints,
    total: int,
    log_factorial: Floats,
) -> float:
    """Sum over pairs of sizes, and over how many rows each pair may share."""
    lengths = most - least + 1
    pair = np.repeat(np.arange(len(a)), lengths)
    first = np.cumsum(lengths) - lengths
    shared = np.arange(len(pair)) - first[pair] + least[pair]
    a, b, times = a[pair], b[pair], times[pair]
    # The hypergeometric probability that a class and a cluster share so many.
    logs = (
        log_factorial[a] + log_factorial[b]
        + log_factorial[total - a] + log_factorial[total - b]
        - log_factorial[total] - log_factorial[shared]
        - log_factorial[a - shared] - log_factorial[b - shared]
        - log_factorial[total - a - b + shared]
    )  # fmt: skip
    information = shared / total * np.log(total * shared / (a.astype("float64") * b))
    return float((times * information * np.exp(logs)).sum())


def _whole(weights: Floats) -> Ints:
    return np.round(weights).astype("int64")
