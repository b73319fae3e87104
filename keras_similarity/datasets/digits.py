"""Handwritten digits of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.datasets.dataset import Dataset
from keras_similarity.datasets.unseen import is_unseen
from keras_similarity.preprocessing import Preprocessing


def load_digits(unseen: Sequence[int] = (7, 8, 9)) -> Dataset:
    """1,797 handwritten digits of 8x8 pixels, white on black: quick, for trying things.

    They are scikit-learn's, which are on disk with it; its 17 grey levels are spread
    over 0..1.

    Args:
        unseen: The digits that training does not see.

    Raises:
        ImportError: If scikit-learn is missing.
        ValueError: If `unseen` is not some of the digits.
    """
    sklearn = import_optional("sklearn.datasets", extra="viz", needed_by="load_digits")
    digits = sklearn.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype("uint8")[..., None]
    labels = digits.target.astype("int64")
    preprocessing = Preprocessing((8, 8), channels=1, background=0)
    is_test = is_unseen(labels, unseen, num_classes=10)
    return Dataset(
        name="digits",
        x_train=preprocessing.from_array(images[~is_test]),
        y_train=labels[~is_test],
        x_test=preprocessing.from_array(images[is_test]),
        y_test=labels[is_test],
        class_names=tuple("0123456789"),
        preprocessing=preprocessing,
    )
