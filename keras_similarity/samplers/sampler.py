"""The base of the samplers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.backend import keras
from keras_similarity.samplers.class_batches import ClassBatches
from keras_similarity.samplers.label_range import check_label_range
from keras_similarity.types import Ints

#: `augmenter(x, y, num_augmentations_per_example, is_warmup)`.
Augmenter = Callable[[Any, Any, int, bool], Any]

# One for all samplers: a lock of its own would keep a sampler from being pickled.
_COUNTING = threading.Lock()


class Sampler(keras.utils.PyDataset):
    """Reads the batches that a `ClassBatches` chooses.

    `model.fit(sampler)` works on every backend. In a loop of your own, `for x, y in
    sampler` goes through one epoch, and the next such loop through the next;
    `sampler.batch(epoch, step)` is any batch, and changes nothing.

    Batches depend on the seed, the epoch and the step alone, and come in that order,
    whatever `fit(shuffle=...)` says: Keras would permute the batches of an epoch, so
    `sampler[i]` is the next batch for any `i` that is in range. Batches that Keras draws
    to build a model come again when it trains. (Where a sampler has been in a `fit`
    already, those drawn to build a second model are passed over.)

    Threads may read batches at the same time, each of which then goes to one of them.
    So may Keras' own `workers`; the batches of two threads may change places. Worker
    processes (`use_multiprocessing`) are refused.

    A subclass reads the rows of a batch in `load(rows, is_warmup)`.

    Args:
        batches: Which rows make a batch.
        warmup: The number of epochs in which the augmenter is told to warm up.
    """

    def __init__(self, batches: ClassBatches, *, warmup: int = -1) -> None:
        super().__init__()
        self.batches = batches
        self.warmup = warmup
        # How many batches have gone out in all, and had when the last epoch ended.
        self._position = 0
        self._settled = 0
        self._is_first_end = True
        self._has_begun = False

    @property
    def epoch(self) -> int:
        """The epoch that is under way or comes next, from 0."""
        return self._position // len(self)

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
            ValueError: If the augmenter made labels that JAX cannot hold.
        """
        self._check_step(step)
        x, y = self.load(self.batches.rows(epoch, step), epoch < self.warmup)
        check_label_range(y, name="y of a batch")
        return x, y

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        self._check_step(int(index))
        with _COUNTING:
            position = self._position
            self._position += 1
        return self.batch(*divmod(position, len(self)))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        epoch = self.epoch
        for step in range(len(self)):
            yield self.batch(epoch, step)
        self._position = self._settled = (epoch + 1) * len(self)

    def on_epoch_begin(self) -> None:
        """Called by Keras.

        Raises:
            ValueError: If it is to read batches in other processes.
        """
        if self.use_multiprocessing:
            raise ValueError(
                "`use_multiprocessing` must be False: processes cannot count batches "
                "together. Received: True. `workers` alone makes threads."
            )
        self._has_begun = True

    def on_epoch_end(self) -> None:
        """Called by Keras, at the start of each `fit` too.

        That call follows no begin, or follows one and the batches that were drawn to
        build the model, which the first call ever takes to be so. What went out before
        it is not trained on (TensorFlow draws two batches for their shapes), so it goes
        out again; but for what Keras' own workers drew, which they keep.
        """
        is_kept = self._has_begun and (not self._is_first_end or self.workers > 1)
        with _COUNTING:
            if is_kept:
                self._settled = self._position
            else:
                self._position = self._settled
        self._is_first_end = False
        self._has_begun = False

    def _check_step(self, step: int) -> None:
        if not 0 <= step < len(self):
            raise IndexError(
                f"A batch is from 0 to {len(self) - 1}, `steps_per_epoch` of them. "
                f"Received: {step}."
            )


def choose_seed(seed: int | None) -> int:
    """The seed, or one of NumPy's state, which `keras.utils.set_random_seed` sets."""
    return int(np.random.randint(2**31)) if seed is None else int(seed)
