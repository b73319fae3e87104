"""Bins that hold any cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_similarity.types import Floats, Ints

#: Number of bins.
BINS = 2**20


@dataclass(frozen=True)
class CostBins:
    """2**20 bins over all numbers, narrow where costs lie and ever wider outside.

    A cost `c` is at `x / (1 + |x|)`, from -1 to 1, with `x = (c - center) / scale`: a
    bin is `scale / 2**19` wide at the center, four times that at a distance of `scale`.

    Attributes:
        center: Cost in the middle.
        scale: Within so much of the center half of the bins lie.
    """

    center: float
    scale: float

    @classmethod
    def of(cls, costs: Floats) -> CostBins:
        """Bins that suit a sample of costs."""
        costs = costs.astype("float64")
        center = float(np.median(costs)) if costs.size else 0.0
        spread = float(np.quantile(np.abs(costs - center), 0.999)) if costs.size else 0.0
        return cls(center, spread or abs(center) or 1.0)

    def places(self, costs: Floats) -> Ints:
        """Bin of each cost, int64, of the shape of the costs."""
        # In float32 rounding moves a cost by a sixteenth of a bin.
        x = costs - costs.dtype.type(self.center)
        x /= self.scale
        size = np.abs(x)
        size += 1.0
        x /= size
        x += 1.0
        x *= BINS // 2
        places = x.astype("int64")
        return np.minimum(places, BINS - 1, out=places)

    def upper_edges(self) -> Floats:
        """Largest cost of each bin; that of the last is infinite."""
        y = np.arange(1, BINS + 1) / (BINS / 2) - 1.0
        with np.errstate(divide="ignore"):
            return self.center + self.scale * y / (1.0 - np.abs(y))
