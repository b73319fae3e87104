"""Open-set classification rate."""

from __future__ import annotations

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.open_set import OpenSetMetric, area_between
from keras_similarity.types import Floats


@register("oscr")
class OSCR(OpenSetMetric):
    """Area under the open-set classification rate curve.

    By threshold, the share of known queries that are accepted with the right label,
    against the share of unknown queries that are accepted: so it is at most the accuracy
    of the nearest key, and `OpenSetAUROC` where that is 1. Straight lines join the
    points. See `OpenSetMetric` for ties and undefined cases.

    Reference:
        [Dhamija et al., 2018](https://arxiv.org/abs/1811.04110)

    Example:
        >>> from keras_similarity.set_metrics import OSCR
        >>> OSCR().compute(
        ...     [[0.1], [0.6], [9.0]], [0, 0, 2], "euclidean",
        ...     key_embeddings=[[0.0], [1.0]], key_labels=[0, 1],
        ... )
        0.5
    """

    default_name = "oscr"

    def values(self, known: Floats, right: Floats, unknown: Floats) -> Floats:
        return area_between(unknown, right)
