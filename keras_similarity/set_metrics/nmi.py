"""Normalised mutual information of classes and clusters."""

from __future__ import annotations

import numpy as np

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.clustering import ClusteringMetric, Contingency
from keras_similarity.types import Floats


@register("nmi", "normalized_mutual_info")
class NMI(ClusteringMetric):
    """NMI: `I(classes; clusters)` over the mean of the two entropies.

    From 0 (independent) to 1 (the same); as scikit-learn's
    `normalized_mutual_info_score` has it, which says 1 for one class in one cluster. It
    grows with the number of clusters: `AMI` does not. See `ClusteringMetric` for how
    clusters are found.

    Reference:
        [Vinh et al., 2010](https://jmlr.org/papers/v11/vinh10a.html)

    Example:
        >>> from keras_similarity.set_metrics import NMI
        >>> NMI(kmeans=lambda embeddings, clusters: [0, 0, 1, 1]).compute(
        ...     [[0.0], [0.1], [5.0], [5.1]], [3, 3, 8, 8]
        ... )
        1.0
    """

    default_name = "nmi"

    def agreement(self, table: Contingency) -> Floats:
        # Where there is one class or one cluster, nothing is shared.
        mean = table.mean_entropy
        return table.mutual_information / np.where(mean > 0, mean, 1.0)
