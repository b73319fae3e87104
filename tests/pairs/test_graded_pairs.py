"""Pairs from several labels a row, from a hierarchy, and from similarities."""

import numpy as np
import pytest

from keras_similarity.backend import framework, ops
from keras_similarity.losses import ContrastiveLoss, TripletMarginLoss
from keras_similarity.pairs import (
    Pairs,
    pairs_from_hierarchy,
    pairs_from_labels,
    pairs_from_multi_hot,
    pairs_from_similarity,
)
from tests.backend import eager, jit

MULTI_HOT = np.array(
    [[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
)
# Species, genus, family; species are counted anew in each genus.
LEVELS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 2**40], [0, 0, 0]])
FIELDS = ("positive_mask", "negative_mask", "positive_weights", "negative_weights")
both_modes = pytest.mark.parametrize("mode", [eager, jit])


def arrays(pairs):
    return [ops.convert_to_numpy(getattr(pairs, field)) for field in FIELDS]


def traced(mode, function, *tensors):
    """The fields of pairs that a function makes, in a mode."""
    tensors = [ops.convert_to_tensor(np.asarray(x, "int32")) for x in tensors]

    def fields(*tensors):
        pairs = function(*tensors)
        return tuple(getattr(pairs, field) for field in FIELDS)

    return [ops.convert_to_numpy(x) for x in mode(fields)(*tensors)]


def by_loops(similarity, *, is_self_paired, low=0.0, high=0.0):
    """The four arrays that the similarity of a row and a key means."""
    n, m = similarity.shape
    found = [np.zeros((n, m)) for _ in range(4)]
    for i in range(n):
        for j in range(m):
            if is_self_paired and i == j:
                continue
            s = similarity[i, j]
            if s > high:
                found[0][i, j], found[2][i, j] = True, s
            if s <= low:
                found[1][i, j], found[3][i, j] = True, 1 - s
    return found


def overlaps(labels, keys):
    sets, key_sets = ([set(np.flatnonzero(row)) for row in x] for x in (labels, keys))
    return np.array([[len(a & b) / max(len(a | b), 1) for b in key_sets] for a in sets])


def agreements(labels, keys, weights):
    def agreement(a, b):
        for level, weight in enumerate(weights):
            if (a[level:] == b[level:]).all():
                return weight
        return 0.0

    return np.array([[agreement(a, b) for b in keys] for a in labels])


def assert_same(found, expected):
    for field, a, b in zip(FIELDS, found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=field)


@both_modes
def test_labels_that_overlap_make_a_positive_by_how_much(mode):
    found = traced(mode, pairs_from_multi_hot, MULTI_HOT)
    expected = by_loops(overlaps(MULTI_HOT, MULTI_HOT), is_self_paired=True)
    assert_same(found, expected)
    assert_same(arrays(pairs_from_multi_hot(MULTI_HOT.tolist())), expected)
    assert_same(arrays(pairs_from_multi_hot(MULTI_HOT == 1)), expected)


@both_modes
def test_labels_of_keys_and_thresholds_are_heeded(mode):
    keys = MULTI_HOT[:3]
    found = traced(
        mode,
        lambda x, y: pairs_from_multi_hot(x, y, threshold=0.4, negative_threshold=0.2),
        MULTI_HOT,
        keys,
    )
    similarity = overlaps(MULTI_HOT, keys)
    assert ((similarity > 0.2) & (similarity <= 0.4)).any()
    assert_same(found, by_loops(similarity, is_self_paired=False, low=0.2, high=0.4))


@both_modes
def test_rows_are_as_near_as_the_finest_level_that_they_share(mode):
    expected = by_loops(
        agreements(LEVELS, LEVELS, [1, 2 / 3, 1 / 3]), is_self_paired=True
    )
    assert_same(arrays(pairs_from_hierarchy(LEVELS)), expected)
    small = np.where(LEVELS > 2**31, 7, LEVELS)
    assert_same(traced(mode, pairs_from_hierarchy, small), expected)


@both_modes
def test_level_weights_and_keys_are_heeded(mode):
    small, weights = np.where(LEVELS > 2**31, 7, LEVELS), [0.9, 0.9, 0.25]
    found = traced(
        mode,
        lambda x, y: pairs_from_hierarchy(x, y, level_weights=weights, threshold=0.5),
        small,
        small[1:],
    )
    similarity = agreements(small, small[1:], weights)
    expected = by_loops(similarity, is_self_paired=False, low=0.5, high=0.5)
    assert_same(found, expected)


@both_modes
def test_one_level_is_what_labels_are(mode):
    labels = LEVELS[:, 1]
    expected = pairs_from_labels(labels)
    found = traced(mode, pairs_from_hierarchy, labels[:, None])
    np.testing.assert_array_equal(found[0], ops.convert_to_numpy(expected.positive_mask))
    np.testing.assert_array_equal(found[1], ops.convert_to_numpy(expected.negative_mask))
    np.testing.assert_array_equal(found[2], found[0])
    np.testing.assert_array_equal(found[3], found[1])


