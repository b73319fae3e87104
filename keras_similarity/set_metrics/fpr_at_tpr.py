"""Accepted unknown queries where nearly all known ones are accepted."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.set_metrics.base import register
from keras_similarity.set_metrics.open_set import OpenSetMetric
from keras_similarity.set_metrics.verification import check_rate
from keras_similarity.types import Floats


@register("fpr@tpr", "fpr_at_95_tpr")
class FPRAtTPR(OpenSetMetric):
    """Share of unknown queries accepted at the strictest threshold with a TPR of `tpr`.

    TPR is the share of the known queries that are accepted, with whatever label. No
    line is drawn between thresholds. See `OpenSetMetric` for ties and undefined cases.

    Args:
        tpr: Share of the known queries to accept at least, between 0 and 1.
        name: Name of the object; `fpr@tpr=<tpr>` by default.

    Raises:
        ValueError: If `tpr` is out of range.

    Reference:
        [Liang et al., 2018](https://arxiv.org/abs/1706.02690)

    Example:
        >>> from keras_similarity.set_metrics import FPRAtTPR
        >>> FPRAtTPR().compute(
        ...     [[0.1], [1.3], [9.0], [1.1]], [0, 1, 2, 3], "euclidean",
        ...     key_embeddings=[[0.0], [1.0]], key_labels=[0, 1],
        ... )
        0.5
    """

    def __init__(self, tpr: float = 0.95, name: str | None = None) -> None:
        self.tpr = check_rate(tpr, "tpr")
        super().__init__(name or f"fpr@tpr={self.tpr:g}")

    def values(self, known: Floats, right: Floats, unknown: Floats) -> Floats:
        # Sums of weights, divided, may miss a rate like 0.95 by a rounding.
        reached = (known >= self.tpr * (1 - 1e-12)).argmax(axis=1)
        values = np.take_along_axis(unknown, reached[:, None], 1)[:, 0]
        return np.where(np.isnan(known[:, -1]), np.nan, values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tpr": self.tpr}
