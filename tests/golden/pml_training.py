"""Runs PyTorch Metric Learning's cases of the half that needs Keras."""

import numpy as np

from keras_similarity import distances
from keras_similarity.backend import ops
from keras_similarity.distances import SNRDistance
from keras_similarity.losses import MultiSimilarityLoss
from keras_similarity.pairs import Pairs
from tests.backend import gradients
from tests.golden.cases import Case, assert_close
from tests.golden.tfsim_training import assert_gradient_close

# The peer computed in float64, ours in float32.
VALUES = 1e-5


def run_snr_distance(case: Case) -> None:
    """The gradients; the values are compared without Keras."""
    if "grad_query" not in case.expected:
        return
    options = {"normalize_embeddings": True, **case.kwargs}
    distance = SNRDistance(**options)
    arrays = {
        name: case.inputs[name].astype("float32")
        for name in ("query", "ref")
        if name in case.inputs
    }
    cotangent = ops.convert_to_tensor(case.inputs["cotangent"].astype("float32"))
    found = gradients(lambda *x: ops.sum(distance(*x) * cotangent), *arrays.values())
    for name, slope in zip(arrays, found, strict=True):
        assert_gradient_close(slope, case.expected[f"grad_{name}"], name)


def run_multi_similarity(case: Case) -> None:
    """The peer's loss mines nothing, and has one `base` for `lmda` and `center`."""
    loss = multi_similarity_loss(**case.kwargs)
    names = [name for name in ("embeddings", "ref_emb") if name in case.inputs]
    arrays = [case.inputs[name].astype("float32") for name in names]

    def value(embeddings, keys=None):
        pairs = index_pairs(case)
        if pairs is not None:
            return loss(None, embeddings, pairs=pairs, key_embeddings=keys)
        key_labels = None if keys is None else case.inputs["ref_labels"]
        return loss(
            case.inputs["labels"],
            embeddings,
            key_labels=key_labels,
            key_embeddings=keys,
        )

    if case.is_peer_quirk:
        assert np.isfinite(float(value(*arrays)))
        return
    assert_close(float(value(*arrays)), case.expected["loss"].item(), VALUES)
    found = gradients(value, *arrays)
    for name, slope in zip(names, found, strict=True):
        assert_gradient_close(slope, case.expected[f"grad_{name}"], name)


def multi_similarity_loss(
    alpha=2, beta=50, base=0.5, distance=None
) -> MultiSimilarityLoss:
    """Our loss with the peer's arguments and defaults."""
    options = {"alpha": alpha, "beta": beta, "epsilon": None}
    if distance is None:  # Its cosine similarity is 1 less our cosine distance.
        return MultiSimilarityLoss("cosine", lmda=base, center=1, **options)
    ours = peer_distance(distance)
    lmda = base if ours.is_similarity else -base
    return MultiSimilarityLoss(ours, lmda=lmda, center=0, **options)


def peer_distance(config: dict) -> distances.Distance:
    """The distance that the peer's class and arguments mean."""
    defaults = {"SNRDistance": {"normalize_embeddings": True}}
    name = config["class"]
    return distances.get(name, **defaults.get(name, {}), **config["kwargs"])


def index_pairs(case: Case) -> Pairs | None:
    """Masks of the pairs that the peer was given as lists of indices."""
    inputs = case.inputs
    if "triplets" in inputs:
        positives, negatives = (
            inputs["triplets"][:, [0, 1]],
            inputs["triplets"][:, [0, 2]],
        )
    elif "pos_pairs" in inputs:
        positives, negatives = inputs["pos_pairs"], inputs["neg_pairs"]
    else:
        return None
    rows = len(inputs["embeddings"])
    masks = []
    for indices in (positives, negatives):
        mask = np.zeros((rows, len(inputs.get("ref_emb", inputs["embeddings"]))), "bool")
        mask[indices[:, 0], indices[:, 1]] = True
        masks.append(ops.convert_to_tensor(mask))
    return Pairs(*masks)


RUNNERS = {
    ("pml", "distance", "SNRDistance"): run_snr_distance,
    ("pml", "loss", "MultiSimilarityLoss"): run_multi_similarity,
}
