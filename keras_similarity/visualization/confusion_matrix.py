"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.types import Floats, Ints
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.text import ClassNames, class_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Up to so many classes the cells hold their values; above, they would not be readable.
_MAX_ANNOTATED = 30
_MAX_TICKS = 60


def confusion_matrix(
    y_pred: Any,
    y_true: Any,
    normalize: bool = True,
    labels: ClassNames = None,
    title: str = "Confusion matrix",
    cmap: str = "Blues",
    show: bool = True,
    *,
    classes: Sequence[int] | None = None,
    no_match_label: int = -1,
) -> tuple[Axes, Floats]:
    """Draws the confusion matrix: a row a true class, a column a predicted one.

    Predictions of `no_match_label`, as `model.match` gives them, have a column of their
    own at the right, "no match", where there are any.

    Args:
        y_pred: Predicted class ids `[N]`.
        y_true: True class ids `[N]`, 0 or larger.
        normalize: Divide each row by its sum, so that it shows shares; a row without
            examples stays 0.
        labels: Names of the classes by class id or by position.
        title: Title of the figure.
        cmap: Colour map.
        show: Show the figure, in a window or a notebook.
        classes: The class ids to show, in this order; by default all from 0 to the
            largest. Examples of other true classes are left out; predictions of other
            classes are counted in a column "other".
        no_match_label: The prediction that stands for "no match".

    Returns:
        The axes, and the matrix `[C, C]`, or with more columns where there are
        predictions outside of `classes`: first "other", then "no match".

    Raises:
        ValueError: If the lengths differ, if there is nothing to show, or if a true
            class is negative.
    """
    y_true = check_labels(y_true, name="y_true")
    y_pred = check_labels(y_pred, name="y_pred", rows=len(y_true))
    rows = _shown_classes(y_true, y_pred, classes, no_match_label)
    is_shown = np.isin(y_true, rows)
    counts, extra = _count(y_true[is_shown], y_pred[is_shown], rows, no_match_label)
    accuracy = float(np.trace(counts) / counts.sum()) if counts.sum() else 0.0
    sums = counts.sum(axis=1, keepdims=True)
    matrix = counts / np.maximum(sums, 1.0) if normalize else counts

    row_names = [class_text(int(label), labels) for label in rows]
    height = 2.4 + min(max(0.3 * len(rows), 1.5), 12.0)
    figure = new_figure("confusion_matrix", show=show, size=(height + 1.2, height))
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap=cmap, vmin=0.0, vmax=1.0 if normalize else None)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label("share of the row" if normalize else "examples")
    if not normalize:
        bar.locator.set_params(integer=True)
        bar.update_ticks()
    _name_cells(axes, row_names, [*row_names, *extra])
    if len(rows) <= _MAX_ANNOTATED:
        _write_values(axes, matrix, normalize)
    axes.set_title(title)
    axes.set_ylabel("true class")
    axes.set_xlabel(
        f"predicted class\naccuracy={accuracy:0.4f}; misclass={1 - accuracy:0.4f}"
    )
    show_figure("confusion_matrix", show=show)
    return axes, matrix


def plot_confusion(
    y_pred: Any,
    y_true: Any,
    class_names: ClassNames = None,
    *,
    max_classes: int = 20,
    normalize: bool = True,
    no_match_label: int = -1,
    title: str | None = None,
    show: bool = False,
) -> Figure:
    """Draws the confusion matrix of the classes that are confused most.

    With 1,800 classes the whole matrix is a diagonal line; what goes wrong is in a few
    cells. Those of the commonest errors are shown, worst first: both classes that were
    taken for each other, side by side, then classes that found no match. What was taken
    for a class that is not shown is counted in a column "other".

    Args:
        y_pred: Predicted class ids `[N]`.
        y_true: True class ids `[N]`, 0 or larger.
        class_names: Names by class id or by position.
        max_classes: So many classes are shown, at least 1.
        normalize: Show shares of each row, or counts?
        no_match_label: The prediction that stands for "no match".
        title: Title of the figure; says by default how many classes are shown.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("confusion.png")` saves it.

    Raises:
        ValueError: If the lengths differ, if there is nothing to show, or if a true
            class is negative.

    Example:
        >>> from keras_similarity.visualization import plot_confusion
        >>> figure = plot_confusion([0, 1, 1, 2], [0, 1, 2, 2], max_classes=2)
        >>> figure.axes[0].get_title()
        'The 2 most confused of 3 classes'
    """
    if max_classes < 1:
        raise ValueError(
            f"`max_classes` must be at least 1. Received: max_classes={max_classes}."
        )
    y_true = check_labels(y_true, name="y_true")
    y_pred = check_labels(y_pred, name="y_pred", rows=len(y_true))
    classes = _most_confused(y_true, y_pred, max_classes, no_match_label)
    total = len(np.unique(y_true))
    which = f"{total} classes"
    if len(classes) < total:
        which = f"The {len(classes)} most confused of {total:,} classes"
    axes, _ = confusion_matrix(
        y_pred,
        y_true,
        normalize,
        class_names,
        which if title is None else title,
        show=show,
        classes=classes.tolist(),
        no_match_label=no_match_label,
    )
    return axes.figure


