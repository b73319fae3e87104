"""Batches of several examples a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.samplers.class_batches import ClassBatches
from keras_similarity.samplers.label_range import lasting_labels, narrow_labels
from keras_similarity.samplers.sampler import Augmenter, Sampler, choose_seed
from keras_similarity.samplers.select_examples import select_rows
from keras_similarity.types import Ints


class MultiShotMemorySampler(Sampler):
    """Batches of several examples of several classes, from data in memory.

    Each batch has `classes_per_batch` different classes and
    `examples_per_class_per_batch` examples of each, grouped by class. No class comes
    again before all have come, and no example of a class before all of that class have;
    a class with too few examples repeats them, and a warning counts such classes.

    Args:
        x: Examples `[N, ...]`: an array, or with `load_example_fn` any sequence (of
            paths, say). It is not copied.
        y: Integer labels `[N]`. Batches have them as int32 if all fit, else as int64. On
            JAX, which has no int64 unless told to (`jax_enable_x64`), batches then have
            numbers of the classes instead, from 0 in the order of the ids; `get_slice`
            still gives the ids.
        load_example_fn: Called with each example of `x` when it is read; what it returns
            is stacked. `None` takes the example as it is.
        classes_per_batch: From 1 to the number of classes.
        examples_per_class_per_batch: From 1; a loss over pairs needs at least 2.
        steps_per_epoch: Batches of an epoch; the sampler's length.
        class_list: The classes to take; `None` for all.
        total_examples_per_class: The most examples to use of a class, drawn at random.
        augmenter: Called with `(x, y, 1, is_warmup)` of each batch; returns `(x, y)`.
        warmup: The number of epochs, from the first on, in which `is_warmup` is true.
        seed: The same seed gives the same batches. `None` takes one of NumPy's global
            state, which `keras.utils.set_random_seed` sets.
        workers: Threads that call `load_example_fn`; they change no batch.

    Raises:
        ValueError: If `x` and `y` differ in length, or an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.samplers import MultiShotMemorySampler
        >>> x, y = np.random.rand(100, 8), np.arange(100) % 10
        >>> sampler = MultiShotMemorySampler(x, y, classes_per_batch=5, steps_per_epoch=3)
        >>> [batch_x.shape for batch_x, batch_y in sampler]
        [(10, 8), (10, 8), (10, 8)]
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        load_example_fn: Callable[[Any], Any] | None = None,
        classes_per_batch: int = 2,
        examples_per_class_per_batch: int = 2,
        steps_per_epoch: int = 1000,
        class_list: Sequence[int] | None = None,
        total_examples_per_class: int | None = None,
        augmenter: Augmenter | None = None,
        warmup: int = -1,
        seed: int | None = None,
        workers: int = 1,
    ) -> None:
        if examples_per_class_per_batch < 1:
            raise ValueError(
                "`examples_per_class_per_batch` must be at least 1. Received: "
                f"examples_per_class_per_batch={examples_per_class_per_batch}."
            )
        if workers < 1:
            raise ValueError(
                f"`workers` must be at least 1. Received: workers={workers}."
            )
        self._x = to_numpy(x) if load_example_fn is None else x
        labels = check_labels(y, name="y", rows=len(self._x))
        self.seed = choose_seed(seed)
        # In the random order that `get_slice` shows.
        self._rows = select_rows(
            labels,
            class_list,
            total_examples_per_class,
            self.seed,
            num_name="total_examples_per_class",
        )
        self._y = narrow_labels(labels[self._rows])
        self._batch_y = lasting_labels(self._y)
        self._load_example_fn = load_example_fn
        self._num_threads = workers
        self.augmenter = augmenter
        batches = ClassBatches(
            self._y,
            classes_per_batch,
            examples_per_class_per_batch,
            steps_per_epoch,
            self.seed,
        )
        super().__init__(batches, warmup=warmup)

    @property
    def num_examples(self) -> int:
        """The number of examples that batches are made of."""
        return len(self._rows)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of an example as it is read, before any augmentation."""
        return tuple(self._examples(self._rows[:1]).shape[1:])

    @property
    def classes_per_batch(self) -> int:
        """Classes of a batch."""
        return self.batches.classes_per_batch

    @property
    def examples_per_class_per_batch(self) -> int:
        """Examples of each class in a batch."""
        return self.batches.examples_per_class

    def get_slice(self, begin: int = 0, size: int = -1) -> tuple[Any, Any]:
        """Examples `(x, y)` as they are read, without augmentation, in a random order.

        Args:
            begin: The first of them.
            size: How many; -1 for all to the end.
        """
        end = self.num_examples if size == -1 else begin + size
        return self._examples(self._rows[begin:end]), self._y[begin:end]

    def load(self, rows: Ints, is_warmup: bool) -> tuple[Any, Any]:
        x, y = self._examples(self._rows[rows]), self._batch_y[rows]
        if self.augmenter is None:
            return x, y
        x, y = self.augmenter(x, y, 1, is_warmup)
        return to_numpy(x), to_numpy(y)

    def _examples(self, rows: Ints) -> Any:
        if self._load_example_fn is None:
            return self._x[rows]
        sources = [self._x[row] for row in rows]
        if self._num_threads == 1:
            examples = list(map(self._load_example_fn, sources))
        else:
            with ThreadPoolExecutor(self._num_threads) as pool:
                examples = list(pool.map(self._load_example_fn, sources))
        return np.stack([to_numpy(example) for example in examples])
