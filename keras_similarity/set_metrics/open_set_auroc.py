"""Known against unknown queries."""

from __future__ import annotations

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.open_set import OpenSetMetric, area_between
from keras_similarity.types import Floats


@register("open_set_auroc")
class OpenSetAUROC(OpenSetMetric):
    """P(a known query is nearer to its nearest key than an unknown one) + P(equal) / 2.

    0.5 is chance, 1 perfect; whether the nearest key is of the right class does not
    matter. See `OpenSetMetric` for ties and undefined cases.

    Reference:
        [Hendrycks and Gimpel, 2017](https://arxiv.org/abs/1610.02136)

    Example:
        >>> from keras_similarity.set_metrics import OpenSetAUROC
        >>> OpenSetAUROC().compute(
        ...     [[0.1], [1.3], [9.0]], [0, 1, 2], "euclidean",
        ...     key_embeddings=[[0.0], [1.0]], key_labels=[0, 1],
        ... )
        1.0
    """

    default_name = "open_set_auroc"

    def values(self, known: Floats, right: Floats, unknown: Floats) -> Floats:
        return area_between(unknown, known)
