"""The index: finds neighbours, with what was indexed with them, and judges itself."""

from keras_similarity.indexer.indexer import Indexer
from keras_similarity.stores.filter import Filter, field

__all__ = ["Filter", "Indexer", "field"]
