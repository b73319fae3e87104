"""Some examples of some classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.types import Ints


def select_examples(
    x: Any,
    y: Any,
    class_list: Sequence[int] | None = None,
    num_examples_per_class: int | None = None,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Examples of given classes, at most so many of each, in a random order.

    Each example comes once at most (TensorFlow Similarity repeats some, whatever the
    number of examples that there are).

    Args:
        x: Examples `[N, ...]`.
        y: Integer labels `[N]`.
        class_list: The classes to take; `None` for all.
        num_examples_per_class: The most to take of a class, drawn at random; `None` for
            all.
        seed: The same seed selects the same; `None` for another selection each time.

    Returns:
        NumPy arrays `(x, y)` of the examples selected, of the dtypes they came with.

    Raises:
        ValueError: If `x` and `y` differ in length, a class of `class_list` has no
            example or `num_examples_per_class` is below 1.

    Example:
        >>> from keras_similarity.samplers import select_examples
        >>> x, y = select_examples([10, 11, 20, 30], [1, 1, 2, 3], class_list=[1, 2])
        >>> sorted(x.tolist())
        [10, 11, 20]
    """
    x, y = to_numpy(x), to_numpy(y)
    labels = check_labels(y, name="y", rows=len(x))
    rows = select_rows(labels, class_list, num_examples_per_class, seed)
    return x[rows], y[rows]


def select_rows(
    labels: Ints,
    class_list: Sequence[int] | None = None,
    num_examples_per_class: int | None = None,
    seed: int | None = None,
    *,
    num_name: str = "num_examples_per_class",
) -> Ints:
    """The rows that `select_examples` takes, in its order."""
    if num_examples_per_class is not None and num_examples_per_class < 1:
        raise ValueError(
            f"`{num_name}` must be at least 1. Received: "
            f"{num_name}={num_examples_per_class}."
        )
    rows = np.random.default_rng(seed).permutation(len(labels))
    if class_list is not None:
        wanted = np.unique(check_labels(class_list, name="class_list"))
        missing = np.setdiff1d(wanted, labels)
        if len(missing):
            raise ValueError(
                "Each class of `class_list` must have an example. Received, without: "
                f"{missing.tolist()}."
            )
        rows = rows[np.isin(labels[rows], wanted)]
    if num_examples_per_class is None:
        return rows
    by_class = rows[np.argsort(labels[rows], kind="stable")]
    is_start = np.diff(labels[by_class], prepend=np.nan) != 0
    starts = np.flatnonzero(is_start)
    rank = np.arange(len(by_class)) - np.repeat(
        starts, np.diff(starts, append=len(by_class))
    )
    is_taken = np.zeros(len(labels), bool)
    is_taken[by_class[rank < num_examples_per_class]] = True
    return rows[is_taken[rows]]
