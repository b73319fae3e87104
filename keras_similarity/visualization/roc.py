"""Accepted pairs by threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.set_metrics import ROCCurve
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.styles import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Decades of the false-accept rate that are shown at most.
_DECADES = 7


def plot_roc(
    curves: ROCCurve | Mapping[str, ROCCurve],
    *,
    thresholds: float | Mapping[str, float] | None = None,
    title: str = "True accepts by false accepts",
    show: bool = False,
) -> Figure:
    """Draws ROC curves of pairs, the false-accept rate in powers of 10.

    A verification works at false-accept rates of a thousandth and less, which a linear
    axis hides. Each curve starts at its smallest false-accept rate above 0; what can be
    had at none is its height there, or less.

    Args:
        curves: What `set_metrics.roc_curve` returned, or name -> such a curve.
        thresholds: A chosen threshold to mark, or name -> that of each curve.
        title: Title of the figure.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("roc.png")` saves it.

    Raises:
        ValueError: If there is no curve.

    Example:
        >>> from keras_similarity.set_metrics import roc_curve
        >>> from keras_similarity.visualization import plot_roc
        >>> curve = roc_curve([[0.0], [1.0], [3.0]], [0, 0, 1], "euclidean")
        >>> figure = plot_roc({"my model": curve}, thresholds={"my model": 1.5})
    """
    named = {"": curves} if isinstance(curves, ROCCurve) else dict(curves)
    if not named:
        raise ValueError("`curves` must hold at least one curve. Received: none.")
    if not isinstance(thresholds, Mapping):
        thresholds = {} if thresholds is None else dict.fromkeys(named, thresholds)
    figure = new_figure("plot_roc", show=show, size=(7.5, 5.0))
    axes = figure.subplots()
    smallest = min(_smallest_rate(curve) for curve in named.values())
    lowest = max(smallest, 10.0**-_DECADES)
    axes.plot(*[np.geomspace(lowest, 1, 200)] * 2, color="#888888", linewidth=1.0)
    axes.annotate("chance", (0.35, 0.3), color="#555555", fontsize=8, ha="left", va="top")
    for index, (name, curve) in enumerate(named.items()):
        _draw_curve(axes, curve, name, index, lowest)
        if name in thresholds:
            _mark_threshold(axes, curve, float(thresholds[name]), index, lowest)
    axes.set_xscale("log")
    axes.set_xlim(lowest, 1.0)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("false-accept rate (share of the negative pairs accepted)")
    axes.set_ylabel("true-accept rate (share of the positive pairs)")
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=11)
    if axes.get_legend_handles_labels()[1]:
        # Outside, where no curve can run through it.
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    show_figure("plot_roc", show=show)
    return figure


def _smallest_rate(curve: ROCCurve) -> float:
    rates = curve.false_accept_rate
    return float(rates[rates > 0].min(initial=1.0))


def _draw_curve(
    axes: Axes, curve: ROCCurve, name: str, index: int, lowest: float
) -> None:
    # A pixel's width apart is enough, and markers at even gaps of the drawn axis.
    places = np.geomspace(lowest, 1.0, 600)
    rows = np.searchsorted(curve.false_accept_rate, places, side="right") - 1
    heights = np.where(rows < 0, 0.0, curve.true_accept_rate[np.maximum(rows, 0)])
    axes.plot(
        places,
        heights,
        label=name or None,
        drawstyle="steps-post",
        markevery=(20 + 15 * index, 80),
        markersize=5,
        linewidth=1.8,
        **line_style(index),
    )


def _mark_threshold(
    axes: Axes, curve: ROCCurve, threshold: float, index: int, lowest: float
) -> None:
    is_accepted = (
        curve.thresholds >= threshold
        if curve.is_similarity
        else curve.thresholds <= threshold
    )
    row = int(is_accepted.sum()) - 1
    far = float(curve.false_accept_rate[row]) if row >= 0 else 0.0
    tar = float(curve.true_accept_rate[row]) if row >= 0 else 0.0
    mark: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 2.0}
    axes.plot(
        max(far, lowest),
        tar,
        marker="*",
        markersize=15,
        linestyle="none",
        markeredgecolor=line_style(index)["color"],
        label=f"threshold {threshold:.4g}: FAR {far:.2g}, TAR {tar:.3f}",
        clip_on=False,
        zorder=5,
        **mark,
    )
