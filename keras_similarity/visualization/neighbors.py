"""Queries beside their nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.types import Lookup
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.picture import draw_picture
from keras_similarity.visualization.text import (
    ClassNames,
    class_text,
    is_drawable,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Right and wrong differ in glyph, line and width, so that they read without colour.
_FRAMES: dict[str, dict[str, Any]] = {
    "query": {"color": "black", "linestyle": "solid", "linewidth": 1.0},
    "right": {"color": "#1b6ca8", "linestyle": "solid", "linewidth": 2.0},
    "wrong": {"color": "#b5321c", "linestyle": (0, (2, 1.5)), "linewidth": 3.0},
}
_GLYPHS = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}"}


def plot_neighbors(
    queries: Sequence[Any],
    labels: Any,
    lookups: Sequence[Sequence[Lookup]],
    class_names: ClassNames = None,
    *,
    threshold: float | None = None,
    is_similarity: bool = False,
    title: str | None = None,
    cmap: str = "gray",
    show: bool = False,
) -> Figure:
    """Draws one row a query: its picture, then its neighbours, nearest first.

    A neighbour of the query's class has a check mark and a solid frame, another one a
    cross and a dashed frame. Where a threshold is given, a bar between two neighbours
    says where the matches end. A line below the pictures explains the signs.

    Args:
        queries: Pictures `[Q, H, W]`, `[Q, H, W, 1]` or `[Q, H, W, 3]`.
        labels: Class ids `[Q]` of the queries.
        lookups: Their neighbours, as `model.lookup` gives them; each one's `data` must
            be its picture.
        class_names: Names by class id or by position.
        threshold: Distance up to which a neighbour counts as a match.
        is_similarity: Is a larger value closer, so that matches lie above `threshold`?
        title: Title of the figure.
        cmap: Colour map of grey pictures.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("neighbors.png")` saves it.

    Raises:
        ValueError: If there is no query, or if the arguments differ in length.
    """
    labels = check_labels(labels, rows=len(queries))
    if len(queries) == 0 or len(lookups) != len(queries):
        raise ValueError(
            "`queries` and `lookups` must have as many rows as each other, at least 1. "
            f"Received: {len(queries)} queries, {len(lookups)} lookups."
        )
    rows = [list(row) for row in lookups]
    columns = 1 + max(len(row) for row in rows)
    # Each picture has two lines of text above it, and the figure one below.
    size = (max(1.15 * columns, 6.0), 1.6 * len(rows) + (0.8 if title else 0.4))
    figure = new_figure("plot_neighbors", show=show, size=size)
    if threshold is not None:
        figure.get_layout_engine().set(w_pad=0.15)  # Room for the bars.
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for cells, picture, label, row in zip(grid, queries, labels, rows, strict=True):
        _draw_query(cells[0], picture, label, class_names, cmap)
        for axes, neighbor in zip(cells[1:], row, strict=False):
            draw_neighbor(axes, neighbor, label, class_names, cmap)
        for axes in cells[1 + len(row) :]:
            axes.set_axis_off()
        if threshold is not None:
            _draw_end_of_matches(cells, row, threshold, is_similarity)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.supxlabel(_key(threshold, is_similarity), fontsize=8)
    show_figure("plot_neighbors", show=show)
    return figure


def viz_neighbors_imgs(
    example: Any,
    example_class: int,
    neighbors: Sequence[Lookup],
    class_mapping: ClassNames = None,
    fig_size: tuple[float, float] = (24, 4),
    cmap: str = "viridis",
    show: bool = True,
) -> np.ndarray:
    """Draws one query and its neighbours in a row, as TensorFlow Similarity does.

    Args:
        example: Picture of the query.
        example_class: Its class id.
        neighbors: Its neighbours, as `single_lookup` gives them; each one's `data` must
            be its picture.
        class_mapping: Names by class id or by position.
        fig_size: Width and height in inches.
        cmap: Colour map of grey pictures; wrong neighbours have a red one.
        show: Show the figure, in a window or a notebook.

    Returns:
        The axes `[1 + K]` of the query and its neighbours.
    """
    figure = new_figure("viz_neighbors_imgs", show=show, size=fig_size)
    cells = figure.subplots(1, 1 + len(neighbors), squeeze=False)[0]
    _draw_query(cells[0], example, example_class, class_mapping, cmap)
    for axes, neighbor in zip(cells[1:], neighbors, strict=True):
        is_right = neighbor.label == example_class
        colors = cmap if is_right else "Reds"
        draw_neighbor(axes, neighbor, example_class, class_mapping, colors, digits=5)
    for axes in cells:
        axes.title.set_fontsize(12)
    show_figure("viz_neighbors_imgs", show=show)
    return cells


#: The name under which TensorFlow Similarity's users know it.
viz_neigbors_imgs = viz_neighbors_imgs


def draw_neighbor(
    axes: Axes,
    neighbor: Lookup,
    query_label: int,
    class_names: ClassNames,
    cmap: str,
    digits: int = 3,
) -> None:
    """Draws one neighbour, marked as of the query's class or not."""
    verdict = "right" if neighbor.label == query_label else "wrong"
    draw_picture(axes, neighbor.data, cmap=cmap)
    _draw_frame(axes, verdict)
    name = shorten(class_text(neighbor.label, class_names))
    text = f"{_mark(verdict)} {neighbor.distance:.{digits}f}\n{name}"
    axes.set_title(text, fontsize=8, pad=4, parse_math=False)


def _draw_query(
    axes: Axes, picture: Any, label: int, class_names: ClassNames, cmap: str
) -> None:
    draw_picture(axes, picture, cmap=cmap)
    _draw_frame(axes, "query")
    name = shorten(class_text(label, class_names))
    axes.set_title(f"query\n{name}", fontsize=8, pad=4, weight="bold", parse_math=False)


def _draw_frame(axes: Axes, kind: str) -> None:
    for spine in axes.spines.values():
        spine.set(**_FRAMES[kind])


def _draw_end_of_matches(
    cells: Any, row: Sequence[Lookup], threshold: float, is_similarity: bool
) -> None:
    """A bar on the right of the last cell that is a match; of the query, if none is."""
    matches = sum(
        neighbor.distance >= threshold
        if is_similarity
        else neighbor.distance <= threshold
        for neighbor in row
    )
    axes = cells[matches]
    (bar,) = axes.plot(
        [1.1, 1.1],
        [-0.05, 1.05],
        transform=axes.transAxes,
        color="black",
        linewidth=2.5,
        clip_on=False,
    )
    bar.set_in_layout(False)  # Or columns with a bar would be farther apart.


def _key(threshold: float | None, is_similarity: bool) -> str:
    """What the signs mean, in one line."""
    right, wrong = (_mark(verdict) for verdict in ("right", "wrong"))
    key = f"{right}, solid frame: same class    {wrong}, dashed frame: another class"
    if threshold is None:
        return key
    sign = ">=" if is_similarity else "<="
    return f"{key}    bar: end of the matches (distance {sign} {threshold:.3g})"


def _mark(verdict: str) -> str:
    return _GLYPHS[verdict] if is_drawable(_GLYPHS[verdict]) else verdict
