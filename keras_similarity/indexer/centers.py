"""The mean of each class in an index."""

from __future__ import annotations

import numpy as np

from keras_similarity.array_ops import NUMPY
from keras_similarity.distances import Distance
from keras_similarity.distances.normalize import unit
from keras_similarity.indexer.contents import Contents
from keras_similarity.indexer.database_contents import DatabaseContents
from keras_similarity.types import NO_LABEL, Floats, Ints

# Rows that are read at once.
_ROWS_AT_ONCE = 2**16


def class_centers(
    contents: Contents | DatabaseContents, distance: Distance, dim: int
) -> tuple[Floats, Ints, Ints]:
    """Means `[C, D]`, labels `[C]` and numbers of rows `[C]` of the classes.

    Where the distance normalises embeddings it is the mean of normalised ones. Rows
    without a label belong to no class.

    Args:
        contents: The rows.
        distance: Of the index.
        dim: Embedding size `D`.
    """
    with contents.reading():
        rows = contents.searchable_rows()
        labels = contents.labels(rows)
        rows, labels = rows[labels != NO_LABEL], labels[labels != NO_LABEL]
        known, classes, counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        sums = np.zeros((len(known), dim))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            vectors = contents.vectors(rows[block])
            if distance.normalize_embeddings:
                vectors = unit(vectors, NUMPY, p=distance.p)
            np.add.at(sums, classes[block], vectors)
    means = sums / np.maximum(counts, 1)[:, None]
    return means.astype("float32"), known, counts
