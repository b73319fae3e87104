"""Which classes training does not see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_similarity.types import Bools, Ints


def is_unseen(labels: Ints, unseen: Sequence[int], num_classes: int) -> Bools:
    """Which rows belong to the classes `unseen`, some of `0 .. num_classes - 1`."""
    left = num_classes - len(set(unseen))
    if not set(unseen) <= set(range(num_classes)) or not 0 < left < num_classes:
        raise ValueError(
            f"`unseen` must be some of the classes 0 to {num_classes - 1}, and leave one "
            f"for training. Received: unseen={tuple(unseen)}."
        )
    return np.isin(labels, list(unseen))
