"""Runs PyTorch Metric Learning's cases of the half that needs no Keras."""

import numpy as np

from keras_similarity import distances
from tests.golden.cases import Case, assert_close

# Where our default differs from the peer's.
DEFAULTS = {"SNRDistance": {"normalize_embeddings": True}}


def run_distance(case: Case) -> None:
    """The matrix in float64, and the peer's row-wise form."""
    query = case.inputs["query"]
    key = case.inputs.get("ref", query)
    options = {**DEFAULTS.get(case.peer_class, {}), **case.kwargs}
    distance = distances.get(case.peer_class, **options)
    matrix, expected = distance(query, key), case.expected["matrix"]
    assert distance.is_similarity == case.fields.get(
        "is_inverted", distance.is_similarity
    )
    if case.peer_class == "SNRDistance" and "degenerate" in case.tags:
        # No signal: the peer divides by 0, where ours stays finite.
        assert np.isfinite(matrix).all()
        has_signal = query.var(axis=1) > 1e-9
        matrix, expected = matrix[has_signal], expected[has_signal]
    assert_close(matrix, expected, 1e-6, "matrix")
    if "pairwise" in case.expected:
        other = case.inputs.get("ref", query[::-1])
        rows = min(len(query), len(other))
        pairwise = distance.pairwise_distance(query[:rows], other[:rows])
        assert_close(pairwise, case.expected["pairwise"], 1e-6, "pairwise")
        diagonal = np.diag(distance(query[:rows], other[:rows]))
        assert_close(
            distance.paired(query[:rows], other[:rows]), diagonal, 1e-7, "paired"
        )


RUNNERS = {
    ("pml", "distance", name): run_distance
    for name in ("CosineSimilarity", "DotProductSimilarity", "LpDistance", "SNRDistance")
}
