"""Metrics with their intervals, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.backend import import_optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOUR = "#1b6ca8"


def draw_evaluation(
    rows: Sequence[Mapping[str, Any]],
    summary: str,
    *,
    title: str,
    center: float | None = None,
) -> Figure:
    """Draws a dot for each value and a line for its interval.

    Args:
        rows: `metric`, `value`, `low`, `high`.
        summary: What the numbers are about, below.
        title: Title of the figure.
        center: Where to draw a line of reference; `None` for none, and an axis from 0
            to 1 if that holds all values.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    module = import_optional("matplotlib.figure", extra="viz", needed_by="plot")
    figure = module.Figure(figsize=(7.5, 1.6 + 0.42 * len(rows)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        axes.plot([row["low"], row["high"]], [place, place], color=_COLOUR, linewidth=2.5)
        axes.plot([row["value"]], [place], "o", color="black", markersize=5)
        axes.annotate(
            f"{row['value']:.3f}",
            (row["value"], place),
            textcoords="offset points",
            xytext=(0, 7),
            ha="center",
            fontsize=8,
        )
    if center is not None:
        axes.axvline(center, color="#888888", linewidth=1.0, linestyle="dashed")
    elif all(0 <= row["value"] <= 1 for row in rows):
        axes.set_xlim(-0.02, 1.02)
    axes.set_yticks(places, [row["metric"] for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(summary, fontsize=8)
    return figure
