"""Losses over the embeddings of a batch."""

from keras_similarity.losses.cosine_similarity import cosine_similarity
from keras_similarity.losses.metric_loss import MetricLoss, register, registry
from keras_similarity.losses.multi_similarity import MultiSimilarityLoss, multi_similarity
from keras_similarity.losses.triplet import TripletLoss, triplet

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "MetricLoss",
    "MultiSimilarityLoss",
    "TripletLoss",
    "cosine_similarity",
    "deserialize",
    "get",
    "multi_similarity",
    "register",
    "serialize",
    "triplet",
]
