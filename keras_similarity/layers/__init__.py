"""Layers that similarity models are made of."""

from keras_similarity.layers.metric_embedding import MetricEmbedding

__all__ = ["MetricEmbedding"]
