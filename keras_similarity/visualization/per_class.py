"""A value of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.styles import POSITIVE
from keras_similarity.visualization.text import ClassNames, class_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_per_class(
    values: Mapping[int, float],
    class_names: ClassNames = None,
    *,
    intervals: Mapping[int, tuple[float, float]] | None = None,
    max_classes: int = 25,
    lowest_first: bool = True,
    metric_name: str = "value",
    title: str | None = None,
    show: bool = False,
) -> Figure:
    """Draws a bar for each of the worst classes, and where all of them lie.

    Beside the bars a histogram shows the values of all classes; a dashed line in both is
    their mean.

    Args:
        values: Class id -> its value, e.g. its mean precision; NaN is left out.
        class_names: Names by class id or by position.
        intervals: Class id -> lower and upper end of an interval to draw over its bar.
        max_classes: So many classes get a bar, at least 1.
        lowest_first: Are the lowest values the worst?
        metric_name: What the values are.
        title: Title of the figure.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("classes.png")` saves it.

    Raises:
        ValueError: If no class has a value, or `max_classes` is less than 1.

    Example:
        >>> from keras_similarity.visualization import plot_per_class
        >>> figure = plot_per_class({0: 0.9, 1: 0.4}, ["cat", "dog"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['dog', 'cat']
    """
    labels = np.array([label for label, value in values.items() if not np.isnan(value)])
    if len(labels) == 0 or max_classes < 1:
        raise ValueError(
            "`values` must hold a number, and `max_classes` be at least 1. Received: "
            f"{len(labels)} numbers, max_classes={max_classes}."
        )
    heights = np.array([float(values[label]) for label in labels.tolist()])
    order = np.argsort(heights if lowest_first else -heights, kind="stable")
    shown = order[:max_classes]

    size = (8.0, 1.6 + max(0.24 * len(shown), 2.0))
    figure = new_figure("plot_per_class", show=show, size=size)
    bars, everyone = figure.subplots(1, 2, width_ratios=[3, 1])
    places = np.arange(len(shown))
    bars.barh(places, heights[shown], height=0.7, **POSITIVE)
    if intervals:
        _draw_intervals(bars, places, labels[shown], heights[shown], intervals)
    names = [class_text(int(label), class_names) for label in labels[shown]]
    bars.set_yticks(places, names, fontsize=8, parse_math=False)
    bars.set_ylim(len(shown) - 0.4, -0.6)
    bars.set_xlabel(metric_name)
    bars.set_xlim(min(0.0, float(heights.min())), _right_end(heights, intervals))
    bars.grid(axis="x", alpha=0.3)

    everyone.hist(heights, bins=20, orientation="horizontal", color="#888888")
    everyone.set_ylabel(metric_name)
    everyone.set_xlabel("classes")
    everyone.xaxis.get_major_locator().set_params(integer=True)
    everyone.set_title(f"all {len(heights):,}", fontsize=9)
    mean = float(heights.mean())
    line: dict[str, Any] = {"color": "black", "linestyle": "dashed", "linewidth": 1.2}
    bars.axvline(mean, **line)
    everyone.axhline(mean, **line)
    worst = f"the {len(shown)} worst" if len(shown) < len(heights) else "all"
    bars.set_title(f"{worst}; dashed: mean {mean:.3f}", fontsize=9)
    figure.suptitle(title or f"{metric_name} by class", fontsize=11)
    show_figure("plot_per_class", show=show)
    return figure


def _draw_intervals(axes: Any, places: Any, labels: Any, heights: Any, ends: Any) -> None:
    has_one = [label in ends for label in labels.tolist()]
    low, high = np.array([ends[label] for label in labels[has_one].tolist()]).T
    errors = np.maximum([heights[has_one] - low, high - heights[has_one]], 0.0)
    axes.errorbar(
        heights[has_one], places[has_one], xerr=errors, fmt="none", ecolor="black",
        elinewidth=1.0, capsize=2.5,
    )  # fmt: skip


def _right_end(heights: Any, intervals: Any) -> float:
    largest = max(
        [float(heights.max()), *[high for _, high in (intervals or {}).values()]]
    )
    return 1.02 if 0.5 < largest <= 1.0 else max(largest * 1.05, 1e-9)
