"""TensorFlow Similarity's losses by loops over rows, in float64, without Keras."""

import numpy as np

from tests.losses.loops import positives_and_negatives


def chosen_positive(cost, i, positives, strategy):
    choose = max if strategy == "hard" else min
    return choose(positives, key=lambda j: cost[i, j])


def chosen_negative(cost, i, positives, negatives, strategy):
    if strategy == "hard":
        return min(negatives, key=lambda j: cost[i, j])
    farthest = max(negatives, key=lambda j: cost[i, j])
    if strategy == "easy":
        return farthest
    beyond = [j for j in negatives if cost[i, j] > max(cost[i, positives])]
    return min(beyond, key=lambda j: cost[i, j]) if beyond else farthest


def pn_by_loops(labels, cost, *, positive, negative, margin):
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives or not negatives:
            losses.append(0.0)
            continue
        p = chosen_positive(cost, i, positives, positive)
        n = chosen_negative(cost, i, positives, negatives, negative)
        gap = cost[i, p] - min(cost[i, n], cost[p, n])
        losses.append(np.logaddexp(0, gap) if margin is None else max(gap + margin, 0))
    return np.array(losses)


def lifted_struct_by_loops(labels, cost, *, positive, margin):
    """With the costs of the positive in the second half, which the peer mixes up."""
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives or not negatives:
            losses.append(0.0)
            continue
        p = chosen_positive(cost, i, positives, positive)
        total = sum(
            np.exp(margin - cost[i, j]) + np.exp(margin - cost[p, j]) for j in negatives
        )
        losses.append((np.log1p(total) + cost[i, p]) / 2)
    return np.array(losses)


def soft_nearest_neighbor_by_loops(labels, cost, *, temperature):
    losses = []
    for i in range(len(labels)):
        positives, negatives = positives_and_negatives(labels, i)
        if not positives:
            losses.append(0.0)
            continue
        near = np.exp(-(cost[i] - min(cost[i, positives + negatives])) / temperature)
        share = sum(near[positives]) / sum(near[positives + negatives])
        losses.append(-np.log(1e-9 + share))
    return np.array(losses)


def loss_by_loops(loss, labels, cost):
    """What one of our losses of these classes should give."""
    name = type(loss).__name__
    if name == "SoftNearestNeighborLoss":
        return soft_nearest_neighbor_by_loops(labels, cost, temperature=loss.temperature)
    options = {"positive": loss.positive_mining_strategy, "margin": loss.margin}
    if name == "LiftedStructLoss":
        return lifted_struct_by_loops(labels, cost, **options)
    negative = loss.negative_mining_strategy
    return pn_by_loops(labels, cost, negative=negative, **options)
