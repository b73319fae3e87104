"""Equal error rate of pairs."""

from __future__ import annotations

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.pair_counts import PairCounts
from keras_similarity.set_metrics.roc import equal_error
from keras_similarity.set_metrics.verification import VerificationMetric
from keras_similarity.types import Floats


@register("eer", "equal_error_rate")
class EER(VerificationMetric):
    """Equal error rate: the FAR at which the share of rejected positives is the same.

    The ROC curve is drawn through its points by straight lines, from (0, 0), and read
    where it meets `FAR = 1 - TAR`. 0 is perfect, 0.5 chance. See `VerificationMetric`
    for pairs, ties, duplicates and undefined cases.

    Reference:
        [Maio et al., 2002](https://doi.org/10.1109/34.990140)

    Example:
        >>> from keras_similarity.set_metrics import EER
        >>> embeddings = [[0.0], [1.0], [3.0], [5.5]]
        >>> EER().compute(embeddings, [0, 0, 1, 1], "euclidean")
        0.25
    """

    default_name = "eer"

    def values(self, counts: PairCounts) -> Floats:
        return equal_error(counts)
