"""Characters in many typefaces."""

from __future__ import annotations

import io
import lzma
from pathlib import Path

import numpy as np

from keras_similarity.datasets.dataset import Dataset, DatasetError
from keras_similarity.preprocessing import Preprocessing

_FILE = Path(__file__).with_name("glyphs.npz.xz")


def load_glyphs() -> Dataset:
    """23,581 pictures of 780 characters in many typefaces; a third of them unseen.

    Grey pictures of 32x32, white on black, one class a character: Latin, Greek,
    Cyrillic, Armenian, Georgian and Hebrew letters, kana, digits, punctuation, arrows,
    mathematical signs and symbols, 20 to 32 pictures of each, in faces of freely
    licensed font families. 520 characters are for training, 260 others for testing;
    the split is part of the file. A class is called by its character and codepoint
    (`"Ж U+0416"`), because some look alike. They do in the pictures too, so that no
    model gets every neighbour right.

    The data travel inside the package (2.7 MB, packed; 97 MB as arrays).
    `scripts/make_glyphs.py` made them.

    Raises:
        DatasetError: If the file is missing or damaged.

    Example:
        >>> from keras_similarity.datasets import load_glyphs
        >>> load_glyphs()
        <Dataset glyphs: 32x32x1 pictures, 15635 of 520 classes for training, \
7946 of 260 unseen classes>
    """
    try:
        content = io.BytesIO(lzma.decompress(_FILE.read_bytes()))
        with np.load(content, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"].astype("int64")
            codepoints, is_unseen = file["codepoints"], file["is_unseen"]
    except (OSError, lzma.LZMAError, ValueError, KeyError) as error:
        raise DatasetError(
            f"The glyphs that travel inside the package cannot be read ({error}). "
            "Install `keras-similarity` again."
        ) from error
    preprocessing = Preprocessing((32, 32), channels=1, background=0)
    is_test = is_unseen[labels]
    images = images[..., None]
    return Dataset(
        name="glyphs",
        x_train=preprocessing.from_array(images[~is_test]),
        y_train=labels[~is_test],
        x_test=preprocessing.from_array(images[is_test]),
        y_test=labels[is_test],
        class_names=tuple(f"{chr(point)} U+{point:04X}" for point in codepoints),
        preprocessing=preprocessing,
    )
