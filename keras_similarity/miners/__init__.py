"""Which pairs of a batch teach most."""

from keras_similarity.miners.angular import AngularMiner
from keras_similarity.miners.base import Miner, register, registry
from keras_similarity.miners.batch_easy_hard import BatchEasyHardMiner
from keras_similarity.miners.batch_hard import BatchHardMiner
from keras_similarity.miners.distance_weighted import (
    DistanceWeightedMiner,
    distance_weights,
)
from keras_similarity.miners.embeddings_already_packaged_as_triplets import (
    EmbeddingsAlreadyPackagedAsTriplets,
)
from keras_similarity.miners.hdc import HDCMiner
from keras_similarity.miners.multi_similarity import MultiSimilarityMiner, hard_pairs
from keras_similarity.miners.pair_margin import PairMarginMiner
from keras_similarity.miners.triplet_margin import TripletMarginMiner
from keras_similarity.miners.uniform_histogram import UniformHistogramMiner

get = registry.get
serialize = registry.serialize
deserialize = registry.deserialize

__all__ = [
    "AngularMiner",
    "BatchEasyHardMiner",
    "BatchHardMiner",
    "DistanceWeightedMiner",
    "EmbeddingsAlreadyPackagedAsTriplets",
    "HDCMiner",
    "Miner",
    "MultiSimilarityMiner",
    "PairMarginMiner",
    "TripletMarginMiner",
    "UniformHistogramMiner",
    "deserialize",
    "distance_weights",
    "get",
    "hard_pairs",
    "register",
    "serialize",
]
