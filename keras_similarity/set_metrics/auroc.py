"""Area under the ROC curve of pairs."""

from __future__ import annotations

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.pair_counts import PairCounts
from keras_similarity.set_metrics.roc import area
from keras_similarity.set_metrics.verification import VerificationMetric
from keras_similarity.types import Floats


@register("auroc")
class AUROC(VerificationMetric):
    """Area under the ROC curve: P(positive pair nearer) + P(equally near) / 2.

    0.5 is chance, 1 perfect. scikit-learn's `roc_auc_score` of the pairs' costs, negated.
    See `VerificationMetric` for pairs, ties, duplicates and undefined cases.

    Reference:
        [Fawcett, 2006](https://doi.org/10.1016/j.patrec.2005.10.010)

    Example:
        >>> from keras_similarity.set_metrics import AUROC
        >>> embeddings = [[0.0], [1.0], [3.0], [5.5]]
        >>> AUROC().compute(embeddings, [0, 0, 1, 1], "euclidean")
        0.875
        >>> some = AUROC(pairs=([0, 0, 2], [1, 2, 3]))
        >>> some.compute(embeddings, [0, 0, 1, 1], "euclidean")
        1.0
    """

    default_name = "auroc"

    def values(self, counts: PairCounts) -> Floats:
        return area(counts)
