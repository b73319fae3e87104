"""What every loader of a data set returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_similarity.preprocessing import Preprocessing
from keras_similarity.types import Floats, Ints


class DatasetError(ValueError):
    """A data set is missing or cannot be read; the message is one clear sentence."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Pictures split by class: no class of the test part occurs in the training part.

    Also reads as Keras' data sets do: `(x_train, y_train), (x_test, y_test) = dataset`.

    Attributes:
        name: What it is called in reports.
        x_train: Float32 `[N, height, width, channels]` in
            `preprocessing.value_range`: a model's inputs.
        y_train: Int64 `[N]`, the class of each picture: an index of `class_names`.
        x_test: As `x_train`, of the unseen classes.
        y_test: As `y_train`, of the unseen classes.
        class_names: The name of each class, of both parts, by its label.
        preprocessing: What made the arrays of 8-bit pictures; makes them of files too.
    """

    name: str
    x_train: Floats
    y_train: Ints
    x_test: Floats
    y_test: Ints
    class_names: Sequence[str]
    preprocessing: Preprocessing

    @property
    def train_classes(self) -> Ints:
        """The labels that occur in training, sorted."""
        return np.unique(self.y_train)

    @property
    def test_classes(self) -> Ints:
        """The labels that training never saw, sorted."""
        return np.unique(self.y_test)

    def __iter__(self) -> Iterator[tuple[Floats, Ints]]:
        yield self.x_train, self.y_train
        yield self.x_test, self.y_test

    def __repr__(self) -> str:
        height, width, channels = self.preprocessing.shape
        return (
            f"<Dataset {self.name}: {height}x{width}x{channels} pictures, "
            f"{len(self.x_train)} of {len(self.train_classes)} classes for training, "
            f"{len(self.x_test)} of {len(self.test_classes)} unseen classes>"
        )
