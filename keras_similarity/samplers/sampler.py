"""The base of the samplers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.backend import keras
from keras_similarity.samplers.class_batches import ClassBatches
from keras_similarity.types import Ints

#: `augmenter(x, y, num_augmentations_per_example, is_warmup)`.
Augmenter = Callable[[Any, Any, int, bool], Any]

_INT32 = np.iinfo(np.int32)


class Sampler(keras.utils.PyDataset):
    """Reads the batches that a `ClassBatches` chooses.

    `model.fit(sampler)` works on every backend. In a loop of your own, `for x, y in
    sampler` goes through one epoch, and the next such loop through the next;
    `sampler.batch(epoch, step)` is any batch, and changes nothing.

    Batches depend on the seed, the epoch and the step alone. `fit(shuffle=True)`, the
    default, permutes the batches of an epoch; with `shuffle=False` they come in the
    order of a loop. Threads may read batches at the same time.

    Keras' own `workers` stay at 1: with more, it trains on batches that it drew to build
    the model, and on others twice.

    A subclass reads the rows of a batch in `load(rows, is_warmup)`.

    Args:
        batches: Which rows make a batch.
        warmup: The number of epochs in which the augmenter is told to warm up.
    """

    def __init__(self, batches: ClassBatches, *, warmup: int = -1) -> None:
        super().__init__()
        self.batches = batches
        self.warmup = warmup
        self._epoch = 0
        self._is_first_end = True
        self._has_begun = False
        self._steps_taken: set[int] = set()

    @property
    def epoch(self) -> int:
        """The epoch that is under way or comes next, from 0."""
        return self._epoch

    @property
    def batch_size(self) -> int:
        """Rows of a batch, before any augmentation."""
        return self.batches.classes_per_batch * self.batches.examples_per_class

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the sampler's length."""
        return self.batches.steps_per_epoch

    def load(self, rows: Ints, is_warmup: bool) -> tuple[Any, Any]:
        """The batch `(x, y)` of given rows."""
        raise NotImplementedError

    def batch(self, epoch: int, step: int) -> tuple[Any, Any]:
        """The batch `(x, y)` of any epoch and step.

        Raises:
            IndexError: If `step` is not from 0 to `steps_per_epoch - 1`.
        """
        if not 0 <= step < len(self):
            raise IndexError(
                f"A batch is from 0 to {len(self) - 1}, `steps_per_epoch` of them. "
                f"Received: {step}."
            )
        return self.load(self.batches.rows(epoch, step), epoch < self.warmup)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        batch = self.batch(self._epoch, int(index))
        self._steps_taken.add(int(index))
        return batch

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        epoch = self._epoch
        for step in range(len(self)):
            yield self.batch(epoch, step)
        self._epoch = epoch + 1

    def on_epoch_begin(self) -> None:
        """Called by Keras."""
        self._has_begun = True

    def on_epoch_end(self) -> None:
        """Called by Keras, which calls it before the first epoch of each `fit` too.

        On JAX and torch the first such call may even follow an `on_epoch_begin` and a
        batch, drawn to build the model. So the first call ever ends no epoch, nor does
        one without a begin, nor one after which steps are missing (a `fit` with its own
        `steps_per_epoch` goes on with them).
        """
        is_whole = len(self._steps_taken) == len(self)
        if self._has_begun and is_whole and not self._is_first_end:
            self._epoch += 1
            self._steps_taken = set()
        self._is_first_end = False
        self._has_begun = False


def narrow_labels(labels: Ints) -> Ints:
    """Labels as int32 if all fit, else as int64.

    JAX wraps int64 around to int32 without a word.
    """
    fits = not len(labels) or (_INT32.min <= labels.min() and labels.max() <= _INT32.max)
    return labels.astype("int32" if fits else "int64")


def choose_seed(seed: int | None) -> int:
    """The seed, or one of NumPy's state, which `keras.utils.set_random_seed` sets."""
    return int(np.random.randint(2**31)) if seed is None else int(seed)