def _most_confused(y_true: Ints, y_pred: Ints, number: int, no_match: int) -> Ints:
    """Up to `number` classes: those of the commonest errors first, in pairs."""
    is_wrong = y_true != y_pred
    pairs, counts = np.unique(
        np.stack([y_true, y_pred], axis=1)[is_wrong], axis=0, return_counts=True
    )
    # A strict threshold makes so many missing matches that they would hide the others.
    order = np.lexsort((-counts, pairs[:, 1] == no_match))
    classes = [label for label in pairs[order].ravel().tolist() if label != no_match]
    ranked = dict.fromkeys([*classes, *np.unique(y_true).tolist()])
    return np.array(list(ranked)[:number], dtype="int64")


def _shown_classes(
    y_true: Ints, y_pred: Ints, classes: Sequence[int] | None, no_match_label: int
) -> Ints:
    if classes is not None:
        rows = check_labels(classes, name="classes")
        if len(np.unique(rows)) != len(rows):
            raise ValueError(
                f"`classes` must not repeat. Received: classes={list(classes)}."
            )
    else:
        predicted = y_pred[y_pred != no_match_label]
        largest = max([-1, *y_true.tolist(), *predicted.tolist()])
        rows = np.arange(largest + 1)
    if len(rows) == 0 or (len(y_true) and y_true.min() < 0):
        raise ValueError(
            "`y_true` must hold class ids of 0 and above, at least one. Received: "
            f"{len(y_true)} labels, the smallest {y_true.min() if len(y_true) else None}."
        )
    return rows


def _count(
    y_true: Ints, y_pred: Ints, rows: Ints, no_match_label: int
) -> tuple[Floats, list[str]]:
    """Counts `[C, C + extra columns]`, and the names of the extra columns."""
    order = np.argsort(rows)
    row = order[np.searchsorted(rows, y_true, sorter=order)]
    place = np.searchsorted(rows, y_pred, sorter=order)
    column = order[np.minimum(place, len(rows) - 1)]
    column = np.where(rows[column] == y_pred, column, len(rows))  # "other"
    column = np.where(y_pred == no_match_label, len(rows) + 1, column)
    counts = np.zeros((len(rows), len(rows) + 2))
    np.add.at(counts, (row, column), 1.0)
    extra = {len(rows): "other", len(rows) + 1: "no match"}
    used = [index for index in extra if counts[:, index].any()]
    kept = [*range(len(rows)), *used]
    return counts[:, kept], [extra[index] for index in used]


def _name_cells(axes: Axes, row_names: list[str], column_names: list[str]) -> None:
    step = -(-len(row_names) // _MAX_TICKS)
    size = 9 if len(row_names) <= 15 else 7
    # The columns beside the classes are always named.
    columns = sorted(
        {*range(0, len(row_names), step), *range(len(row_names), len(column_names))}
    )
    axes.set_yticks(range(0, len(row_names), step))
    axes.set_yticklabels(row_names[::step], fontsize=size, parse_math=False)
    axes.set_xticks(columns)
    names = [column_names[index] for index in columns]
    is_long = max(len(name) for name in names) > 2
    axes.set_xticklabels(
        names, fontsize=size, rotation=90 if is_long else 0, parse_math=False
    )
    if len(column_names) > len(row_names):
        axes.axvline(len(row_names) - 0.5, color="black", linewidth=1.0)


def _write_values(axes: Axes, matrix: Floats, normalize: bool) -> None:
    """Writes the cells that are not 0, dark on light and light on dark."""
    middle = (1.0 if normalize else float(matrix.max())) / 2.0
    size = 8 if len(matrix) <= 15 else 6
    for row, column in np.argwhere(matrix > 0):
        value = matrix[row, column]
        text = f"{value:.2f}".removeprefix("0") if normalize else f"{value:.0f}"
        color = "white" if value > middle else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
