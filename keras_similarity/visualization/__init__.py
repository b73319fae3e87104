"""Figures that show what a similarity model does; they need `keras-similarity[viz]`."""

from keras_similarity.visualization.calibration import plot_calibration
from keras_similarity.visualization.confusion_matrix import confusion_matrix
from keras_similarity.visualization.neighbors import (
    plot_neighbors,
    viz_neigbors_imgs,
    viz_neighbors_imgs,
)
from keras_similarity.visualization.projection import plot_projection

__all__ = [
    "confusion_matrix",
    "plot_calibration",
    "plot_neighbors",
    "plot_projection",
    "viz_neigbors_imgs",
    "viz_neighbors_imgs",
]
