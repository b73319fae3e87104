"""The queries that find least."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.evaluators import unpack_lookup_labels
from keras_similarity.types import Floats, Lookup
from keras_similarity.visualization.neighbors import plot_neighbors
from keras_similarity.visualization.text import ClassNames

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_worst_queries(
    queries: Sequence[Any],
    labels: Any,
    lookups: Sequence[Sequence[Lookup]],
    class_names: ClassNames = None,
    *,
    key_pictures: Sequence[Any] | None = None,
    max_queries: int = 8,
    threshold: float | None = None,
    is_similarity: bool = False,
    title: str | None = None,
    show: bool = False,
) -> Figure:
    """Draws the neighbours of the queries whose neighbours are of other classes.

    Worst are those with the least `sum of 1 / log2(rank + 1)` over the neighbours of the
    query's class; of equals, those first that come first.

    Args:
        queries: Pictures `[Q, H, W]`, `[Q, H, W, 1]` or `[Q, H, W, 3]`.
        labels: Class ids `[Q]` of the queries.
        lookups: Their neighbours, as `index.lookup` gives them.
        class_names: Names by class id or by position.
        key_pictures: Pictures of the indexed rows, by integer id; `None`: each
            neighbour's `data` is its picture.
        max_queries: So many queries are drawn, at least 1.
        threshold: Distance up to which a neighbour counts as a match.
        is_similarity: Is a larger value closer, so that matches lie above `threshold`?
        title: Title of the figure; says by default how many of how many are shown.
        show: Show the figure, in a window or a notebook.

    Returns:
        The figure; `figure.savefig("worst.png")` saves it.

    Raises:
        ValueError: If there is no query, or if the arguments differ in length.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.types import Lookup
        >>> from keras_similarity.visualization import plot_worst_queries
        >>> pictures = np.zeros((2, 8, 8))
        >>> lookups = [[Lookup(1, 0.1, 7, id=1)], [Lookup(1, 0.3, 7, id=0)]]
        >>> figure = plot_worst_queries(
        ...     pictures, [7, 9], lookups, key_pictures=pictures, max_queries=1
        ... )
    """
    labels = check_labels(labels, rows=len(queries))
    if len(queries) == 0 or len(lookups) != len(queries) or max_queries < 1:
        raise ValueError(
            "`queries` and `lookups` must have as many rows as each other, at least 1, "
            f"and `max_queries` be at least 1. Received: {len(queries)} queries, "
            f"{len(lookups)} lookups, max_queries={max_queries}."
        )
    gains = _gains(labels, lookups)
    worst = np.argsort(gains, kind="stable")[:max_queries].tolist()
    rows = [list(lookups[row]) for row in worst]
    if key_pictures is not None:
        rows = [[_with_picture(near, key_pictures) for near in row] for row in rows]
    if title is None:
        title = f"The {len(worst)} worst of {len(labels):,} queries"
    return plot_neighbors(
        [queries[row] for row in worst],
        labels[worst],
        rows,
        class_names,
        threshold=threshold,
        is_similarity=is_similarity,
        title=title,
        show=show,
    )


def _gains(labels: Any, lookups: Sequence[Sequence[Lookup]]) -> Floats:
    """What each query `[Q]` finds of its class, nearer ones counting more."""
    is_right = unpack_lookup_labels(lookups) == labels[:, None]
    return is_right @ (1.0 / np.log2(np.arange(is_right.shape[1]) + 2.0))


def _with_picture(near: Lookup, pictures: Sequence[Any]) -> Lookup:
    if near.id is None:
        raise ValueError("`lookups` must hold ids, where `key_pictures` are given.")
    return dataclasses.replace(near, data=pictures[int(near.id)])
