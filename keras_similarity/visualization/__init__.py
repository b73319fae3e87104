"""Figures that show what a similarity model does; they need `keras-similarity[viz]`."""

from keras_similarity.visualization.audit import plot_audit
from keras_similarity.visualization.calibration import plot_calibration
from keras_similarity.visualization.confusion_matrix import (
    confusion_matrix,
    plot_confusion,
)
from keras_similarity.visualization.distance_histogram import plot_distances
from keras_similarity.visualization.neighbors import (
    plot_neighbors,
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)
from keras_similarity.visualization.per_class import plot_per_class
from keras_similarity.visualization.projection import plot_projection
from keras_similarity.visualization.roc import plot_roc
from keras_similarity.visualization.worst_queries import plot_worst_queries

__all__ = [
    "confusion_matrix",
    "plot_audit",
    "plot_calibration",
    "plot_confusion",
    "plot_distances",
    "plot_neighbors",
    "plot_per_class",
    "plot_projection",
    "plot_roc",
    "plot_worst_queries",
    "viz_neigbors_imgs",
    "viz_neighbors_imgs",
]
