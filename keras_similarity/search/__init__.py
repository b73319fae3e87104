"""Engines that find the nearest of many embeddings."""

from keras_similarity.search.base import Search, register, registry
from keras_similarity.search.faiss import FaissSearch
from keras_similarity.search.linear import LinearSearch

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "FaissSearch",
    "LinearSearch",
    "Search",
    "deserialize",
    "get",
    "register",
    "serialize",
]
