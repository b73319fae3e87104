"""How the demo's network is trained; `benchmarks/learning.py` trains by it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.types import Floats, Ints


@dataclass(frozen=True)
class Recipe:
    """Network, batches, steps, optimizer and loss, as plain numbers.

    Adam, its learning rate falling to 0 by half a cosine wave, minimises the
    multi-similarity loss over batches of `classes_per_batch` classes with
    `examples_per_class` pictures each.

    Attributes:
        embedding_size: Size of the embeddings of `SmallConvSim`.
        filters: Channels of its first block.
        classes_per_batch: Classes of a batch; all, where the data have fewer.
        examples_per_class: Pictures of each, at least. Where the data have too few
            classes to fill a batch, it is filled with more pictures of each.
        epochs: Epochs.
        steps_per_epoch: Batches of an epoch.
        learning_rate: At the start.
        seed: Of the weights and of the batches.
    """

    embedding_size: int = 64
    filters: int = 32
    classes_per_batch: int = 32
    examples_per_class: int = 4
    epochs: int = 10
    steps_per_epoch: int = 150
    learning_rate: float = 3e-3
    seed: int = 0

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.steps_per_epoch

    def batch_shape(self, num_classes: int) -> tuple[int, int]:
        """Classes of a batch and pictures of each, where there are `num_classes`."""
        classes = min(self.classes_per_batch, num_classes)
        return classes, self.classes_per_batch * self.examples_per_class // classes

    def make_model(self, input_shape: Sequence[int]) -> Any:
        """The network, its weights drawn from `seed`; not compiled."""
        from keras_similarity.architectures import SmallConvSim
        from keras_similarity.backend import keras

        keras.utils.set_random_seed(self.seed)
        return SmallConvSim(
            input_shape, embedding_size=self.embedding_size, filters=self.filters
        )

    def make_optimizer(self) -> Any:
        """The optimizer with its schedule."""
        from keras_similarity.backend import keras

        schedule = keras.optimizers.schedules.CosineDecay(self.learning_rate, self.steps)
        return keras.optimizers.Adam(schedule)

    def make_loss(self) -> Any:
        """The loss."""
        from keras_similarity.losses import MultiSimilarityLoss

        return MultiSimilarityLoss()

    def make_batches(self, x: Floats, y: Ints) -> Any:
        """The sampler of the training batches, drawn from `seed`."""
        from keras_similarity.samplers import MultiShotMemorySampler

        classes, examples = self.batch_shape(len(np.unique(y)))
        return MultiShotMemorySampler(
            x,
            y,
            classes_per_batch=classes,
            examples_per_class_per_batch=examples,
            steps_per_epoch=self.steps_per_epoch,
            seed=self.seed,
        )

    def train(self, x: Floats, y: Ints, verbose: int | str = "auto") -> Any:
        """A model trained on pictures `[N, H, W, C]` and their labels `[N]`."""
        model = self.make_model(x.shape[1:])
        model.compile(optimizer=self.make_optimizer(), loss=self.make_loss())
        model.fit(self.make_batches(x, y), epochs=self.epochs, verbose=verbose)
        return model
