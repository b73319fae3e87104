"""The losses of PyTorch Metric Learning by loops over rows, in float64, without Keras."""

import numpy as np


def cosines(x, keys):
    x, keys = (unit(np.asarray(rows, "float64")) for rows in (x, keys))
    return x @ keys.T


def unit(x):
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length == 0, 1, length)


def log_sum_exp(values):
    """0 for nothing, as the peer has it."""
    values = np.asarray(values, "float64")
    if not values.size:
        return 0.0
    return values.max() + np.log(np.exp(values - values.max()).sum())


def mean(values):
    return np.mean(values) if len(values) else 0.0


def mean_above_0(values):
    return mean([value for value in values if value > 0])


def repeated(counts, i):
    """Columns of the pairs of row `i`, as often as they count."""
    return np.repeat(np.arange(counts.shape[1]), counts[i].astype(int))


def circle_paper(s, positive, negative, gamma, m):
    losses = []
    for i in range(len(s)):
        p, n = s[i, positive[i] > 0], s[i, negative[i] > 0]
        if not p.size or not n.size:
            losses.append(0.0)
            continue
        pull = -gamma * np.maximum(1 + m - p, 0) * (p - (1 - m))
        push = gamma * np.maximum(n + m, 0) * (n - m)
        losses.append(np.logaddexp(0, log_sum_exp(pull) + log_sum_exp(push)))
    return np.array(losses)


def generalized_lifted(cost, positive, negative, pos_margin, neg_margin):
    return np.array(
        [
            max(
                log_sum_exp(cost[i, positive[i] > 0] - pos_margin)
                + log_sum_exp(neg_margin - cost[i, negative[i] > 0]),
                0,
            )
            for i in range(len(cost))
        ]
    )


def intra_pair_variance(d, positive, negative, pos_eps, neg_eps, is_similarity):
    p = np.repeat(d.ravel(), positive.ravel().astype(int))
    n = np.repeat(d.ravel(), negative.ravel().astype(int))
    if is_similarity:
        p = np.maximum((1 - pos_eps) * mean(p) - p, 0) ** 2
        n = np.maximum(n - (1 + neg_eps) * mean(n), 0) ** 2
    else:
        p = np.maximum(p - (1 + pos_eps) * mean(p), 0) ** 2
        n = np.maximum((1 - neg_eps) * mean(n) - n, 0) ** 2
    return mean(p) + mean(n)


def lifted_structure(cost, positive, negative, pos_margin, neg_margin, has_keys):
    if not negative.any():
        return 0.0
    losses = []
    for a in range(len(cost)):
        for p in repeated(positive, a):
            near = [neg_margin - cost[a, n] for n in repeated(negative, a)]
            if has_keys:
                near += [neg_margin - cost[b, p] for b in repeated(negative.T, p)]
            else:
                near += [neg_margin - cost[p, n] for n in repeated(negative, p)]
            gap = log_sum_exp(near) + cost[a, p] - pos_margin
            losses.append(0.5 * max(gap, 0) ** 2)
    return mean(losses)


def nt_xent(cost, positive, negative, temperature):
    losses = []
    for a in range(len(cost)):
        n = -cost[a, repeated(negative, a)] / temperature
        for p in repeated(positive, a):
            own = -cost[a, p] / temperature
            losses.append(log_sum_exp([own, *n]) - own)
    return mean(losses)


def tuplet_margin(s, positive, negative, margin, scale):
    losses = []
    for a in range(len(s)):
        n = scale * s[a, repeated(negative, a)]
        for p in repeated(positive, a):
            own = scale * np.cos(np.arccos(np.clip(s[a, p], -1, 1)) - np.radians(margin))
            losses.append(log_sum_exp([0.0, *(n - own)]))
    return mean(losses)


def sup_con(cost, positive, negative, temperature):
    losses = []
    for i in range(len(cost)):
        s = -cost[i] / temperature
        p, n = s[positive[i] > 0], s[negative[i] > 0]
        is_used = p.size and negative.any()
        losses.append(log_sum_exp([*p, *n]) - p.mean() if is_used else 0.0)
    return np.array(losses)


def threshold_consistent(s, positive, negative, plus, minus, m_plus, m_minus):
    p = np.repeat(s.ravel(), positive.ravel().astype(int))
    n = np.repeat(s.ravel(), negative.ravel().astype(int))
    pull, push = m_plus - p[p <= m_plus], n[n >= m_minus] - m_minus
    return plus * mean(pull) + minus * mean(push)


def nca(cost, positive, negative, scale, weights):
    losses = []
    for i in range(len(cost)):
        p, n = positive[i] > 0, negative[i] > 0
        if p.any():
            every = log_sum_exp(-scale * cost[i, p | n])
            losses.append(weights[i] * (every - log_sum_exp(-scale * cost[i, p])))
    return mean(losses)


def n_pairs(cost, labels, positive):
    """Of the first positive pair of each class in the order of rows."""
    first = {}
    for a in range(len(cost)):
        for p in repeated(positive, a):
            first.setdefault(labels[a], (a, p))
    pairs = list(first.values())
    return mean(
        [
            log_sum_exp([-cost[a, other] for _, other in pairs]) + cost[a, p]
            for a, p in pairs
        ]
    )


def instance(s, labels, gamma):
    return mean(
        [
            log_sum_exp(gamma * s[i]) - gamma * s[i, labels == labels[i]].mean()
            for i in range(len(s))
        ]
    )


def ranked_list(d, positive, negative, margin, Tn, imbalance, alpha, Tp):
    losses = []
    for i in range(len(d)):
        inner = alpha - margin
        p = d[i, (positive[i] > 0) & (d[i] > max(0, inner))]
        n = d[i, (negative[i] > 0) & (d[i] > 0) & (d[i] < alpha)]
        w_p, w_n = np.exp(Tp * (p - inner)), np.exp(Tn * (alpha - n))
        rest = 1e-5 * d.shape[1]
        pull = (w_p * (p - inner)).sum() / (w_p.sum() + rest)
        push = (w_n * (alpha - n)).sum() / (w_n.sum() + rest)
        losses.append((1 - imbalance) * pull + imbalance * push)
    return np.array(losses)
