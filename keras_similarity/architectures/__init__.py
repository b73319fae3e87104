"""Ready-made similarity models."""

from keras_similarity.architectures.small_conv import SmallConvSim

__all__ = ["SmallConvSim"]
