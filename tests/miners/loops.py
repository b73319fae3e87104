"""The miners by loops over rows, in float64, without Keras: what PML's reference says.

Each gives how often every pair counts, `[N, M]` for positives and for negatives.
"""

import math

import numpy as np


def euclidean(x, keys, *, normalize=True):
    """Distances `[N, M]`."""
    x, keys = np.asarray(x, "float64"), np.asarray(keys, "float64")
    if normalize:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    return np.sqrt(((x[:, None] - keys[None]) ** 2).sum(-1))


def cosine_cost(x, keys):
    """Minus the cosine."""
    x, keys = np.asarray(x, "float64"), np.asarray(keys, "float64")
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    return -x @ keys.T


def candidates(labels, key_labels=None):
    """Positives and negatives of each anchor, as lists."""
    is_self = key_labels is None
    key_labels = labels if is_self else key_labels
    columns = range(len(key_labels))
    positives = [
        [j for j in columns if key_labels[j] == label and not (is_self and i == j)]
        for i, label in enumerate(labels)
    ]
    negatives = [[j for j in columns if key_labels[j] != label] for label in labels]
    return positives, negatives


def of_pairs(shape, positive, negative):
    counts = np.zeros((2, *shape))
    for side, chosen in enumerate((positive, negative)):
        for i, j in chosen:
            counts[side, i, j] += 1
    return counts


def of_triplets(shape, triplets):
    return of_pairs(shape, [t[:2] for t in triplets], [(t[0], t[2]) for t in triplets])


def pair_margin(cost, positives, negatives, *, pos_margin, neg_margin):
    return of_pairs(
        cost.shape,
        [
            (i, j)
            for i, row in enumerate(positives)
            for j in row
            if cost[i, j] > pos_margin
        ],
        [
            (i, j)
            for i, row in enumerate(negatives)
            for j in row
            if cost[i, j] < neg_margin
        ],
    )


def multi_similarity(cost, positives, negatives, *, epsilon):
    kept = [[], []]
    for i, (ps, ns) in enumerate(zip(positives, negatives, strict=True)):
        if ps and ns:
            nearest, farthest = min(cost[i, ns]), max(cost[i, ps])
            kept[0] += [(i, j) for j in ps if cost[i, j] > nearest - epsilon]
            kept[1] += [(i, j) for j in ns if cost[i, j] < farthest + epsilon]
    return of_pairs(cost.shape, *kept)


def triplet_margin(cost, positives, negatives, *, margin, type_of_triplets):
    keeps = {
        "all": lambda gap: gap <= margin,
        "hard": lambda gap: gap <= margin and gap <= 0,
        "semihard": lambda gap: 0 < gap <= margin,
        "easy": lambda gap: gap > margin,
    }[type_of_triplets]
    return of_triplets(
        cost.shape,
        [
            (i, p, n)
            for i in range(len(cost))
            for p in positives[i]
            for n in negatives[i]
            if keeps(cost[i, n] - cost[i, p])
        ],
    )


def angular(x, keys, positives, negatives, *, angle):
    x, keys = np.asarray(x, "float64"), np.asarray(keys, "float64")
    triplets = []
    for i in range(len(x)):
        for p in positives[i]:
            for n in negatives[i]:
                base = np.linalg.norm(x[i] - keys[p])
                height = np.linalg.norm(keys[n] - (x[i] + keys[p]) / 2)
                if math.degrees(math.atan2(base, 2 * height)) > angle:
                    triplets.append((i, p, n))
    return of_triplets((len(x), len(keys)), triplets)


def batch_easy_hard(cost, positives, negatives, *, pos_strategy, neg_strategy):
    kept = [[], []]
    for i in range(len(cost)):
        ps, ns = positives[i], negatives[i]
        chosen = {"pos": ps, "neg": ns}
        order = ["neg", "pos"] if pos_strategy == "semihard" else ["pos", "neg"]
        for side in order:
            strategy = pos_strategy if side == "pos" else neg_strategy
            if strategy == "all":
                continue
            keys = sorted(chosen[side], key=lambda j: cost[i, j])
            if strategy == "semihard":
                other = chosen["pos" if side == "neg" else "neg"]
                if not other:
                    keys = []
                elif side == "neg":
                    keys = [j for j in keys if cost[i, j] > cost[i, other[0]]]
                else:
                    keys = [j for j in keys if cost[i, j] < cost[i, other[0]]]
            takes_nearest = (strategy == "easy") == (side == "pos")
            chosen[side] = keys[:1] if takes_nearest else keys[-1:]
        both = bool(chosen["pos"]) and bool(chosen["neg"])
        if "all" in (pos_strategy, neg_strategy) or both:
            kept[0] += [(i, j) for j in chosen["pos"]]
            kept[1] += [(i, j) for j in chosen["neg"]]
    return of_pairs(cost.shape, *kept)


def hdc(cost, positives, negatives, *, filter_percentage):
    kept = []
    for sign, rows in ((-1, positives), (1, negatives)):
        pairs = [(i, j) for i, row in enumerate(rows) for j in row]
        pairs.sort(key=lambda pair: sign * cost[pair])
        kept.append(pairs[: math.ceil(filter_percentage * len(pairs) - 1e-9)])
    return of_pairs(cost.shape, *kept)
