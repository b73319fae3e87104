"""Models that own an index."""

from keras_similarity.models.similarity_model import SimilarityModel

__all__ = ["SimilarityModel"]
