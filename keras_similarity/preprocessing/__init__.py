"""How an input becomes an array."""

from keras_similarity.preprocessing.preprocessing import Preprocessing

__all__ = ["Preprocessing"]
