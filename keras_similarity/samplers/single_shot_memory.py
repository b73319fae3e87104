"""Batches of views of examples without a label."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.samplers.class_batches import ClassBatches
from keras_similarity.samplers.label_range import narrow_labels
from keras_similarity.samplers.sampler import Augmenter, Sampler, choose_seed
from keras_similarity.types import Ints


class SingleShotMemorySampler(Sampler):
    """Batches of several views of each of several examples; each is its own class.

    Where there are no labels, what an augmenter makes of one example is alike: an
    example's label is its position in `x`. A batch is `(x, y)` as a loss over labels
    takes it: `x` `[examples_per_batch * num_augmentations_per_example, ...]`, first one
    view of every example, then the next, and `y` the positions, repeated.

    No example comes again before all have come.

    Args:
        x: Examples `[N, ...]`.
        augmenter: Called with `(x, y, num_augmentations_per_example, is_warmup)`, `x`
            and `y` without repetition. Returns a list of views, each `[n, ...]`, or one
            array of all views, or a tuple `(x, y)` of either and its labels.
        examples_per_batch: From 1 to N.
        num_augmentations_per_example: Views of each example, from 1.
        steps_per_epoch: Batches of an epoch; the sampler's length.
        warmup: The number of epochs, from the first on, in which `is_warmup` is true.
        seed: The same seed gives the same batches, where the augmenter does. `None`
            takes one of NumPy's global state, which `keras.utils.set_random_seed` sets.

    Raises:
        TypeError: If `augmenter` cannot be called.
        ValueError: If an argument is out of its range, or the augmenter returns another
            number of rows than it was asked for.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.samplers import SingleShotMemorySampler
        >>> def noisy(x, y, num_augmentations_per_example, is_warmup):
        ...     shape = (num_augmentations_per_example, *x.shape)
        ...     return list(x + np.random.normal(size=shape))
        >>> sampler = SingleShotMemorySampler(np.zeros((50, 4)), noisy, 8)
        >>> x, y = sampler[0]
        >>> x.shape, y.shape, bool((y[:8] == y[8:]).all())
        ((16, 4), (16,), True)
    """

    def __init__(
        self,
        x: Any,
        augmenter: Augmenter,
        examples_per_batch: int,
        num_augmentations_per_example: int = 2,
        steps_per_epoch: int = 1000,
        warmup: int = -1,
        seed: int | None = None,
    ) -> None:
        self._x = to_numpy(x)
        if not callable(augmenter):
            raise TypeError(
                "`augmenter` must be a function that makes views of examples. Received: "
                f"augmenter={augmenter!r}."
            )
        if not 1 <= examples_per_batch <= len(self._x):
            raise ValueError(
                "`examples_per_batch` must be from 1 to the number of examples, "
                f"{len(self._x)}. Received: examples_per_batch={examples_per_batch}."
            )
        if num_augmentations_per_example < 1:
            raise ValueError(
                "`num_augmentations_per_example` must be at least 1. Received: "
                f"num_augmentations_per_example={num_augmentations_per_example}."
            )
        self.augmenter = augmenter
        self.num_augmentations_per_example = num_augmentations_per_example
        self.seed = choose_seed(seed)
        positions = np.arange(len(self._x))
        self._y = narrow_labels(positions)
        batches = ClassBatches(
            positions, examples_per_batch, 1, steps_per_epoch, self.seed
        )
        super().__init__(batches, warmup=warmup)

    @property
    def num_examples(self) -> int:
        """The number of examples that batches are made of."""
        return len(self._x)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of an example, before any augmentation."""
        return tuple(self._x.shape[1:])

    def get_slice(self, begin: int = 0, size: int = -1) -> tuple[Any, Any]:
        """Examples `(x, y)` without augmentation, `y` their positions.

        Args:
            begin: The first of them.
            size: How many; -1 for all to the end.
        """
        end = self.num_examples if size == -1 else begin + size
        return self._x[begin:end], self._y[begin:end]

    def load(self, rows: Ints, is_warmup: bool) -> tuple[Any, Any]:
        y = self._y[rows]
        views = self.augmenter(
            self._x[rows], y, self.num_augmentations_per_example, is_warmup
        )
        if isinstance(views, tuple):
            views, y = views
            y = narrow_labels(check_labels(y, name="y of the augmenter"))
        x = _join(views)
        expected = len(rows) * self.num_augmentations_per_example
        if len(x) != expected or expected % max(len(y), 1):
            raise ValueError(
                f"`augmenter` must return {self.num_augmentations_per_example} views of "
                f"each of {len(rows)} examples. Received: x.shape={x.shape}, "
                f"y.shape={y.shape}."
            )
        return x, np.tile(y, expected // len(y))


def _join(views: Any) -> Any:
    if isinstance(views, list):
        return np.concatenate([to_numpy(view) for view in views])
    return to_numpy(views)
