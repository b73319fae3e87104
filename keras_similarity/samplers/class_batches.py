"""Which rows make a batch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.samplers.deal import deal
from keras_similarity.samplers.random_order import make_keys
from keras_similarity.types import Ints

logger = logging.getLogger(__name__)


class ClassBatches:
    """The rows of balanced batches, computed from the seed, the epoch and the step.

    What holds for the sequence of batches, epoch after epoch:

    - Each batch has exactly `classes_per_batch` different classes and
      `examples_per_class` rows of each, grouped by class.
    - No class comes again before all classes have come.
    - Within a class, no row comes again before all rows of the class have come. So a
      batch has no row twice, but for a class with fewer than `examples_per_class` rows,
      which repeats them, one pass after another (it is counted in `num_small_classes`
      and reported once, by `logging`).
    - The same labels, sizes and seed give the same batches, on any machine; no draw
      depends on those before. `rows()` may be called from threads.

    Args:
        labels: Integers `[N]`.
        classes_per_batch: From 1 to the number of classes.
        examples_per_class: From 1.
        steps_per_epoch: Batches of an epoch.
        seed: Any integer.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from keras_similarity.samplers import ClassBatches
        >>> labels = np.array([7, 7, 7, 8, 8, 8, 9, 9, 9])
        >>> batches = ClassBatches(labels, classes_per_batch=3, examples_per_class=2)
        >>> sorted(labels[batches.rows(epoch=0, step=0)].tolist())
        [7, 7, 8, 8, 9, 9]
    """

    def __init__(
        self,
        labels: Any,
        classes_per_batch: int = 2,
        examples_per_class: int = 2,
        steps_per_epoch: int = 1000,
        seed: int = 0,
    ) -> None:
        labels = check_labels(labels)
        self.classes_per_batch = _positive(classes_per_batch, "classes_per_batch")
        self.examples_per_class = _positive(examples_per_class, "examples_per_class")
        self.steps_per_epoch = _positive(steps_per_epoch, "steps_per_epoch")
        self.seed = int(seed)
        # Rows sorted by class; class i has `_sizes[i]` of them, from `_starts[i]`.
        self._rows = np.argsort(labels, kind="stable")
        labels = labels[self._rows]
        is_start = np.ones(len(labels), bool)
        is_start[1:] = labels[1:] != labels[:-1]
        self._starts = np.flatnonzero(is_start)
        self._sizes = np.diff(self._starts, append=len(labels))
        if classes_per_batch > self.num_classes:
            raise ValueError(
                "`classes_per_batch` must not exceed the number of classes, "
                f"{self.num_classes}. Received: classes_per_batch={classes_per_batch}."
            )
        #: How many classes have fewer than `examples_per_class` rows.
        self.num_small_classes = int((self._sizes < examples_per_class).sum())
        if self.num_small_classes:
            logger.warning(
                "%d of %d classes have fewer than %d examples, and repeat some.",
                self.num_small_classes,
                self.num_classes,
                examples_per_class,
            )

    @property
    def num_classes(self) -> int:
        """The number of classes in `labels`."""
        return len(self._starts)

    def rows(self, epoch: int, step: int) -> Ints:
        """Rows, int64 `[classes_per_batch * examples_per_class]`, of one batch.

        Args:
            epoch: From 0.
            step: From 0 to `steps_per_epoch - 1`.
        """
        hand = self.classes_per_batch
        turn = np.array([epoch * self.steps_per_epoch + step])
        seed = self.seed % 2**64  # A negative one too.
        classes = deal(turn, np.array([self.num_classes]), hand, make_keys(seed, 0))[0]
        # Each pass brings each class once: the pass is the class' own turn.
        turns = (turn * hand + np.arange(hand)) // self.num_classes
        examples = deal(
            turns,
            self._sizes[classes],
            self.examples_per_class,
            make_keys(seed, 1, classes),
        )
        return self._rows[(self._starts[classes, None] + examples).ravel()]


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return int(value)
