"""Distances between embeddings, shared by losses, indexes and evaluation."""

from keras_similarity.distances import stats
from keras_similarity.distances.base import Distance, register, registry
from keras_similarity.distances.base_distance import BaseDistance
from keras_similarity.distances.batched_distance import BatchedDistance
from keras_similarity.distances.cosine import CosineDistance
from keras_similarity.distances.cosine_similarity import CosineSimilarity
from keras_similarity.distances.dot_product_similarity import DotProductSimilarity
from keras_similarity.distances.euclidean import EuclideanDistance
from keras_similarity.distances.inner_product import InnerProductSimilarity
from keras_similarity.distances.lp_distance import LpDistance
from keras_similarity.distances.manhattan import ManhattanDistance
from keras_similarity.distances.snr import SNRDistance
from keras_similarity.distances.squared_euclidean import SquaredEuclideanDistance

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize
distance_canonicalizer = registry.get

__all__ = [
    "BaseDistance",
    "BatchedDistance",
    "CosineDistance",
    "CosineSimilarity",
    "Distance",
    "DotProductSimilarity",
    "EuclideanDistance",
    "InnerProductSimilarity",
    "LpDistance",
    "ManhattanDistance",
    "SNRDistance",
    "SquaredEuclideanDistance",
    "deserialize",
    "distance_canonicalizer",
    "get",
    "register",
    "serialize",
    "stats",
]
