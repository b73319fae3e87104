"""Penalties on embeddings and on the weights of classes."""

from keras_similarity.regularizers.base import Regularizer, register, registry
from keras_similarity.regularizers.center_invariant import CenterInvariantRegularizer
from keras_similarity.regularizers.lp import LpRegularizer
from keras_similarity.regularizers.regular_face import RegularFaceRegularizer
from keras_similarity.regularizers.sparse_centers import SparseCentersRegularizer
from keras_similarity.regularizers.zero_mean import ZeroMeanRegularizer

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "CenterInvariantRegularizer",
    "LpRegularizer",
    "RegularFaceRegularizer",
    "Regularizer",
    "SparseCentersRegularizer",
    "ZeroMeanRegularizer",
    "deserialize",
    "get",
    "register",
    "serialize",
]
