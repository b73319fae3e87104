"""How a batch of embeddings is doing, in a few numbers; NumPy only."""

from __future__ import annotations

import numpy as np

from keras_similarity.types import Floats, Ints


def effective_rank(rows: Floats) -> float:
    """How many directions rows `[N, D]` vary in: `exp` of the entropy of their shares.

    The shares are the singular values of the centred rows over their sum. From 1 (all on
    a line) to `min(N - 1, D)`; 0 if the rows are equal.

    Reference:
        [Roy and Vetterli, 2007](https://ieeexplore.ieee.org/document/7098875)
    """
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    total = values.sum()
    if not total > 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def squared_distances(unit_rows: Floats) -> Floats:
    """Squared distances `[N, N]`, from 0 to 4, of rows of length 1."""
    return np.maximum(2.0 - 2.0 * unit_rows @ unit_rows.T, 0.0)


def geometry(embeddings: Floats, labels: Ints | None) -> dict[str, float]:
    """What can be said of embeddings `[N, D]`, scaled to length 1, of two rows at least.

    Returns:
        `effective_rank`; `mean_distance`, the mean squared distance of two rows;
        `uniformity`, `log(mean(exp(-2 * squared distance)))`, 0 for one point and lower
        the more they spread; `spread`, the mean squared distance of two rows as they
        are, over their mean squared length; with labels also `alignment`, the mean
        squared distance of two rows of a class, and `nearest_right`, the share of rows
        with a positive whose nearest other row is of their class. Those two are left out
        where no row has a positive.

    Reference:
        [Wang and Isola, 2020](https://arxiv.org/abs/2005.10242)
    """
    given = np.asarray(embeddings, "float64")
    norms = np.linalg.norm(given, axis=1, keepdims=True)
    rows = given / np.where(norms == 0, 1.0, norms)
    distances = squared_distances(rows)
    is_other = ~np.eye(len(rows), dtype=bool)
    between = distances[is_other]
    signs = {
        "effective_rank": effective_rank(rows),
        "mean_distance": float(between.mean()),
        "uniformity": float(np.log(np.exp(-2.0 * between).mean())),
        "spread": _spread(given),
    }
    if labels is None:
        return signs
    is_positive = (labels[:, None] == labels) & is_other
    has_positive = is_positive.any(axis=1)
    if has_positive.any():
        signs["alignment"] = float(distances[is_positive].mean())
        nearest = np.where(is_other, distances, np.inf).argmin(axis=1)
        is_right = (labels == labels[nearest])[has_positive]
        signs["nearest_right"] = float(is_right.mean())
    return signs


def _spread(rows: Floats) -> float:
    """Mean squared distance of two rows over their mean squared length; 0 of zeros."""
    square = (rows**2).sum(axis=1).mean()
    variance = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean()
    return float(2.0 * variance * len(rows) / (len(rows) - 1) / square) if square else 0.0


def company(labels: Ints) -> dict[str, float]:
    """Whom the rows of a batch meet.

    Returns:
        `positives_per_row`, how many others are of a row's class, on average;
        `has_positive` and `has_negative`, the shares of rows with one at least.
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    own = counts[place.reshape(-1)]
    return {
        "positives_per_row": float((own - 1).mean()),
        "has_positive": float((own > 1).mean()),
        "has_negative": float((own < len(labels)).mean()),
    }


def mean_norm(embeddings: Floats) -> float:
    """Mean length of the rows."""
    return float(np.linalg.norm(np.asarray(embeddings, "float64"), axis=1).mean())
