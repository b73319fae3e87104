"""Retrieval metrics query by query, in plain Python, for tests to compare with."""

import math

import numpy as np

NAN = float("nan")


def neighbours(query, keys, own=None):
    """Keys by Euclidean distance in float64, ties by row, without one of them."""
    distances = np.sqrt(((keys.astype("float64") - query) ** 2).sum(axis=1))
    order = np.lexsort((np.arange(len(keys)), distances)).tolist()
    return [row for row in order if row != own]


def metrics_of(row, relevant, k):
    """Name -> value of one query.

    Args:
        row: Is the neighbour relevant, nearest first, for all keys?
        relevant: How many there are.
        k: How many count for metrics without a cut-off.
    """
    if not relevant:
        return dict.fromkeys(NAMES, NAN)
    precision = [sum(row[: i + 1]) / (i + 1) for i in range(len(row))]
    first = next((i for i in range(min(k, len(row))) if row[i]), None)

    def summed(end, by):
        return sum(precision[i] for i in range(min(end, len(row))) if row[i]) / by

    def gain(flags):
        return sum(flag / math.log2(i + 2) for i, flag in enumerate(flags))

    r = min(relevant, k)
    ideal = gain(sorted(row[:5], reverse=True))
    return {
        "precision_at_1": float(row[0]),
        "precision@5": sum(row[:5]) / 5,
        "r_precision": sum(row[:r]) / r,
        "mean_average_precision_at_r": summed(r, relevant),
        "mean_average_precision": summed(k, relevant),
        "mean_average_precision@3": summed(3, relevant),
        "map@5": summed(5, 5),
        "mean_reciprocal_rank": 0.0 if first is None else 1 / (first + 1),
        "recall@5": float(any(row[:5])),
        "cmc@2": float(any(row[:2])),
        "true_recall@5": sum(row[:5]) / relevant,
        "bndcg@5": gain(row[:5]) / ideal if ideal else 0.0,
        "graded_ndcg@5": gain(row[:5]) / gain([1] * min(relevant, 5)),
    }


NAMES = [
    "precision_at_1",
    "precision@5",
    "r_precision",
    "mean_average_precision_at_r",
    "mean_average_precision",
    "mean_average_precision@3",
    "map@5",
    "mean_reciprocal_rank",
    "recall@5",
    "cmc@2",
    "true_recall@5",
    "bndcg@5",
    "graded_ndcg@5",
]


def by_loops(embeddings, labels, keys=None, key_labels=None, own=None, k=None):
    """Name -> values of the queries, of a set against itself or against keys."""
    if keys is None:
        keys, key_labels, own = embeddings, labels, range(len(labels))
    rows, relevant = [], []
    for i, query in enumerate(embeddings):
        left_out = None if own is None else own[i]
        order = neighbours(query.astype("float64"), keys, left_out)
        rows.append([bool(key_labels[j] == labels[i]) for j in order])
        relevant.append(sum(rows[-1]))
    k = max(relevant) if k is None else k
    found = [metrics_of(row, r, k) for row, r in zip(rows, relevant, strict=True)]
    return {name: np.array([each[name] for each in found]) for name in NAMES}
