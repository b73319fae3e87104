"""How many classes there are, and which labels are classes."""

from __future__ import annotations

from typing import Any

from keras_similarity.arrays import to_numpy
from keras_similarity.distances.stats import is_concrete


def positive_integer(name: str, value: Any) -> int:
    """The value as an `int`, or a `ValueError` if it is none or below 1."""
    try:
        number = int(value)
        is_positive = number == value and number >= 1
    except (TypeError, ValueError, OverflowError):  # None, text, NaN, infinity.
        is_positive = False
    if not is_positive:
        raise ValueError(
            f"`{name}` must be an integer, 1 or more. Received: {name}={value!r}."
        )
    return number


def check_classes(labels: Any, num_classes: int, name: str = "y_true") -> None:
    """Raises a `ValueError` if a label is no class; nothing under jit.

    Args:
        labels: Integers of any shape.
        num_classes: How many classes there are; they are counted from 0.
        name: What the caller calls the labels, for the message.
    """
    if not is_concrete(labels):
        return
    labels = to_numpy(labels).astype("int64", copy=False)
    # As unsigned numbers negative ones are large, so that one pass sees both.
    if labels.size and labels.view("uint64").max() >= num_classes:
        raise ValueError(
            f"`{name}` must be from 0 to {num_classes - 1}: it says which of "
            f"{num_classes} classes a row is of. Received: labels from "
            f"{labels.min()} to {labels.max()}."
        )
