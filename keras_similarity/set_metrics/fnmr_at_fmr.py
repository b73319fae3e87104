"""Missed positives at a bounded share of accepted negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.pair_counts import PairCounts
from keras_similarity.set_metrics.roc import true_accepts_at
from keras_similarity.set_metrics.verification import VerificationMetric, check_rate
from keras_similarity.types import Floats


@register("fnmr@fmr", "frr@far")
class FNMRAtFMR(VerificationMetric):
    """FNMR@FMR: the smallest share of positive pairs missed at an FMR of at most `fmr`.

    The biometric name of `1 - TAR@FAR`; see `TARAtFAR`, and `VerificationMetric` for
    pairs, ties, duplicates and undefined cases.

    Args:
        fmr: Largest false-match rate, between 0 and 1.
        pairs: As `VerificationMetric` has it.
        name: Name of the object; `fnmr@fmr=<fmr>` by default.

    Raises:
        ValueError: If `fmr` is out of range.

    Reference:
        ISO/IEC 19795-1; the NIST face recognition evaluations report it.

    Example:
        >>> from keras_similarity.set_metrics import FNMRAtFMR
        >>> embeddings = [[0.0], [1.0], [3.0], [5.5]]
        >>> FNMRAtFMR(fmr=0.1).compute(embeddings, [0, 0, 1, 1], "euclidean")
        0.5
    """

    def __init__(
        self,
        fmr: float = 1e-3,
        pairs: Sequence[Sequence[int]] | None = None,
        name: str | None = None,
    ) -> None:
        self.fmr = check_rate(fmr, "fmr")
        super().__init__(pairs, name or f"fnmr@fmr={self.fmr:g}")

    def values(self, counts: PairCounts) -> Floats:
        return 1.0 - true_accepts_at(counts, self.fmr)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fmr": self.fmr}
