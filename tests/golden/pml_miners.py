"""Runs PyTorch Metric Learning's cases of miners."""

import numpy as np

from keras_similarity import miners
from keras_similarity.backend import ops
from keras_similarity.miners import distance_weights
from keras_similarity.pairs import pair_indices, triplet_indices
from tests.golden.cases import Case, assert_close
from tests.golden.pml_objects import make_object

# The peer computed in float64, ours in float32.
VALUES = 1e-5
SIDES = ("pos", "neg")


def run_miner(case: Case) -> None:
    """Which pairs or triplets are chosen."""
    miner = make_object(case.peer_class, case.kwargs)
    if "external_pos_pairs" in case.inputs:
        columns = [case.inputs[f"external_{side}_pairs"].T for side in SIDES]
        miner.set_idx_externally((*columns[0], *columns[1]), case.inputs["labels"])
    pairs = mined(miner, case)
    if "triplets" in case.expected:
        found = np.stack(triplet_indices(pairs), axis=1)
        np.testing.assert_array_equal(found, case.expected["triplets"])
        return
    columns = pair_indices(pairs)
    for side, found in zip(SIDES, (columns[:2], columns[2:]), strict=True):
        if "ties" in case.tags:
            values = np.sort(distance_matrix(miner, case)[found])
            assert_close(values, np.sort(case.expected[f"{side}_values"]), VALUES, side)
        else:
            expected = case.expected[f"{side}_pairs"]
            np.testing.assert_array_equal(np.stack(found, axis=1), expected)


def run_distance_weighted(case: Case) -> None:
    """The law of the draws, and how many there are; which it draws is left to chance."""
    miner = make_object(case.peer_class, case.kwargs)
    labels = case.inputs["labels"]
    is_other = labels[:, None] != case.inputs.get("ref_labels", labels)[None, :]
    weights = distance_weights(
        ops.convert_to_tensor(distance_matrix(miner, case)),
        ops.convert_to_tensor(is_other),
        dim=case.inputs["embeddings"].shape[1],
        cutoff=miner.cutoff,
        nonzero_loss_cutoff=miner.nonzero_loss_cutoff,
    )
    weights = ops.convert_to_numpy(weights).astype("float64")
    expected = case.expected["negative_probabilities"]
    with np.errstate(invalid="ignore"):
        law = weights / weights.sum(axis=1, keepdims=True)
    assert_close(law, expected, 1e-4, "negative_probabilities")
    anchors, positives, negatives = triplet_indices(mined(miner, case))
    counts = np.bincount(anchors, minlength=len(labels))
    np.testing.assert_array_equal(counts, case.expected["triplets_per_anchor"])
    assert (expected[anchors, negatives] > 0).all()
    assert not is_other[anchors, positives].any()
    if "ref_emb" not in case.inputs:
        assert (anchors != positives).all()


def run_uniform_histogram(case: Case) -> None:
    """How many pairs come from each bin."""
    miner = make_object(case.peer_class, case.kwargs)
    columns = pair_indices(mined(miner, case))
    distances = distance_matrix(miner, case)
    for side, found in zip(SIDES, (columns[:2], columns[2:]), strict=True):
        edges = case.expected[f"{side}_bin_edges"]
        # The ends are distances, which float32 rounds past the edges.
        chosen = np.clip(distances[found], edges[0], edges[-1])
        counts = np.histogram(chosen, edges)[0]
        per_bin = getattr(miner, f"{side}_per_bin")
        assert set(counts.tolist()) <= {0, per_bin}
        assert counts.sum() == case.expected[f"num_{side}_pairs"]


def mined(miner, case):
    """What the miner makes of the batch of a case."""
    inputs = case.inputs
    keys = inputs.get("ref_emb")
    return miner(
        inputs["labels"],
        inputs["embeddings"].astype("float32"),
        inputs.get("ref_labels"),
        None if keys is None else keys.astype("float32"),
    )


def distance_matrix(miner, case):
    """Distances, by the miner's distance, of a case."""
    keys = case.inputs.get("ref_emb")
    return miner.distance(
        case.inputs["embeddings"].astype("float32"),
        None if keys is None else keys.astype("float32"),
    )


DRAWING = {
    "DistanceWeightedMiner": run_distance_weighted,
    "UniformHistogramMiner": run_uniform_histogram,
}
RUNNERS = {
    ("pml", "miner", name): DRAWING.get(name, run_miner) for name in miners.__all__
}
