"""What is drawn, how often, and that the next draw is another one."""

from functools import partial

import numpy as np
import pytest

from keras_similarity import miners
from keras_similarity.backend import keras, ops
from keras_similarity.losses import TripletMarginLoss
from keras_similarity.miners import DistanceWeightedMiner, UniformHistogramMiner
from keras_similarity.models import SimilarityModel
from keras_similarity.pairs import (
    draw_columns,
    pairs_from_labels,
    random_triplets,
    triplet_indices,
)
from tests.backend import eager, jit
from tests.miners import loops

LABELS = np.array([0, 0, 1, 1, 0, 2, 3, 3], "int32")
EMBEDDINGS = np.random.default_rng(5).normal(size=(8, 4)).astype("float32")
POSITIVES, NEGATIVES = loops.candidates(LABELS)
MODES = [eager, partial(jit, full_graph=False)]


def law(distances, dim, cutoff, bound):
    """Chance of each negative: one over the density of distances on a sphere."""
    chances = np.zeros_like(distances)
    for i, row in enumerate(NEGATIVES):
        for j in row:
            d = max(distances[i, j], cutoff)
            density = d ** (dim - 2) * (1 - d * d / 4) ** ((dim - 3) / 2)
            chances[i, j] = (d < bound) / density
    total = chances.sum(axis=1, keepdims=True)
    return np.divide(chances, total, out=np.zeros_like(chances), where=total > 0)


def test_columns_are_drawn_by_their_weights_and_never_without_one():
    weights = np.array([[0, 1, 0, 3, 0], [0, 0, 0, 0, 2], [5, 0, 0, 0, 0]], "float32")
    uniform = np.tile(np.r_[np.arange(100) / 100, 1 - 2**-24], (3, 1)).astype("float32")
    columns = ops.convert_to_numpy(
        draw_columns(*map(ops.convert_to_tensor, (weights, uniform)))
    )
    assert [set(row) for row in columns] == [{1, 3}, {4}, {0}]
    assert abs((columns[0] == 1).mean() - 0.25) < 0.02


@pytest.mark.parametrize("mode", MODES)
def test_distance_weighted_draws_follow_their_law(mode):
    miner = DistanceWeightedMiner(cutoff=0.6, nonzero_loss_cutoff=1.3, seed=1)
    found = np.zeros((2, 8, 8))
    many = 200
    if mode is not eager:  # Compiled alone it draws the same numbers on JAX each time.
        many = 1
    for _ in range(many):
        for side, counts in enumerate(counted(mode, miner)):
            found[side] += counts
    distances = loops.euclidean(EMBEDDINGS, EMBEDDINGS)
    chances = law(distances, 4, 0.6, 1.3)
    can_be = (chances.sum(axis=1) > 0) & np.array([bool(p) for p in POSITIVES])
    sizes = np.array([1 + len(p) for p in POSITIVES]) * can_be
    np.testing.assert_array_equal(found.sum(axis=2), np.stack([sizes * many] * 2))
    assert not found[1][chances == 0].any()
    if many > 1:
        drawn = found[1] / np.maximum(found[1].sum(axis=1, keepdims=True), 1)
        np.testing.assert_allclose(drawn, chances * can_be[:, None], atol=0.08)
        for i, row in enumerate(POSITIVES):
            if can_be[i]:
                share = found[0][i, row] / found[0][i].sum()
                np.testing.assert_allclose(share, 1 / len(row), atol=0.08)


def counted(mode, miner):
    run = mode(
        lambda y, x: (lambda p: (p.positive_counts, p.negative_counts))(miner(y, x))
    )
    found = run(*map(ops.convert_to_tensor, (LABELS, EMBEDDINGS)))
    return [ops.convert_to_numpy(counts) for counts in found]


def test_a_row_far_from_all_others_keeps_its_negatives():
    # In 256 dimensions the weights of rows are so far apart that float32 underflows.
    x = np.eye(256, dtype="float32")[[0, 0, 1, 2, 3, 3]]
    x[2] += 3.0 * x[0]
    labels = np.array([0, 0, 1, 2, 3, 3])
    pairs = DistanceWeightedMiner(nonzero_loss_cutoff=1.9, seed=0)(labels, x)
    anchors = triplet_indices(pairs)[0]
    np.testing.assert_array_equal(np.bincount(anchors, minlength=6), [2, 2, 0, 0, 2, 2])


