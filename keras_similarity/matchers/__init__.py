"""Matchers: from the neighbours of a query to one label, and how often it is right."""

from keras_similarity.matchers.base import ClassificationMatch, register, registry
from keras_similarity.matchers.majority_vote import MatchMajorityVote
from keras_similarity.matchers.nearest import MatchNearest

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize
make_classification_matcher = registry.get

__all__ = [
    "ClassificationMatch",
    "MatchMajorityVote",
    "MatchNearest",
    "deserialize",
    "get",
    "make_classification_matcher",
    "register",
    "serialize",
]
