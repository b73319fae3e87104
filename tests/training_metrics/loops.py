"""Metrics in training, anchor by anchor in float64."""

import numpy as np

from tests.losses.loops import cost_matrix

AGGREGATES = {
    "mean": np.mean,
    "avg": np.mean,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
}


def metric_by_loops(metric, batches):
    """What a `DistanceMetric` of a distance that is its own cost gives for batches."""
    values = []
    for labels, embeddings in batches:
        values += anchor_values(metric, np.asarray(labels).reshape(-1), embeddings)
    return AGGREGATES[metric.aggregate](values) if values else 0.0


def anchor_values(metric, labels, embeddings):
    cost = cost_matrix(embeddings, metric.distance.name)
    is_positive = metric.anchor == "positive"
    strategy = getattr(metric, f"{metric.anchor}_mining_strategy")
    # The hard positive and the easy negative are the farthest.
    choose = max if is_positive == (strategy == "hard") else min
    found = []
    for anchor, label in enumerate(labels):
        costs = [
            cost[anchor, key]
            for key, other in enumerate(labels)
            if key != anchor and (other == label) == is_positive
        ]
        if costs:
            found.append(choose(costs))
    return found
