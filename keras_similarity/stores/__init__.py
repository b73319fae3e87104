"""Stores of what was indexed: embeddings, labels and data, by id."""

from keras_similarity.stores.base import Store, register, registry
from keras_similarity.stores.cached import CachedStore
from keras_similarity.stores.lance import LanceStore
from keras_similarity.stores.memory import MemoryStore
from keras_similarity.stores.redis import RedisStore
from keras_similarity.stores.sqlite import SQLiteStore

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "CachedStore",
    "LanceStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "deserialize",
    "get",
    "register",
    "serialize",
]
