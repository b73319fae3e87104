"""Accepted positives at a bounded share of accepted negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.pair_counts import PairCounts
from keras_similarity.set_metrics.roc import true_accepts_at
from keras_similarity.set_metrics.verification import VerificationMetric, check_rate
from keras_similarity.types import Floats


@register("tar@far", "tpr@fpr")
class TARAtFAR(VerificationMetric):
    """TAR@FAR: the largest share of positive pairs accepted at a FAR of at most `far`.

    No line is drawn between the points of the ROC curve: what is reported can be had
    (where costs are counted in bins, a line is drawn within a bin). 0 where even the
    strictest threshold accepts too many negatives, as at less than 1 / (number of
    negative pairs). See `VerificationMetric` for pairs, ties, duplicates and undefined
    cases.

    Args:
        far: Largest false-accept rate, between 0 and 1.
        pairs: As `VerificationMetric` has it.
        name: Name of the object; `tar@far=<far>` by default.

    Raises:
        ValueError: If `far` is out of range.

    Reference:
        [Huang et al., 2007](http://vis-www.cs.umass.edu/lfw/lfw.pdf) and the IJB series.

    Example:
        >>> from keras_similarity.set_metrics import TARAtFAR
        >>> embeddings = [[0.0], [1.0], [3.0], [5.5]]
        >>> TARAtFAR(far=0.1).compute(embeddings, [0, 0, 1, 1], "euclidean")
        0.5
    """

    def __init__(
        self,
        far: float = 1e-3,
        pairs: Sequence[Sequence[int]] | None = None,
        name: str | None = None,
    ) -> None:
        self.far = check_rate(far, "far")
        super().__init__(pairs, name or f"tar@far={self.far:g}")

    def values(self, counts: PairCounts) -> Floats:
        return true_accepts_at(counts, self.far)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "far": self.far}
