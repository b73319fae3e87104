"""Losses of triplets and ranks by loops over rows, in float64: what their papers say."""

import numpy as np


def unit(x):
    x = np.asarray(x, "float64")
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def triplets_of(labels, key_labels=None):
    """All `(anchor, positive, negative)`; a row is no positive of itself."""
    keys = labels if key_labels is None else key_labels
    return [
        (a, p, n)
        for a in range(len(labels))
        for p in range(len(keys))
        for n in range(len(keys))
        if labels[a] == keys[p] and labels[a] != keys[n]
        if key_labels is not None or a != p
    ]


def triplet_margin(cost, triplets, *, margin, swap=False, smooth=False):
    values = []
    for a, p, n in triplets:
        nearest = min(cost[a, n], cost[p, n]) if swap else cost[a, n]
        gap = cost[a, p] - nearest + margin
        values.append(np.logaddexp(0, gap) if smooth else max(gap, 0))
    return np.array(values)


def margin_loss(cost, labels, *, margin, beta):
    triplets = triplets_of(labels)
    pull = np.array([max(cost[a, p] - beta + margin, 0) for a, p, _ in triplets])
    push = np.array([max(beta - cost[a, n] + margin, 0) for a, _, n in triplets])
    return (pull + push).sum() / max((pull > 0).sum() + (push > 0).sum(), 1)


def angular(x, labels, *, alpha):
    t, u, x = np.tan(np.radians(alpha)) ** 2, unit(x), np.asarray(x, "float64")
    values = []
    for a in range(len(x)):
        others = [n for n in range(len(x)) if labels[n] != labels[a]]
        for p in range(len(x)):
            if labels[p] == labels[a] and p != a:
                gaps = [
                    4 * t * (u[a] + u[p]) @ x[n] - 2 * (1 + t) * u[a] @ u[p]
                    for n in others
                ]
                values.append(np.logaddexp.reduce([0.0, *gaps]))
    return np.mean(values) if values else 0.0


def fast_ap(x, labels, *, num_bins):
    squared = ((unit(x)[:, None] - unit(x)[None]) ** 2).sum(2)
    width, values = 4 / num_bins, []
    for i in range(len(x)):
        shares = [
            np.maximum(1 - np.abs(squared[i] - b * width) / width, 0)
            for b in range(num_bins + 1)
        ]
        is_same = (labels == labels[i]) & (np.arange(len(x)) != i)
        if not is_same.any():
            continue
        h_plus = np.array([s[is_same].sum() for s in shares])
        h_minus = np.array([s[labels != labels[i]].sum() for s in shares])
        ranked = np.cumsum(h_plus + h_minus)
        precision = sum(
            h * c / r
            for h, c, r in zip(h_plus, np.cumsum(h_plus), ranked, strict=True)
            if r > 0
        )
        values.append(1 - precision / is_same.sum())
    return np.mean(values) if values else 0.0


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def smooth_ap(x, labels, *, temperature):
    s, rows = unit(x) @ unit(x).T / temperature, range(len(x))
    values = []
    for i in rows:
        group = [j for j in rows if labels[j] == labels[i]]
        precisions = []
        for j in group:
            rank = 1 + sum(sigmoid(s[i, k] - s[i, j]) for k in rows if k != j)
            rank_plus = 1 + sum(sigmoid(s[i, k] - s[i, j]) for k in group if k != j)
            precisions.append(rank_plus / rank)
        values.append(1 - np.mean(precisions))
    return np.mean(values)


def pnp(x, labels, penalty, *, anneal):
    s, rows = unit(x) @ unit(x).T / anneal, range(len(x))
    values = []
    for i in rows:
        group = [j for j in rows if labels[j] == labels[i]]
        if len(group) > 1:
            negatives = [k for k in rows if labels[k] != labels[i]]
            before = [sum(sigmoid(s[i, k] - s[i, j]) for k in negatives) for j in group]
            values.append(np.mean([penalty(r) for r in before]))
    return np.mean(values) if values else 0.0


def shared_histogram(values, bins):
    """A value at `b + f` counts `1 - f` in bin `b` and `f` in the next."""
    found = np.zeros(bins + 1)
    for value in np.clip(values, 0, bins - 1):
        b = int(value)
        found[b] += 1 - (value - b)
        found[b + 1] += value - b
    return found[:bins]


def histogram(x, labels, *, bins):
    s = unit(x) @ unit(x).T
    triplets = triplets_of(labels)
    if not triplets:
        return 0.0
    densities = []
    for pairs in ([t[:2] for t in triplets], [t[::2] for t in triplets]):
        distinct = {tuple(sorted(pair)) for pair in pairs}
        values = [(s[i, j] + 1) * bins / 2 for i, j in distinct]
        densities.append(shared_histogram(values, bins + 1) / len(distinct))
    return (densities[1] * np.cumsum(densities[0])).sum()


def dynamic_soft_margin(gaps, memory, *, min_val, bins, momentum):
    """The loss, and the histogram that is remembered."""
    if not len(gaps):
        return 0.0, memory
    places = np.clip((gaps - min_val) * bins / (2 * abs(min_val)), 0, bins - 1)
    batch = shared_histogram(places, bins)
    momentum = momentum if memory.any() else 1.0
    memory = (1 - momentum) * memory + momentum * batch
    memory = memory / memory.sum()
    return (np.cumsum(memory)[places.astype(int)] * gaps).mean(), memory
