"""Embeddings in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.arrays import check_embeddings, check_labels
from keras_similarity.backend import import_optional
from keras_similarity.types import Floats, Ints
from keras_similarity.visualization.figure import new_figure, show_figure
from keras_similarity.visualization.text import ClassNames, class_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# One shape a class, so that classes read without colour.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
_COLORS = ("#1b6ca8", "#b5321c", "#2e7d4f", "#7a4ea3", "#b8860b", "#444444")


def plot_projection(
    embeddings: Any,
    labels: Any,
    class_names: ClassNames = None,
    *,
    method: str = "pca",
    max_classes: int = 12,
    seed: int = 0,
    title: str | None = None,
    show: bool = False,
) -> Axes:
    """Draws embeddings in two dimensions, each class with a shape and a name of its own.

    Args:
        embeddings: Floats `[N, D]`.
        labels: Class ids `[N]`.
        class_names: Names by class id or by position.
        method: `"pca"` (the two directions of the largest variance; fast, distances
            keep a meaning) or `"tsne"` (shows groups; distances between groups mean
            little), both by scikit-learn.
        max_classes: So many classes are named, from 0 to 12, those with the most
            examples; the others are small grey dots.
        seed: For t-SNE; the same seed draws the same picture.
        title: Title of the figure.
        show: Show the figure, in a window or a notebook.

    Returns:
        The axes; `axes.figure.savefig("projection.png")` saves the figure.

    Raises:
        ValueError: If there are fewer than 3 embeddings, or an argument is out of
            range.
    """
    embeddings = check_embeddings(embeddings)
    labels = check_labels(labels, rows=len(embeddings))
    if not 0 <= max_classes <= len(_MARKERS):
        raise ValueError(
            f"`max_classes` must be between 0 and {len(_MARKERS)}, the number of shapes "
            f"that can be told apart. Received: max_classes={max_classes}."
        )
    points = project(embeddings, method=method, seed=seed)
    named = _most_frequent(labels, max_classes)

    figure = new_figure("plot_projection", show=show, size=(8.0, 7.0))
    axes = figure.subplots()
    others = points[~np.isin(labels, named)]
    if len(others):
        axes.scatter(*others.T, s=5, color="#bbbbbb", linewidths=0, label="other classes")
    for index, label in enumerate(named):
        axes.scatter(
            *points[labels == label].T,
            s=42,
            marker=_MARKERS[index],
            color=_COLORS[index % len(_COLORS)],
            edgecolors="white",
            linewidths=0.6,
            label=class_text(int(label), class_names),
        )
    axes.set(xticks=[], yticks=[])
    method_name = {"pca": "PCA", "tsne": "t-SNE"}[method]
    axes.set_title(title or f"Embeddings in two dimensions ({method_name})", fontsize=11)
    _name_classes(axes, points, labels, named, class_names)
    show_figure("plot_projection", show=show)
    return axes


def project(embeddings: Floats, *, method: str = "pca", seed: int = 0) -> Floats:
    """Two coordinates `[N, 2]` of each embedding `[N, D]`.

    Raises:
        ValueError: If `method` is unknown, or there are fewer than 3 embeddings.
    """
    if len(embeddings) < 3 or embeddings.shape[1] < 2:
        raise ValueError(
            "`embeddings` must have at least 3 rows and 2 columns to be projected. "
            f"Received: embeddings.shape={embeddings.shape}."
        )
    if method == "pca":
        module = _sklearn("decomposition")
        return module.PCA(n_components=2, random_state=seed).fit_transform(embeddings)
    if method == "tsne":
        module = _sklearn("manifold")
        # t-SNE wants fewer effective neighbours than there are points.
        perplexity = min(30.0, (len(embeddings) - 1) / 3)
        tsne = module.TSNE(perplexity=perplexity, init="pca", random_state=seed)
        return tsne.fit_transform(embeddings)
    raise ValueError(f"`method` must be 'pca' or 'tsne'. Received: method={method!r}.")


def _sklearn(module: str) -> Any:
    return import_optional(f"sklearn.{module}", extra="viz", needed_by="plot_projection")


def _most_frequent(labels: Ints, number: int) -> Ints:
    classes, counts = np.unique(labels, return_counts=True)
    return np.sort(classes[np.argsort(-counts, kind="stable")[:number]])


def _name_classes(
    axes: Axes, points: Floats, labels: Ints, named: Ints, class_names: ClassNames
) -> None:
    """Writes each name beside the middle of its class, and the shapes in a legend."""
    if len(named) == 0:
        return
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "#666666", "lw": 0.5}
    centers = np.array([np.median(points[labels == label], axis=0) for label in named])
    for label, center, place in zip(
        named, centers, _spread(points, centers), strict=True
    ):
        axes.annotate(
            class_text(int(label), class_names),
            center,
            xytext=tuple(place),
            fontsize=9,
            ha="center",
            va="center",
            bbox={**box, "alpha": 0.85},
            arrowprops={"arrowstyle": "-", "color": "#666666", "lw": 0.7},
            parse_math=False,
        )
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _spread(points: Floats, centers: Floats, steps: int = 200) -> Floats:
    """Places for the names: near the centres, and moved apart where they overlap."""
    span = np.maximum(np.ptp(points, axis=0), 1e-9)
    room = span * np.array([0.15, 0.05])  # Width and height of a name.
    places = centers + span * np.array([0.0, 0.045])
    for _ in range(steps):
        gap = (places[:, None] - places[None]) / room  # [C, C, 2]
        overlaps = (np.abs(gap) < 1.0).all(axis=2) & ~np.eye(len(places), dtype=bool)
        if not overlaps.any():
            break
        # Equal places need a direction to part in: by their order.
        order = np.sign(np.subtract.outer(np.arange(len(places)), np.arange(len(places))))
        up = np.where(gap[..., 1] == 0.0, order, np.sign(gap[..., 1]))
        places[:, 1] += 0.2 * room[1] * np.where(overlaps, up, 0.0).sum(axis=1)
    return places
