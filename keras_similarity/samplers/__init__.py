"""Batches in which every class has company, for `fit` and for loops of one's own."""

from keras_similarity.samplers.class_batches import ClassBatches
from keras_similarity.samplers.multi_shot_memory import MultiShotMemorySampler
from keras_similarity.samplers.sampler import Sampler
from keras_similarity.samplers.select_examples import select_examples
from keras_similarity.samplers.single_shot_memory import SingleShotMemorySampler

__all__ = [
    "ClassBatches",
    "MultiShotMemorySampler",
    "Sampler",
    "SingleShotMemorySampler",
    "select_examples",
]
