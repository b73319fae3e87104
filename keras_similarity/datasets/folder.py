"""A user's own pictures."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.datasets.dataset import Dataset, DatasetError
from keras_similarity.preprocessing import Preprocessing
from keras_similarity.types import Ints

logger = logging.getLogger(__name__)


def load_folder(
    path: str | os.PathLike[str],
    preprocessing: Preprocessing | None = None,
    test_share: float = 1 / 3,
    seed: int = 0,
) -> Dataset:
    """Pictures of a folder that holds one folder a class, named as the class.

    Labels number the class folders by name. Of the classes, `test_share` (rounded, at
    least one, and one stays for training) are drawn at random as those that training
    does not see. Hidden files and folders are passed over, and files whose ending is
    none of a picture (`logging` says how many).

    All pictures are held in memory, 4 bytes a value.

    Args:
        path: The folder.
        preprocessing: What makes an array of a picture; 64x64 in colour by default.
        test_share: Share of the classes to hold out, between 0 and 1.
        seed: The same seed holds out the same classes.

    Raises:
        DatasetError: If there is no such folder, it holds less than two class folders
            with pictures, or a picture cannot be read; the message names it.
        ValueError: If `test_share` is not between 0 and 1.
        ImportError: If Pillow is missing.
    """
    if not 0 < test_share < 1:
        raise ValueError(
            "`test_share` must be between 0 and 1, without both. Received: "
            f"test_share={test_share}."
        )
    pillow = import_optional("PIL.Image", extra="cli", needed_by="load_folder")
    preprocessing = preprocessing or Preprocessing((64, 64))
    files_of_class = _find_pictures(Path(path), set(pillow.registered_extensions()))
    files = [file for files in files_of_class.values() for file in files]
    images = np.empty((len(files), *preprocessing.shape), "float32")
    for row, file in enumerate(files):
        try:
            images[row] = preprocessing.from_file(file)
        except (OSError, ValueError) as error:
            raise DatasetError(str(error)) from error
    labels = np.repeat(
        np.arange(len(files_of_class)), [len(files) for files in files_of_class.values()]
    )
    is_test = np.isin(labels, _draw_unseen(len(files_of_class), test_share, seed))
    return Dataset(
        name=Path(path).resolve().name,
        x_train=images[~is_test],
        y_train=labels[~is_test],
        x_test=images[is_test],
        y_test=labels[is_test],
        class_names=tuple(files_of_class),
        preprocessing=preprocessing,
    )


def _find_pictures(folder: Path, endings: set[str]) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {str(folder)!r}.")
    files_of_class: dict[str, list[Path]] = {}
    num_others = 0
    for class_folder in sorted(_visible(folder)):
        if not class_folder.is_dir():
            continue
        files = sorted(file for file in _visible(class_folder) if file.is_file())
        pictures = [file for file in files if file.suffix.lower() in endings]
        num_others += len(files) - len(pictures)
        if pictures:
            files_of_class[class_folder.name] = pictures
    if num_others:
        logger.warning("%s: %d files are no pictures.", folder, num_others)
    if len(files_of_class) < 2:
        raise DatasetError(
            f"The folder {str(folder)!r} must hold at least two folders of pictures, one "
            f"a class, so that one can be held out; it holds {len(files_of_class)}."
        )
    return files_of_class


def _visible(folder: Path) -> list[Path]:
    return [child for child in folder.iterdir() if not child.name.startswith(".")]


def _draw_unseen(num_classes: int, test_share: float, seed: int) -> Ints:
    number = min(max(round(num_classes * test_share), 1), num_classes - 1)
    return np.random.default_rng(seed).permutation(num_classes)[:number]
