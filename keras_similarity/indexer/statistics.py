"""How many lookups there were, and how long the last ones took."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import numpy as np


class LookupStatistics:
    """Counts lookups and keeps the seconds that each of the last ones took.

    Args:
        buffer_size: How many are kept.
    """

    def __init__(self, buffer_size: int) -> None:
        self.num_lookups = 0
        self._seconds: deque[float] = deque(maxlen=buffer_size)

    def add(self, queries: int, seconds: float) -> None:
        """Records a batch of lookups; each counts an equal share of the time."""
        if not queries:
            return
        self.num_lookups += queries
        kept = min(queries, self._seconds.maxlen or 0)
        self._seconds.extend(itertools.repeat(seconds / queries, kept))

    def summary(self) -> dict[str, Any]:
        """`num_lookups`, and `query_performance` in seconds: 0 before any lookup."""
        seconds = np.array(list(self._seconds) or [0.0])
        performance = {
            "min": seconds.min(),
            "max": seconds.max(),
            "avg": seconds.mean(),
            "median": np.median(seconds),
            "stddev": seconds.std(),
        }
        return {
            "num_lookups": self.num_lookups,
            "query_performance": {k: float(v) for k, v in performance.items()},
        }
