"""The index: finds neighbours, with what was indexed with them, and judges itself."""

from keras_similarity.indexer.indexer import Indexer

__all__ = ["Indexer"]