@pytest.mark.parametrize("mode", MODES)
def test_each_bin_that_has_a_pair_gives_as_many(mode):
    miner = UniformHistogramMiner(num_bins=5, pos_per_bin=3, neg_per_bin=4, seed=2)
    distances = loops.euclidean(EMBEDDINGS, EMBEDDINGS)
    for counts, rows, per_bin in zip(
        counted(mode, miner), (POSITIVES, NEGATIVES), (3, 4), strict=True
    ):
        mask = np.zeros((8, 8), bool)
        for i, row in enumerate(rows):
            mask[i, row] = True
        assert not counts[~mask].any()
        edges = np.linspace(distances[mask].min(), distances[mask].max(), 6)
        filled, _ = np.histogram(distances[mask], edges)
        drawn, _ = np.histogram(distances[mask], edges, weights=counts[mask])
        np.testing.assert_array_equal(drawn, per_bin * (filled > 0))


def test_within_a_bin_all_pairs_are_as_likely():
    miner = UniformHistogramMiner(num_bins=1, pos_per_bin=1, neg_per_bin=4600, seed=2)
    counts = ops.convert_to_numpy(miner(LABELS, EMBEDDINGS).negative_counts)
    mask = LABELS[:, None] != LABELS[None]
    assert mask.sum() == 46
    assert abs(counts[mask] - 100).max() < 45


@pytest.mark.parametrize("mode", MODES)
def test_random_triplets_are_as_many_for_each_anchor_that_has_any(mode):
    generator = keras.random.SeedGenerator(7)

    def draw(labels):
        pairs = random_triplets(pairs_from_labels(labels), 5, generator)
        return pairs.positive_counts, pairs.negative_counts

    found = [ops.convert_to_numpy(x) for x in mode(draw)(ops.convert_to_tensor(LABELS))]
    has_both = np.array([5.0 * bool(p) for p in POSITIVES])
    for counts, rows in zip(found, (POSITIVES, NEGATIVES), strict=True):
        np.testing.assert_array_equal(counts.sum(axis=1), has_both)
        for i, row in enumerate(rows):
            assert set(np.nonzero(counts[i])[0]) <= set(row)


def test_triplets_per_anchor_of_a_loss():
    loss = TripletMarginLoss(margin=2.0, triplets_per_anchor=3000, seed=1)
    everything = TripletMarginLoss(margin=2.0)
    drawn, mean = (float(each(LABELS, EMBEDDINGS)) for each in (loss, everything))
    assert drawn != mean
    assert len(loss.variables) == 1
    # Each anchor has as many here, and there as many as it has triplets.
    distances = loops.euclidean(EMBEDDINGS, EMBEDDINGS)
    gaps = [
        np.mean([distances[i, p] - distances[i, n] + 2 for p in ps for n in ns])
        for i, (ps, ns) in enumerate(zip(POSITIVES, NEGATIVES, strict=True))
        if ps
    ]
    assert abs(drawn - np.mean(gaps)) < 0.01
    again = TripletMarginLoss.from_config(loss.get_config())
    assert float(again(LABELS, EMBEDDINGS)) == pytest.approx(drawn, abs=1e-6)
    # Whoever has chosen triplets has them.
    mined = TripletMarginLoss(margin=2.0, triplets_per_anchor=1, miner="batch_hard")
    alone = TripletMarginLoss(margin=2.0, miner="batch_hard")
    assert float(mined(LABELS, EMBEDDINGS)) == float(alone(LABELS, EMBEDDINGS))
    with pytest.raises(ValueError, match="triplets_per_anchor"):
        TripletMarginLoss(triplets_per_anchor=0)


@pytest.mark.parametrize("name", ["DistanceWeightedMiner", "UniformHistogramMiner"])
def test_a_seed_decides_and_each_call_is_another_draw(name):
    first, second = (getattr(miners, name)(seed=3) for _ in range(2))
    draws = [[counted(eager, miner) for _ in range(3)] for miner in (first, second)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0][0], draws[0][1])


def test_no_state_leaks_out_of_a_compiled_function():
    miner = DistanceWeightedMiner(seed=3)
    counted(partial(jit, full_graph=False), miner)
    assert counted(eager, miner)[0].sum() > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: TripletMarginLoss(miner=DistanceWeightedMiner(seed=1)),
        lambda: TripletMarginLoss(miner=UniformHistogramMiner(num_bins=3, seed=1)),
        lambda: TripletMarginLoss(triplets_per_anchor=2, seed=1),
    ],
)
def test_the_seed_advances_in_a_compiled_training_step(make):
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    loss = make()
    model.compile("sgd", loss=loss)
    (state,) = loss.variables
    before = ops.convert_to_numpy(state).copy()
    model.fit(EMBEDDINGS, LABELS, batch_size=8, epochs=3, verbose=0)
    after = ops.convert_to_numpy(state)
    assert before[0] == after[0]
    assert after[1] >= before[1] + 3
