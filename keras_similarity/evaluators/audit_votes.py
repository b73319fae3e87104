"""Which labels the neighbours of each row vote for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_similarity.types import Floats, Ints

# Pairs of neighbours compared at once.
_PAIRS = 2**24


@dataclass(frozen=True)
class Votes:
    """Shares of the votes of each row's neighbours.

    Attributes:
        labels: Labels `[N, K]` of the neighbours.
        shares: Share `[N, K]` of the votes that goes to each neighbour's label.
        own: Share `[N]` that goes to the row's own label.
        best: The other label `[N]` with the most votes; the row's own if all are for it.
        best_share: Its share `[N]`.
    """

    labels: Ints
    shares: Floats
    own: Floats
    best: Ints
    best_share: Floats


def count_votes(labels: Ints, found: Ints, costs: Floats) -> Votes:
    """Votes of neighbours, nearer ones and those of small classes weighing more.

    Args:
        labels: Labels `[N]`.
        found: Rows `[N, K]` of the neighbours, nearest first.
        costs: Their costs `[N, K]`.
    """
    names, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.zeros(found.shape, "float32")
    own = np.zeros(len(labels))
    step = max(_PAIRS // max(found.shape[1] ** 2, 1), 1)
    for start in range(0, len(labels) if found.shape[1] else 0, step):
        part = slice(start, start + step)
        voters = place[found[part]]  # [n, K]
        is_own = voters == place[part, None]
        # Not by the size alone: one row of a class of its own would outvote many.
        weights = _nearness(costs[part]) / (sizes[voters] - is_own + found.shape[1])
        weights /= weights.sum(axis=1, keepdims=True)
        same = voters[:, :, None] == voters[:, None, :]
        shares[part] = np.einsum("nkl,nl->nk", same, weights)
        own[part] = (weights * is_own).sum(axis=1)
    found_labels = names[place[found]] if len(names) else found
    if found.shape[1] == 0:
        return Votes(found_labels, shares, own, labels, own)
    others = np.where(found_labels == labels[:, None], 0.0, shares)
    column = others.argmax(axis=1)[:, None]
    best_share = np.take_along_axis(others, column, 1)[:, 0]
    best = np.take_along_axis(found_labels, column, 1)[:, 0]
    return Votes(found_labels, shares, own, best, best_share)


def _nearness(costs: Floats) -> Floats:
    """Weights `[n, K]` from 1 for the nearest to 1/e for the farthest of each row."""
    gaps = (costs - costs[:, :1]).astype("float64")
    widths = gaps[:, -1:]
    return np.exp(-gaps / np.where(widths > 0, widths, 1.0))
