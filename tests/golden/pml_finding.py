"""Runs PyTorch Metric Learning's cases of the half that needs no Keras."""

import numpy as np

from keras_similarity import distances, evaluators
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


COMPARISONS = {
    "abs(x-y)<=1": lambda x, y: abs(x - y) <= 1,
    "x[...,0]==y[...,0] and x[...,1]!=y[...,1]": lambda x, y: (
        (x[..., 0] == y[..., 0]) & (x[..., 1] != y[..., 1])
    ),
}


def run_accuracy_calculator(case: Case) -> None:
    inputs, call = dict(case.inputs), case.fields.get("call", {})
    kwargs = dict(case.kwargs)
    if "knn_func" in kwargs:  # The peer's way to say which distance.
        distance = kwargs.pop("knn_func")["kwargs"]["distance"]
        options = {**DEFAULTS.get(distance["class"], {}), **distance["kwargs"]}
        kwargs["distance"] = distances.get(distance["class"], **options)
    if "cluster_labels" in inputs:
        clusters = inputs.pop("cluster_labels")
        kwargs["kmeans_func"] = lambda embeddings, count: clusters
    if "label_comparison_fn" in call:
        kwargs["label_comparison_fn"] = COMPARISONS[call["label_comparison_fn"]]
    includes = call["ref_includes_query"] and "reference" in inputs
    actual = evaluators.AccuracyCalculator(**kwargs).get_accuracy(
        **inputs, ref_includes_query=includes
    )
    assert set(actual) == set(case.expected)
    if case.is_peer_quirk:
        # The peer subtracts the query where it does not match itself, too.
        _check_own_rows_are_no_matches(actual, kwargs, inputs)
        return
    for name, expected in case.expected.items():
        assert_close(actual[name], expected, 1e-6, name)


def _check_own_rows_are_no_matches(actual, kwargs, inputs) -> None:
    labels, x = inputs["query_labels"], inputs["query"]
    match = kwargs["label_comparison_fn"](labels[:, None], labels[None])
    distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = match[np.arange(len(x)), distance.argmin(axis=1)]
    assert not np.diag(match).any()
    expected = nearest[match.any(axis=1)].mean()
    assert_close(actual["precision_at_1"], expected, 1e-6, "precision_at_1")


RUNNERS = {
    **{
        ("pml", "distance", name): run_distance
        for name in (
            "CosineSimilarity",
            "DotProductSimilarity",
            "LpDistance",
            "SNRDistance",
        )
    },
    ("pml", "metric", "AccuracyCalculator"): run_accuracy_calculator,
}
