"""The losses by loops over rows, in float64, without Keras: what their papers say."""

import numpy as np


def cost_matrix(x, distance):
    """Cost `[N, N]`, smaller is closer, of a few distances."""
    x = np.asarray(x, "float64")
    if distance == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return 1 - x @ x.T
    if distance == "inner_product":
        return -x @ x.T
    difference = x[:, None] - x[None]
    if distance == "snr":
        return difference.var(-1) / x.var(-1)[:, None]
    return {
        "squared_euclidean": (difference**2).sum(-1),
        "euclidean": np.sqrt((difference**2).sum(-1)),
        "manhattan": np.abs(difference).sum(-1),
    }[distance]


def positives_and_negatives(labels, i):
    n = len(labels)
    positives = [j for j in range(n) if labels[j] == labels[i] and j != i]
    return positives, [j for j in range(n) if labels[j] != labels[i]]


def triplet_by_loops(labels, cost, *, positive, negative, margin):
    """Loss of each anchor; 0 for one without a positive or a negative."""
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives or not negatives:
            losses.append(0.0)
            continue
        to_positives, to_negatives = cost[i, positives], cost[i, negatives]
        p = max(to_positives) if positive == "hard" else min(to_positives)
        beyond = [c for c in to_negatives if c > max(to_positives)]
        n = {
            "hard": min(to_negatives),
            "easy": max(to_negatives),
            "semi-hard": min(beyond) if beyond else max(to_negatives),
        }[negative]
        gap = p - n
        losses.append(np.logaddexp(0, gap) if margin is None else max(gap + margin, 0))
    return np.array(losses)


def multi_similarity_by_loops(labels, cost, *, alpha, beta, epsilon, lmda, center):
    """Loss of each anchor; 0 for one whose mining leaves no positive or no negative."""
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if epsilon is not None:
            if not positives or not negatives:
                losses.append(0.0)
                continue
            nearest, farthest = min(cost[i, negatives]), max(cost[i, positives])
            positives = [j for j in positives if cost[i, j] > nearest - epsilon]
            negatives = [j for j in negatives if cost[i, j] < farthest + epsilon]
            if not positives or not negatives:
                losses.append(0.0)
                continue
        attraction = sum(np.exp(alpha * (cost[i, j] + lmda - center)) for j in positives)
        repulsion = sum(np.exp(-beta * (cost[i, j] + lmda - center)) for j in negatives)
        losses.append(np.log1p(attraction) / alpha + np.log1p(repulsion) / beta)
    return np.array(losses)


def circle_by_loops(labels, cost, *, gamma, margin):
    """TensorFlow Similarity's; 0 for an anchor without a positive or a negative."""
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives or not negatives:
            losses.append(0.0)
            continue
        p, n = cost[i, positives], cost[i, negatives]
        pull = gamma * np.maximum(margin + p, 0) * (p - margin)
        push = gamma * np.maximum(1 + margin - n, 0) * (1 - margin - n)
        losses.append(
            np.logaddexp.reduce([0.0, *pull]) + np.logaddexp.reduce([0.0, *push])
        )
    return np.array(losses)
