"""Curves of pairs, and what is read off them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.set_metrics.pair_counts import PairCounts, count_pairs
from keras_similarity.set_metrics.rows import check_rows
from keras_similarity.types import Floats


@dataclass(frozen=True)
class ROCCurve:
    """Rates of accepted pairs by threshold.

    Attributes:
        thresholds: Distances `[T]`, the strictest first; a pair is accepted if it is as
            close as that, or closer.
        false_accept_rate: Share `[T]` of the negative pairs that are accepted.
        true_accept_rate: Share `[T]` of the positive pairs that are accepted.
        is_similarity: Are larger thresholds stricter?
    """

    thresholds: Floats
    false_accept_rate: Floats
    true_accept_rate: Floats
    is_similarity: bool = False


def roc_curve(
    embeddings: Any,
    labels: Any,
    distance: Distance | str = "cosine",
    *,
    key_embeddings: Any = None,
    key_labels: Any = None,
    pairs: Any = None,
) -> ROCCurve:
    """The ROC curve of all pairs, or of those given.

    Up to 2**22 pairs every distance that occurs is a threshold; above, the curve has a
    point for each of a million bins that holds a pair (see `count_pairs`).

    Args:
        embeddings: Floats `[N, D]`.
        labels: Integers `[N]`; a pair of equal labels is positive.
        distance: A `Distance` or its name.
        key_embeddings: Floats `[M, D]`; `None`: the set against itself.
        key_labels: Integers `[M]`.
        pairs: Rows of queries and rows of keys, `[P]` each; `None`: all pairs.

    Raises:
        ValueError, TypeError: If arguments do not fit, or there is no positive pair or
            no negative one.

    Example:
        >>> from keras_similarity.set_metrics import roc_curve
        >>> curve = roc_curve([[0.0], [1.0], [3.0]], [0, 0, 1], "euclidean")
        >>> curve.thresholds.tolist(), curve.true_accept_rate.tolist()
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
        >>> curve.false_accept_rate.tolist()
        [0.0, 0.5, 1.0]
    """
    rows = check_rows(embeddings, labels, distance, None, key_embeddings, key_labels)
    (counts,) = count_pairs(rows, pairs).counts()
    false_accepts, true_accepts = (rates[0] for rates in accept_rates(counts))
    if np.isnan(false_accepts[-1]) or np.isnan(true_accepts[-1]):
        raise ValueError(
            "`labels` must make a positive and a negative pair. Received: labels.shape="
            f"{rows.labels.shape}, of {len(np.unique(rows.labels))} classes."
        )
    is_used = (counts.positives[0] + counts.negatives[0]) > 0
    return ROCCurve(
        rows.distance.to_cost(counts.thresholds[is_used]),
        false_accepts[is_used],
        true_accepts[is_used],
        rows.distance.is_similarity,
    )


def accept_rates(counts: PairCounts) -> tuple[Floats, Floats]:
    """Shares `[r, T]` of negative and of positive pairs accepted at each threshold.

    NaN where there is no such pair.
    """
    return _shares(counts.negatives), _shares(counts.positives)


def area(counts: PairCounts) -> Floats:
    """Area `[r]` under the ROC curve: P(positive < negative) + P(equal) / 2."""
    false_accepts, true_accepts = accept_rates(counts)
    steps = np.diff(false_accepts, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(steps), 1)), true_accepts[:, :-1]], axis=1)
    return (steps * (before + true_accepts)).sum(axis=1) / 2


def equal_error(counts: PairCounts) -> Floats:
    """The error rate `[r]` where the curve meets FAR = 1 - TAR."""
    rates = accept_rates(counts)
    far, tar = (
        np.concatenate([np.zeros((len(rate), 1)), rate], axis=1) for rate in rates
    )
    excess = far + tar - 1.0  # Rises from -1 to 1.
    right = np.maximum((excess >= 0).argmax(axis=1), 1)[:, None]
    left_excess = np.take_along_axis(excess, right - 1, 1)
    right_excess = np.take_along_axis(excess, right, 1)
    share = left_excess / (left_excess - right_excess)
    left_far = np.take_along_axis(far, right - 1, 1)
    right_far = np.take_along_axis(far, right, 1)
    return (left_far + share * (right_far - left_far))[:, 0]


def true_accepts_at(counts: PairCounts, far: float) -> Floats:
    """The largest TAR `[r]` at a FAR of at most `far`; within a bin it is a line."""
    false_accepts, true_accepts = accept_rates(counts)
    if not counts.is_exact:
        curves = zip(false_accepts, true_accepts, strict=True)
        return np.array([np.interp(far, [0, *x], [0, *y]) for x, y in curves])
    # Sums of weights, divided, may miss a rate like 0.3 by a rounding.
    allowed = (false_accepts <= far * (1 + 1e-12)).sum(axis=1)
    before = np.concatenate([np.zeros((len(allowed), 1)), true_accepts], axis=1)
    return np.take_along_axis(before, allowed[:, None], 1)[:, 0]


def _shares(weights: Floats) -> Floats:
    sums = np.cumsum(weights, axis=1)
    with np.errstate(invalid="ignore"):
        return sums / sums[:, -1:]
