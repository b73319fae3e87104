"""Data sets of pictures, split by class."""

from keras_similarity.datasets.dataset import Dataset, DatasetError
from keras_similarity.datasets.digits import load_digits
from keras_similarity.datasets.fashion_mnist import load_fashion_mnist
from keras_similarity.datasets.folder import load_folder
from keras_similarity.datasets.glyphs import load_glyphs

__all__ = [
    "Dataset",
    "DatasetError",
    "load_digits",
    "load_fashion_mnist",
    "load_folder",
    "load_glyphs",
]
