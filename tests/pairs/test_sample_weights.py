import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.distances import CosineDistance
from keras_similarity.miners import TripletMarginMiner
from keras_similarity.pairs import (
    Batch,
    Pairs,
    pair_indices,
    pairs_from_indices,
    sample_weights,
    triplet_indices,
)
from tests.backend import jit

RNG = np.random.default_rng(0)
LABELS = np.array([0, 0, 1, 1, 2, 0])
X = RNG.normal(size=(6, 3)).astype("float32")


def by_counting(columns, rows, anchors_only=False):
    """As PyTorch Metric Learning counts its index vectors."""
    if anchors_only:
        columns = columns[:1] if len(columns) == 3 else columns[0::2]
    counts = np.bincount(np.concatenate(columns).astype("int64"), minlength=rows)
    return counts / counts.max() if counts.max() else np.ones(rows)


@pytest.mark.parametrize("anchors_only", [False, True])
@pytest.mark.parametrize("columns", [3, 4])
def test_rows_are_weighted_by_how_often_they_are_listed(columns, anchors_only):
    indices = RNG.integers(0, 5, size=(columns, 9))
    if columns == 4:
        indices = (*indices[:2], *indices[2:, :6])
    pairs = pairs_from_indices(indices, (6, 6))
    found = ops.convert_to_numpy(sample_weights(pairs, anchors_only=anchors_only))
    expected = by_counting(list(indices), 6, anchors_only)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[5] == 0


def test_triplets_of_a_rule_are_counted_as_a_list_would_be():
    pairs = TripletMarginMiner(margin=0.5)(LABELS, X)
    indices = triplet_indices(pairs)
    assert 0 < len(indices[0]) < 40
    found = ops.convert_to_numpy(sample_weights(pairs))
    np.testing.assert_allclose(found, by_counting(indices, 6), rtol=1e-6)


def test_an_empty_choice_weights_all_rows_by_1():
    nothing = np.zeros((6, 6), bool)
    found = jit(lambda p, n: sample_weights(Pairs(p, n)))(
        ops.convert_to_tensor(nothing), ops.convert_to_tensor(nothing)
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(found), np.ones(6))


def test_a_batch_knows_whether_its_pairs_were_chosen():
    batch = Batch(LABELS, X, distance=CosineDistance())
    assert batch.sample_weights is None
    chosen = pairs_from_indices(([0, 0], [1, 5], [2], [3]), (6, 6))
    indices = pair_indices(chosen)
    mined = ops.convert_to_numpy(batch.with_pairs(chosen).sample_weights)
    np.testing.assert_allclose(mined, by_counting(indices, 6))
    given = Batch(LABELS, X, LABELS, X + 1, pairs=chosen, distance=CosineDistance())
    found = ops.convert_to_numpy(given.sample_weights)
    np.testing.assert_allclose(found, by_counting(indices, 6, anchors_only=True))
