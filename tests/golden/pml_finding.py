"""Runs PyTorch Metric Learning's cases of the half that needs no Keras."""

import numpy as np

from keras_similarity.distances import SNRDistance
from tests.golden.cases import Case, assert_close, unit_rows


def run_snr_distance(case: Case) -> None:
    """The peer's options (normalise first, raise to a power) are the caller's here."""
    query = case.inputs["query"]
    key = case.inputs.get("ref", query)
    distance = SNRDistance()
    # The matrix is normalised unless told otherwise, the row-wise form never.
    is_normalized = case.kwargs.get("normalize_embeddings", True)
    prepare = unit_rows if is_normalized else np.asarray
    matrix = distance(prepare(query), prepare(key)) ** case.kwargs.get("power", 1)
    expected = case.expected["matrix"]
    if "degenerate" in case.tags:
        # No signal: the peer divides by 0, where ours stays finite.
        assert np.isfinite(matrix).all()
        has_signal = query.var(axis=1) > 1e-9
        matrix, expected = matrix[has_signal], expected[has_signal]
    assert_close(matrix, expected, 1e-6, "matrix")
    if "pairwise" in case.expected:
        other = case.inputs.get("ref", query[::-1])
        rows = min(len(query), len(other))
        paired = distance.paired(query[:rows], other[:rows])
        assert_close(paired, case.expected["pairwise"], 1e-6, "pairwise")


RUNNERS = {("pml", "distance", "SNRDistance"): run_snr_distance}
