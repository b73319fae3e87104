"""Engines that find the nearest of many embeddings."""

from keras_similarity.search.approximate import ApproximateSearch
from keras_similarity.search.auto import AutoSearch
from keras_similarity.search.base import Search, register, registry
from keras_similarity.search.faiss import FaissSearch
from keras_similarity.search.linear import LinearSearch
from keras_similarity.search.nmslib import NMSLibSearch
from keras_similarity.search.usearch import UsearchSearch

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "ApproximateSearch",
    "AutoSearch",
    "FaissSearch",
    "LinearSearch",
    "NMSLibSearch",
    "Search",
    "UsearchSearch",
    "deserialize",
    "get",
    "register",
    "serialize",
]
