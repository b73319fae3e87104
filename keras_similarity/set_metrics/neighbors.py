"""The nearest keys of each row, its own left out."""

from __future__ import annotations

import numpy as np

from keras_similarity.search.exact import nearest, prepared
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats, Ints

# Neighbours looked up at once: of some 10,000 rows if there are 100 each.
_FOUND = 2**20


def nearest_keys(rows: Rows, k: int) -> tuple[Ints, Floats]:
    """Row numbers and costs `[N, min(k, keys)]` of the nearest keys, nearest first.

    Keys at the same distance come in the order of their rows; a row is not its own
    neighbour, copies of it are.
    """
    keys = prepared(rows.distance, rows.key_embeddings)
    wanted = min(k + rows.is_self, len(keys))
    width = max(wanted - rows.is_self, 0)
    found = np.zeros((len(rows.embeddings), width), "int64")
    costs = np.zeros((len(rows.embeddings), width), "float32")
    step = max(_FOUND // max(wanted, 1), 1)
    for start in range(0, len(found) if width else 0, step):
        part = slice(start, start + step)
        near, distances = nearest(rows.distance, rows.embeddings[part], keys, wanted)
        if rows.is_self:
            own = near == np.arange(start, start + len(near))[:, None]
            # Among many copies a row may not have found itself: the last one goes then.
            own[~own.any(axis=1), -1] = True
            near = near[~own].reshape(len(near), width)
            distances = distances[~own].reshape(len(near), width)
        found[part], costs[part] = near, rows.distance.to_cost(distances)
    return found, costs
