"""Matchers: from the neighbours of a query to one label, and how often it is right."""

from keras_similarity.matchers.base import ClassificationMatch, register, registry
from keras_similarity.matchers.majority_vote import MatchMajorityVote
from keras_similarity.matchers.nearest import MatchNearest
from keras_similarity.matchers.per_class import MatchPerClass
from keras_similarity.matchers.weighted_vote import MatchWeightedVote

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize
make_classification_matcher = registry.get

__all__ = [
    "ClassificationMatch",
    "MatchMajorityVote",
    "MatchNearest",
    "MatchPerClass",
    "MatchWeightedVote",
    "deserialize",
    "get",
    "make_classification_matcher",
    "register",
    "serialize",
]
