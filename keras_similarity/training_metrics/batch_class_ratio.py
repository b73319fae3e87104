"""How many examples of a class come together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels


def batch_class_ratio(sampler: Any, num_batches: int = 100) -> float:
    """Examples of a class in a batch, on average over batches.

    `len(y) / unique(y)` of each batch: 1 means that no class has two examples, so that
    nothing is positive.

    Args:
        sampler: Batches `(x, y, ...)`: a `Sampler` (its first batches are looked at, and
            none is used up), a `PyDataset`, or anything that is iterated over.
        num_batches: Look at so many, or at all if there are fewer.

    Raises:
        ValueError: If there is no batch.

    Example:
        >>> from keras_similarity.samplers import MultiShotMemorySampler
        >>> from keras_similarity.training_metrics import batch_class_ratio
        >>> x, y = np.zeros((20, 2)), np.arange(20) % 5
        >>> batches = MultiShotMemorySampler(
        ...     x, y, classes_per_batch=3, examples_per_class_per_batch=4
        ... )
        >>> batch_class_ratio(batches, num_batches=10)
        4.0
    """
    if num_batches < 1:
        raise ValueError(
            f"`num_batches` must be at least 1. Received: num_batches={num_batches}."
        )
    ratios = []
    for batch in islice(_batches(sampler), num_batches):
        labels = check_labels(batch[1], name="y of a batch")
        ratios.append(len(labels) / len(np.unique(labels)))
    if not ratios:
        raise ValueError("`sampler` must hold at least one batch. Received: none.")
    return float(np.mean(ratios))


def _batches(sampler: Any) -> Iterator[Any]:
    if hasattr(sampler, "batch") and hasattr(sampler, "steps_per_epoch"):
        # Of a `Sampler` any batch, which changes nothing.
        return (sampler.batch(0, step) for step in range(len(sampler)))
    if hasattr(sampler, "__getitem__") and hasattr(sampler, "__len__"):
        return (sampler[step] for step in range(len(sampler)))
    return iter(sampler)
