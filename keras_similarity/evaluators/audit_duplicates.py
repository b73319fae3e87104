"""Rows that are nearly the same."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity import distances
from keras_similarity.search.exact import nearest, prepared
from keras_similarity.set_metrics.neighbors import nearest_keys
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

# Of the median distance to the nearest row: so close are duplicates.
_NEAR = 0.01


def find_duplicates(
    rows: Rows, sets: Any, found: Ints, costs: Floats, limit: float | None
) -> pd.DataFrame:
    """Pairs of rows within a limit, those across sets first, then the nearest.

    Args:
        rows: The rows.
        sets: Name `[N]` of each one's set, or `None`.
        found: Neighbours `[N, K]` of each.
        costs: Their costs `[N, K]`.
        limit: Largest distance; `None`: a hundredth of the median of the nearest.
    """
    if rows.distance.is_similarity:
        # What is most similar need not be the same, nor its value known.
        name = "cosine" if rows.distance.is_cosine else "euclidean"
        rows = dataclasses.replace(rows, distance=distances.get(name))
        found, costs = nearest_keys(rows, max(found.shape[1], 1))
    if limit is None:
        rounding = 1e-6 * float(np.abs(costs).max(initial=0.0))
        limit = _NEAR * float(np.median(costs[:, :1])) + rounding if costs.size else 0.0
    row, column = np.nonzero(costs <= limit)
    pairs = [np.stack([row, found[row, column]])]
    values = [costs[row, column]]
    for name in np.unique(sets) if sets is not None and found.shape[1] else ():
        pair, value = _across(rows, sets == name, found.shape[1], limit)
        pairs.append(pair)
        values.append(value)
    # A pair is found from both sides, and may be found within and across sets.
    pair = np.sort(np.concatenate(pairs, axis=1), axis=0)
    pair, first = np.unique(pair, axis=1, return_index=True)
    return _frame(rows, sets, pair, np.concatenate(values)[first])


def _across(rows: Rows, is_here: Any, k: int, limit: float) -> tuple[Ints, Floats]:
    """Pairs of a row of one set and a row of another, and their distances."""
    here, there = np.flatnonzero(is_here), np.flatnonzero(~is_here)
    if len(there) == 0:
        return np.zeros((2, 0), "int64"), np.zeros(0, "float32")
    keys = prepared(rows.distance, rows.embeddings[there])
    near, values = nearest(rows.distance, rows.embeddings[here], keys, k)
    row, column = np.nonzero(values <= limit)
    return np.stack([here[row], there[near[row, column]]]), values[row, column]


def _frame(rows: Rows, sets: Any, pair: Ints, values: Floats) -> pd.DataFrame:
    import pandas as pd

    first, second = pair
    is_within = (
        np.zeros(len(first), bool) if sets is None else sets[first] == sets[second]
    )
    order = np.lexsort((second, first, values, is_within))
    first, second = first[order], second[order]
    columns = {
        "row": first,
        "other": second,
        "label": rows.labels[first],
        "other_label": rows.labels[second],
        "distance": values[order],
    }
    if sets is not None:
        columns |= {"set": sets[first], "other_set": sets[second]}
    return pd.DataFrame(columns)
