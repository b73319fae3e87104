"""Fashion-MNIST."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import require_keras
from keras_similarity.datasets.dataset import Dataset, DatasetError
from keras_similarity.datasets.unseen import is_unseen
from keras_similarity.preprocessing import Preprocessing

# Where the Debian package `dataset-fashion-mnist` puts it.
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_CLASS_NAMES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

Bytes = npt.NDArray[np.uint8]
Part = tuple[Bytes, Bytes]


def load_fashion_mnist(
    path: str | os.PathLike[str] | None = None, unseen: Sequence[int] = (2, 5, 8)
) -> Dataset:
    """Zalando's pictures of clothes, 28x28, white on black, ten classes.

    Training gets the classes it may see out of the 60,000 training pictures, the test
    part the unseen classes out of the 10,000 test pictures.

    Args:
        path: Folder of the four `...-ubyte.gz` files. `None` takes those of the Debian
            package `dataset-fashion-mnist`, or without it, Keras' download.
        unseen: The classes that training does not see: pullover, sandal and bag.

    Raises:
        DatasetError: If the files are missing or damaged, or the download fails.
        ValueError: If `unseen` is not some of the classes.

    Reference:
        [Xiao et al., 2017](https://arxiv.org/abs/1708.07747)
    """
    if path is None and not _DEBIAN.is_dir():
        train, test = _download()
    else:
        folder = _DEBIAN if path is None else Path(path)
        train, test = _read_part(folder, "train"), _read_part(folder, "t10k")
    is_train = ~is_unseen(train[1], unseen, num_classes=10)
    is_test = is_unseen(test[1], unseen, num_classes=10)
    preprocessing = Preprocessing((28, 28), channels=1, background=0)
    return Dataset(
        name="fashion-mnist",
        x_train=preprocessing.from_array(train[0][is_train][..., None]),
        y_train=train[1][is_train].astype("int64"),
        x_test=preprocessing.from_array(test[0][is_test][..., None]),
        y_test=test[1][is_test].astype("int64"),
        class_names=_CLASS_NAMES,
        preprocessing=preprocessing,
    )


def _download() -> tuple[Part, Part]:
    try:
        parts: Any = require_keras(
            "load_fashion_mnist"
        ).datasets.fashion_mnist.load_data()
        return parts
    # What a failed download raises is the network's affair.
    except Exception as error:
        raise DatasetError(
            "Fashion-MNIST is not on this machine, and Keras could not download it "
            f"({type(error).__name__}: {error}). Install the Debian package "
            "`dataset-fashion-mnist`, or name the folder of its files in `path`."
        ) from error


def _read_part(folder: Path, part: str) -> Part:
    images = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", dims=3)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", dims=1)
    if images.shape[1:] != (28, 28) or len(images) != len(labels):
        raise DatasetError(
            f"The files of Fashion-MNIST in {str(folder)!r} do not fit together: "
            f"{images.shape} pictures, {labels.shape} labels."
        )
    return images, labels


def _read_idx(path: Path, dims: int) -> Bytes:
    """Array of a file in the format of MNIST: a magic number, the shape, bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"There is no file {str(path)!r} of Fashion-MNIST.") from error
    except (OSError, EOFError) as error:
        raise DatasetError(f"{str(path)!r} cannot be read: {error}.") from error
    start = 4 + 4 * dims
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    is_idx = content[:4] == bytes([0, 0, 8, dims]) and len(shape) == dims
    if not is_idx or len(content) != start + int(np.prod(shape)):
        raise DatasetError(f"{str(path)!r} is damaged, or no file of Fashion-MNIST.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
