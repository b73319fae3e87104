"""Metrics by distance threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.types import CalibrationResults
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.styles import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_calibration(
    calibration: CalibrationResults,
    cutpoint: str = "optimal",
    *,
    distance_name: str = "distance",
    title: str = "Precision and recall by distance threshold",
    show: bool = False,
) -> Figure:
    """Draws each metric of a calibration over the thresholds, the chosen one marked.

    Args:
        calibration: What `model.calibrate` returned.
        cutpoint: Name of the cutpoint to mark.
        distance_name: What the horizontal axis measures.
        title: Title of the figure.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("calibration.png")` saves it.

    Raises:
        ValueError: If the calibration has no such cutpoint.
    """
    if cutpoint not in calibration.cutpoints:
        raise ValueError(
            "`cutpoint` must be one of the calibration's cutpoints: "
            f"{', '.join(calibration.cutpoints)}. Received: cutpoint={cutpoint!r}."
        )
    chosen = calibration.cutpoints[cutpoint]
    metrics = [n for n in calibration.thresholds if n not in ("distance", "value")]
    thresholds = np.asarray(calibration.thresholds["distance"], dtype="float64")
    is_finite = np.isfinite(thresholds)  # Rows short of neighbours leave an infinity.

    figure = new_figure("plot_calibration", show=show, size=(7.5, 4.8))
    axes = figure.subplots()
    axes.axvline(float(chosen["distance"]), color="black", linewidth=1.0)
    for index, name in enumerate(metrics):
        values = np.asarray(calibration.thresholds[name], dtype="float64")
        _draw_metric(axes, thresholds[is_finite], values[is_finite], name, index)
        if name in chosen:
            _mark_cutpoint(axes, chosen, name, index)
    axes.set_xlabel(f"{distance_name} threshold")
    axes.set_ylabel("value of the metric")
    axes.set_ylim(-0.03, 1.05)
    axes.grid(alpha=0.3)
    axes.set_title(f"{title}\n{_describe(cutpoint, chosen, metrics)}", fontsize=10)
    # Outside, where no curve can run through it.
    figure.legend(loc="outside lower center", ncols=max(len(metrics), 1), frameon=False)
    show_figure("plot_calibration", show=show)
    return figure


def _draw_metric(
    axes: Axes, thresholds: np.ndarray, values: np.ndarray, name: str, index: int
) -> None:
    # About nine markers a line, shifted from line to line, so that they do not hide
    # each other where lines meet.
    step = max(len(thresholds) // 9, 1)
    axes.plot(
        thresholds,
        values,
        label=name,
        markevery=(index * step // 4 % max(len(thresholds), 1), step),
        markersize=5,
        linewidth=1.6,
        **line_style(index),
    )


def _mark_cutpoint(axes: Axes, chosen: Any, name: str, index: int) -> None:
    style = line_style(index)
    axes.plot(
        float(chosen["distance"]),
        float(chosen[name]),
        marker=style["marker"],
        markersize=10,
        markerfacecolor="white",
        markeredgecolor=style["color"],
        markeredgewidth=2.0,
        zorder=5,
    )


def _describe(cutpoint: str, chosen: Any, metrics: list[str]) -> str:
    values = ", ".join(f"{n} {float(chosen[n]):.3f}" for n in metrics if n in chosen)
    distance = float(chosen["distance"])
    return f"cutpoint {cutpoint!r}: distance {distance:.4g}, {values}"
