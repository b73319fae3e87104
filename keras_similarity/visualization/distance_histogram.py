"""Distances of positive and of negative pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.set_metrics.pair_counts import count_pairs
from keras_similarity.set_metrics.rows import check_rows
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.styles import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Bars, and the share of pairs at either end that may lie outside of them.
_BARS = 80
_OUTSIDE = 1e-4


def plot_distances(
    embeddings: Any,
    labels: Any,
    distance: Distance | str = "cosine",
    *,
    key_embeddings: Any = None,
    key_labels: Any = None,
    threshold: float | None = None,
    title: str = "Distances of pairs",
    show: bool = False,
) -> Figure:
    """Draws histograms of the distances of positive and of negative pairs.

    All pairs count, in bounded memory; each histogram has the area 1, for there are many
    times as many negative pairs. The farthest 0.01 % of either kind may lie outside.

    Args:
        embeddings: Floats `[N, D]`.
        labels: Integers `[N]`.
        distance: A `Distance` or its name.
        key_embeddings: Floats `[M, D]`; `None`: the set against itself.
        key_labels: Integers `[M]`.
        threshold: A threshold to mark; the shares accepted at it are written.
        title: Title of the figure.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("distances.png")` saves it.

    Raises:
        ValueError, TypeError: If arguments do not fit, or there is no positive pair or
            no negative one.

    Example:
        >>> from keras_similarity.visualization import plot_distances
        >>> points, labels = [[0.0], [1.0], [3.0], [5.5]], [0, 0, 1, 1]
        >>> figure = plot_distances(points, labels, "euclidean", threshold=2.7)
    """
    rows = check_rows(embeddings, labels, distance, None, key_embeddings, key_labels)
    (counts,) = count_pairs(rows).counts()
    sides = counts.positives[0], counts.negatives[0]
    if not all(side.any() for side in sides):
        raise ValueError(
            "`labels` must make a positive and a negative pair. Received: labels.shape="
            f"{rows.labels.shape}, of {len(np.unique(rows.labels))} classes."
        )
    values = rows.distance.to_cost(counts.thresholds)
    ends = [_inner_ends(values, side) for side in sides]
    edges = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), _BARS)

    figure = new_figure("plot_distances", show=show, size=(7.5, 4.6))
    axes = figure.subplots()
    looks = {"positive": POSITIVE, "negative": NEGATIVE}
    for (name, look), side in zip(looks.items(), sides, strict=True):
        is_used = side > 0
        heights, _ = np.histogram(values[is_used], edges, weights=side[is_used])
        heights = heights / side.sum() / np.diff(edges)
        label = f"{name}: {side.sum():,.0f} pairs"
        axes.stairs(heights, edges, fill=True, alpha=0.35, label=label, **look)
        axes.stairs(heights, edges, color=look["color"], linewidth=1.5)
    if threshold is not None:
        _mark_threshold(axes, values, sides, threshold, rows.distance)
    axes.set_xlabel(f"distance of a pair ({rows.distance.name})")
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    show_figure("plot_distances", show=show)
    return figure


def _inner_ends(values: Any, weights: Any) -> tuple[float, float]:
    """Ends between which nearly all of the weight lies."""
    is_used = weights > 0
    order = np.argsort(values[is_used])
    ordered, shares = values[is_used][order], np.cumsum(weights[is_used][order])
    shares /= shares[-1]
    places = np.searchsorted(shares, [_OUTSIDE, 1 - _OUTSIDE]).clip(max=len(ordered) - 1)
    low, high = (float(end) for end in ordered[places])
    return low, high if high > low else low + max(abs(low), 1.0) * 1e-3


def _mark_threshold(
    axes: Any, values: Any, sides: Any, threshold: float, distance: Distance
) -> None:
    is_accepted = values >= threshold if distance.is_similarity else values <= threshold
    tar, far = (side[is_accepted].sum() / side.sum() for side in sides)
    axes.axvline(
        threshold,
        color="black",
        linewidth=1.5,
        label=f"threshold {threshold:.4g}: TAR {tar:.3f}, FAR {far:.2g}",
    )
