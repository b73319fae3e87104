"""From the values of a loss to one number."""

from keras_similarity.reducers.avg_non_zero import AvgNonZeroReducer
from keras_similarity.reducers.base import Reducer, register, registry
from keras_similarity.reducers.class_weighted import ClassWeightedReducer
from keras_similarity.reducers.divisor import DivisorReducer
from keras_similarity.reducers.do_nothing import DoNothingReducer
from keras_similarity.reducers.mean import MeanReducer
from keras_similarity.reducers.multiple import MultipleReducers
from keras_similarity.reducers.per_anchor import PerAnchorReducer
from keras_similarity.reducers.sub_loss import SubLoss
from keras_similarity.reducers.sum import SumReducer
from keras_similarity.reducers.threshold import ThresholdReducer

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "AvgNonZeroReducer",
    "ClassWeightedReducer",
    "DivisorReducer",
    "DoNothingReducer",
    "MeanReducer",
    "MultipleReducers",
    "PerAnchorReducer",
    "Reducer",
    "SubLoss",
    "SumReducer",
    "ThresholdReducer",
    "deserialize",
    "get",
    "register",
    "serialize",
]