def test_a_matrix_and_a_function_of_it_are_the_same():
    similarity = np.random.default_rng(0).uniform(size=(4, 4))
    expected = by_loops(similarity, is_self_paired=True, low=0.3, high=0.6)
    options = {"threshold": 0.6, "negative_threshold": 0.3}
    assert_same(arrays(pairs_from_similarity(similarity, **options)), expected)
    rows = np.arange(4)
    found = pairs_from_similarity(lambda x, y: similarity[x][:, y], rows, **options)
    assert_same(arrays(found), expected)
    found = pairs_from_similarity(lambda x, y: similarity[x][:, y], rows, rows, **options)
    expected = by_loops(similarity, is_self_paired=False, low=0.3, high=0.6)
    assert_same(arrays(found), expected)
    found = pairs_from_similarity(similarity, has_keys=True, **options)
    assert_same(arrays(found), expected)


@pytest.mark.skipif(framework() != "torch", reason="autocast is torch's")
def test_autocast_does_not_round_counts_of_labels():
    import torch

    labels = np.ones((2, 301))
    labels[1, 0] = 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = pairs_from_multi_hot(labels)
    np.testing.assert_allclose(pairs.positive_weights[0, 1], 300 / 301, rtol=1e-6)


def test_without_weights_each_pair_counts_once():
    pairs = pairs_from_multi_hot(MULTI_HOT, is_weighted=False)
    assert not pairs.is_weighted
    counts = ops.convert_to_numpy(pairs.positive_counts)
    np.testing.assert_array_equal(counts, ops.convert_to_numpy(pairs.positive_mask))


def test_weights_are_how_much_a_pair_counts_in_a_loss():
    x = np.random.default_rng(1).normal(size=(5, 3))
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    pairs = pairs_from_multi_hot(MULTI_HOT, threshold=0.3)
    _, _, positive, negative = by_loops(
        overlaps(MULTI_HOT, MULTI_HOT), is_self_paired=True, low=0.3, high=0.3
    )
    loss = ContrastiveLoss(neg_margin=9.0, distance="sql2", reducer="mean")
    far, near = np.maximum(d, 0), np.maximum(9 - d, 0)
    expected = np.average(far, weights=positive) + np.average(near, weights=negative)
    actual = float(loss(None, x.astype("float32"), pairs=pairs))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    loss = TripletMarginLoss(margin=1.0, distance="sql2", reducer="sum")
    expected = sum(
        positive[a, p] * negative[a, n] * max(d[a, p] - d[a, n] + 1, 0)
        for a, p, n in np.ndindex(5, 5, 5)
    )
    actual = float(loss(None, x.astype("float32"), pairs=pairs))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_weights_of_a_loss_may_be_arrays_and_must_fit():
    x = np.eye(3, dtype="float32")
    mask = np.eye(3)[[1, 2, 0]] > 0
    loss = ContrastiveLoss(distance="sql2", reducer="sum")
    pairs = Pairs(mask, ~mask, 2.0 * mask)
    np.testing.assert_allclose(float(loss(None, x, pairs=pairs)), 3 * 4 + 3, rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"`pairs\.positive_weights` must have the shape"
    ):
        loss(None, x, pairs=Pairs(mask, ~mask, mask[:2] * 1.0))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`labels` must be 1 where"):
        pairs_from_multi_hot([[0, 2]])
    with pytest.raises(
        ValueError, match=r"`labels` must have the shape \[rows, classes\]"
    ):
        pairs_from_multi_hot([0, 1])
    with pytest.raises(ValueError, match="a column for each class"):
        pairs_from_multi_hot(MULTI_HOT, MULTI_HOT[:, :2])
    with pytest.raises(ValueError, match="`threshold` must be from 0 and below 1"):
        pairs_from_multi_hot(MULTI_HOT, threshold=1.0)
    with pytest.raises(ValueError, match=r"negative_threshold=0\.6"):
        pairs_from_multi_hot(MULTI_HOT, threshold=0.5, negative_threshold=0.6)
    with pytest.raises(
        ValueError, match=r"`labels` must have the shape \[rows, levels\]"
    ):
        pairs_from_hierarchy([0, 1])
    with pytest.raises(ValueError, match="must have as many levels"):
        pairs_from_hierarchy(LEVELS, LEVELS[:, :2])
    with pytest.raises(ValueError, match="none larger than the one before"):
        pairs_from_hierarchy(LEVELS, level_weights=[0.5, 1, 0])
    with pytest.raises(ValueError, match="for each of the 3 levels"):
        pairs_from_hierarchy(LEVELS, level_weights=[1, 0.5])
    with pytest.raises(TypeError, match="integers"):
        pairs_from_hierarchy(LEVELS + 0.5)
    with pytest.raises(ValueError, match="`similarity` must be from 0 to 1"):
        pairs_from_similarity([[0.0, 1.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match="`similarity` must be from 0 to 1"):
        pairs_from_similarity([[0.0, np.nan], [0.0, 1.0]])
    with pytest.raises(ValueError, match="unless `has_keys`"):
        pairs_from_similarity(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`labels` must be given with a function"):
        pairs_from_similarity(lambda x, y: x)
    with pytest.raises(ValueError, match="`labels` are for a function"):
        pairs_from_similarity(np.ones((2, 2)), [0, 1])
