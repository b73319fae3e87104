"""A page of what an audit found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.evaluators import Audit
from keras_similarity.types import Ints
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.picture import draw_picture
from keras_similarity.visualization.text import ClassNames, class_text, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

# Cells of a row of the page, and rows of label errors.
_COLUMNS = 10
_ERROR_ROWS = 2
_EXAMPLES = 2


def plot_audit(
    audit: Audit,
    pictures: Sequence[Any],
    class_names: ClassNames = None,
    *,
    title: str | None = None,
    show: bool = False,
) -> Figure:
    """Draws the most suspicious rows of an audit on one page.

    Likely label errors with label and suggestion; duplicates side by side; examples of
    class pairs that can't be told apart, of each class those most like the other; and
    classes with one example. Of each kind the first are drawn, and all are counted.

    Args:
        audit: What `evaluators.audit` returned.
        pictures: Pictures `[N, H, W]`, `[N, H, W, 1]` or `[N, H, W, 3]` of the rows.
        class_names: Names by class id or by position.
        title: Title of the page.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("audit.png")` saves it.

    Raises:
        ValueError: If there are fewer pictures than rows.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.evaluators import audit
        >>> from keras_similarity.visualization import plot_audit
        >>> pictures = np.random.default_rng(0).random((9, 8, 8))
        >>> found = audit(pictures.reshape(9, -1), [0, 0, 0, 0, 1, 1, 1, 1, 2], k=3)
        >>> figure = plot_audit(found, pictures)
    """
    needed = len(audit.label_errors) + len(audit.singletons)
    if len(pictures) < needed:
        raise ValueError(
            f"`pictures` must hold a picture of each row, {needed} of them. Received: "
            f"{len(pictures)}."
        )

    def name(label: Any) -> str:
        return shorten(class_text(int(label), class_names), 12)

    sections = [
        _label_errors(audit, name),
        _duplicates(audit, name),
        _confusable(audit, name),
        _singletons(audit, name),
    ]
    heights = [0.45 + 1.5 * max(-(-len(cells) // _COLUMNS), 0.2) for _, cells in sections]
    figure = new_figure("plot_audit", show=show, size=(11.0, sum(heights) + 0.4))
    parts = figure.subfigures(len(sections), 1, height_ratios=heights, squeeze=False)
    for part, (heading, cells) in zip(parts[:, 0], sections, strict=True):
        _draw_section(part, heading, cells, pictures)
    if title:
        figure.suptitle(title, fontsize=12)
    show_figure("plot_audit", show=show)
    return figure


#: A row's picture, and what stands above it; `None` leaves the cell empty.
Cell = tuple[int, str] | None
Namer = Callable[[Any], str]


def _label_errors(audit: Audit, name: Namer) -> tuple[str, list[Cell]]:
    errors = audit.label_errors[audit.label_errors["score"] > 0.5]
    shown = errors.head(_ERROR_ROWS * _COLUMNS)
    cells: list[Cell] = [
        (int(row), f"is: {name(label)}\nlike: {name(suggested)}\n{score:.3f}")
        for row, label, suggested, score in shown[
            ["row", "label", "suggested", "score"]
        ].itertuples(index=False)
    ]
    return (
        f"Likely label errors: {len(errors):,} with a score above 0.5",
        cells,
    )


def _duplicates(audit: Audit, name: Namer) -> tuple[str, list[Cell]]:
    found = audit.duplicates
    has_sets = "set" in found.columns
    cells: list[Cell] = []
    for pair in found.head(_COLUMNS // 2).to_dict("records"):
        for side, label, origin in (
            ("row", "label", "set"),
            ("other", "other_label", "other_set"),
        ):
            where = f"\n{shorten(str(pair[origin]), 12)}" if has_sets else ""
            cells.append((pair[side], f"{name(pair[label])}{where}\nrow {pair[side]}"))
    across = ""
    if has_sets:
        count = int((found["set"] != found["other_set"]).sum())
        across = f", {count:,} of them across sets"
    return f"Near-duplicates: {len(found):,} pairs{across}", cells


def _confusable(audit: Audit, name: Namer) -> tuple[str, list[Cell]]:
    found = audit.confusable
    cells: list[Cell] = []
    width = 2 * _EXAMPLES + 1  # Two of each class, and a gap.
    for pair in found.head(_COLUMNS // width).to_dict("records"):
        sides = (pair["label"], pair["other"]), (pair["other"], pair["label"])
        for own, other in sides:
            for row in _examples(audit, own, other):
                cells.append((row, f"{name(own)}\n{pair['score']:.2f}"))
        cells += [None] * (-len(cells) % width)
    return (
        f"Classes that can hardly be told apart: {len(found):,} pairs",
        cells,
    )


def _examples(audit: Audit, label: int, other: int) -> list[int]:
    """Rows of a class: first those that look like the other one."""
    rows = audit.label_errors[audit.label_errors["label"] == label]
    is_like = (rows["suggested"] == other).to_numpy()
    order: Ints = np.argsort(~is_like, kind="stable")
    found = rows["row"].to_numpy()[order][:_EXAMPLES]
    alone = audit.singletons[audit.singletons["label"] == label]["row"].to_numpy()
    return [int(row) for row in (*found, *alone)][:_EXAMPLES]


def _singletons(audit: Audit, name: Namer) -> tuple[str, list[Cell]]:
    found = audit.singletons
    cells: list[Cell] = [
        (int(row), f"{name(label)}\nlike: {name(suggested)}")
        for row, label, suggested in found.head(_COLUMNS)[
            ["row", "label", "suggested"]
        ].itertuples(index=False)
    ]
    return f"Classes with one example: {len(found):,}", cells


def _draw_section(
    part: SubFigure, heading: str, cells: list[Cell], pictures: Sequence[Any]
) -> None:
    part.suptitle(heading, fontsize=10, x=0.01, ha="left", weight="bold")
    if not cells:
        part.text(0.02, 0.3, "none found", fontsize=9)
        return
    rows = -(-len(cells) // _COLUMNS)
    grid = part.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes, cell in zip(grid, [*cells, *[None] * len(grid)], strict=False):
        if cell is None:
            axes.set_axis_off()
            continue
        row, text = cell
        draw_picture(axes, pictures[row])
        axes.set_title(text, fontsize=7.5, pad=3, parse_math=False)
