"""Distances between embeddings, shared by losses, indexes and evaluation."""

from keras_similarity.distances.base import Distance, register, registry
from keras_similarity.distances.cosine import CosineDistance
from keras_similarity.distances.euclidean import EuclideanDistance
from keras_similarity.distances.inner_product import InnerProductSimilarity
from keras_similarity.distances.manhattan import ManhattanDistance
from keras_similarity.distances.snr import SNRDistance
from keras_similarity.distances.squared_euclidean import SquaredEuclideanDistance

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize
distance_canonicalizer = registry.get

__all__ = [
    "CosineDistance",
    "Distance",
    "EuclideanDistance",
    "InnerProductSimilarity",
    "ManhattanDistance",
    "SNRDistance",
    "SquaredEuclideanDistance",
    "deserialize",
    "distance_canonicalizer",
    "get",
    "register",
    "serialize",
]
