"""What all miners keep: batches without pairs, any loss, config, refusals."""

from functools import partial

import numpy as np
import pytest

from keras_similarity import losses, miners
from keras_similarity.backend import keras, ops
from keras_similarity.distances import CosineSimilarity, LpDistance
from keras_similarity.models import SimilarityModel
from keras_similarity.pairs import (
    Pairs,
    Triplets,
    keep_pairs,
    pair_indices,
    pairs_by_rule,
    pairs_from_indices,
    pairs_from_labels,
    pairs_from_triplets,
    triplet_indices,
)
from tests.backend import eager, gradient, jit

MINERS = {
    "AngularMiner": {"angle": 30},
    "BatchEasyHardMiner": {"pos_strategy": "all", "neg_strategy": "hard"},
    "BatchHardMiner": {},
    "DistanceWeightedMiner": {"cutoff": 0.4, "seed": 4},
    "EmbeddingsAlreadyPackagedAsTriplets": {},
    "HDCMiner": {"filter_percentage": 0.4},
    "MultiSimilarityMiner": {"epsilon": 0.2},
    "PairMarginMiner": {"pos_margin": 0.3, "neg_margin": 1.1},
    "TripletMarginMiner": {"margin": 0.3, "type_of_triplets": "semihard"},
    "UniformHistogramMiner": {"num_bins": 4, "pos_per_bin": 2, "seed": 4},
}
OF_TRIPLETS = {
    "AngularMiner",
    "BatchHardMiner",
    "DistanceWeightedMiner",
    "EmbeddingsAlreadyPackagedAsTriplets",
    "TripletMarginMiner",
}
LOSSES = ["ContrastiveLoss", "NTXentLoss", "TripletMarginLoss", "MultiSimilarityLoss"]
LABELS = np.array([0, 0, 1, 1, 0, 2, 3, 3, 1], "int32")
EMBEDDINGS = np.random.default_rng(8).normal(size=(9, 5)).astype("float32")
BATCHES = {
    "coincident points": (LABELS, np.ones((9, 5))),
    "zero vectors": (LABELS, np.zeros((9, 5))),
    "one class": (np.zeros(9, int), EMBEDDINGS),
    "all labels differ": (np.arange(9), EMBEDDINGS),
    "tiny": (LABELS, EMBEDDINGS * 1e-20),
    "huge": (LABELS, EMBEDDINGS * 1e20),
    "three rows": (LABELS[:3], EMBEDDINGS[:3]),
    "usual": (LABELS, EMBEDDINGS),
}
PRECISIONS = [("usual", "float16"), ("zero vectors", "float16"), ("usual", "bfloat16")]


def make(name):
    return getattr(miners, name)(**MINERS[name])


def test_all_miners_are_tested():
    exported = {
        name
        for name in miners.__all__
        if isinstance(getattr(miners, name), type) and name != "Miner"
    }
    assert exported == set(MINERS)


@pytest.mark.parametrize(
    ("batch", "dtype"),
    [*((batch, "float32") for batch in BATCHES), *PRECISIONS],
)
@pytest.mark.parametrize("name", MINERS)
def test_batches_without_much_to_choose_from(name, batch, dtype):
    labels, embeddings = BATCHES[batch]
    embeddings = ops.convert_to_tensor(embeddings.astype("float32"))
    pairs = make(name)(labels, ops.cast(embeddings, dtype))
    counts = [pairs.positive_counts, pairs.negative_counts]
    if isinstance(pairs.triplets, Triplets):
        counts.append(pairs.triplets.counts)
    assert all(np.isfinite(ops.convert_to_numpy(count)).all() for count in counts)
    if name != "EmbeddingsAlreadyPackagedAsTriplets":
        is_same = labels[:, None] == labels
        positive, negative = (ops.convert_to_numpy(count) > 0 for count in counts[:2])
        assert not (positive & ~(is_same & ~np.eye(len(labels), dtype=bool))).any()
        assert not (negative & is_same).any()


@pytest.mark.parametrize(
    "name", sorted(set(MINERS) - {"EmbeddingsAlreadyPackagedAsTriplets"})
)
def test_one_row_and_no_pair(name):
    pairs = make(name)(np.zeros(1, int), np.ones((1, 4), "float32"))
    assert not np.any(ops.convert_to_numpy(pairs.positive_counts))
    assert not np.any(ops.convert_to_numpy(pairs.negative_counts))


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("name", MINERS)
def test_any_miner_goes_with_any_loss(name, loss_name):
    make_loss = partial(getattr(losses, loss_name), distance=LpDistance())
    loss = make_loss(miner=make(name))
    pairs = make(name)(LABELS, EMBEDDINGS, pairs=None)
    if MINERS[name] and name == "MultiSimilarityMiner":
        # By itself it would measure by the cosine.
        pairs = miners.get(name, **MINERS[name], distance="lp")(LABELS, EMBEDDINGS)
    columns = (triplet_indices if name in OF_TRIPLETS else pair_indices)(pairs)
    listed = pairs_from_indices(columns, (9, 9))
    expected = float(make_loss()(None, EMBEDDINGS, pairs=listed))
    assert expected > 0
    actual = float(loss(LABELS, EMBEDDINGS))
    assert actual == pytest.approx(expected, rel=1e-5)
    slope = gradient(lambda x: make_loss(miner=make(name))(LABELS, x), EMBEDDINGS)
    wanted = gradient(lambda x: make_loss()(None, x, pairs=listed), EMBEDDINGS)
    np.testing.assert_allclose(slope, wanted, atol=1e-5)


@pytest.mark.parametrize("name", MINERS)
def test_a_miner_works_inside_a_compiled_loss(name):
    make_loss = losses.TripletMarginLoss if name in OF_TRIPLETS else losses.NTXentLoss
    run = jit(make_loss(miner=make(name)), full_graph=False)
    actual = float(run(*map(ops.convert_to_tensor, (LABELS, EMBEDDINGS))))
    assert np.isfinite(actual)
    if "seed" not in MINERS[name]:  # Other shapes are drawn, so other numbers.
        expected = float(make_loss(miner=make(name))(LABELS, EMBEDDINGS))
        assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", MINERS)
def test_a_miner_works_inside_compile(name):
    keras.utils.set_random_seed(0)  # Weights for which every miner finds something.
    inputs = keras.Input((5,))
    model = SimilarityModel(inputs, keras.layers.Dense(3)(inputs))
    loss = losses.ContrastiveLoss(miner=make(name))
    if name in OF_TRIPLETS:
        loss = losses.TripletMarginLoss(margin=1.0, miner=make(name))
    model.compile("sgd", loss=loss)
    before = ops.convert_to_numpy(model.trainable_variables[0]).copy()
    # On TensorFlow the batch has no size when its step is traced.
    model.fit(EMBEDDINGS, LABELS, batch_size=6, shuffle=False, verbose=0)
    after = ops.convert_to_numpy(model.trainable_variables[0])
    assert np.isfinite(after).all() and (before != after).any()


@pytest.mark.parametrize("name", MINERS)
def test_config(name):
    miner = getattr(miners, name)(**MINERS[name], distance="lp")
    copy = miners.deserialize(miners.serialize(miner))
    assert type(copy) is type(miner)
    assert copy.get_config() == miner.get_config()
    assert MINERS[name].items() <= copy.get_config().items()
    assert isinstance(copy.distance, LpDistance)
    assert make(name).get_config()["distance"] is None


def test_a_loss_with_a_miner_comes_back_from_its_config():
    loss = losses.TripletMarginLoss(miner=make("UniformHistogramMiner"))
    copy = losses.deserialize(losses.serialize(loss))
    assert copy.miner.get_config() == loss.miner.get_config()


@pytest.mark.parametrize("name", MINERS)
def test_own_distances(name):
    miner = make(name)
    is_similarity = miner.default_distance().is_similarity
    assert is_similarity == (name == "MultiSimilarityMiner")
    if name in ("AngularMiner", "DistanceWeightedMiner"):
        with pytest.raises(
            ValueError, match=r"`distance` of .* an LpDistance that normalises"
        ):
            getattr(miners, name)(distance="cosine")
        for wrong in (LpDistance(p=1), LpDistance(power=2), "l2"):
            with pytest.raises(ValueError, match="an LpDistance that normalises"):
                getattr(miners, name)(distance=wrong)


def test_a_distance_is_shared_unless_the_miner_has_its_own():
    options = {"pos_margin": 0.3, "neg_margin": 0.1}
    shared = losses.ContrastiveLoss(
        1.0, 0.0, distance="cosine_similarity", miner=miners.PairMarginMiner(**options)
    )
    own = losses.ContrastiveLoss(
        1.0,
        0.0,
        distance="cosine_similarity",
        miner=miners.PairMarginMiner(**options, distance=LpDistance()),
    )
    mined = miners.PairMarginMiner(**options, distance=CosineSimilarity())
    expected = losses.ContrastiveLoss(1.0, 0.0, distance="cosine_similarity")(
        None, EMBEDDINGS, pairs=mined(LABELS, EMBEDDINGS)
    )
    assert float(shared(LABELS, EMBEDDINGS)) == pytest.approx(float(expected), rel=1e-5)
    assert float(own(LABELS, EMBEDDINGS)) != pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("AngularMiner", {"angle": 90}, "angle"),
        ("BatchEasyHardMiner", {"pos_strategy": "tough"}, "pos_strategy"),
        ("BatchEasyHardMiner", {"pos_strategy": "semihard"}, "semihard"),
        ("BatchEasyHardMiner", {"pos_strategy": "all"}, "semihard"),
        ("BatchEasyHardMiner", {"allowed_neg_range": (1, 0)}, "allowed_neg_range"),
        ("BatchEasyHardMiner", {"allowed_pos_range": (1,)}, "allowed_pos_range"),
        ("DistanceWeightedMiner", {"cutoff": 0}, "cutoff"),
        ("HDCMiner", {"filter_percentage": 0}, "filter_percentage"),
        ("HDCMiner", {"filter_percentage": 50}, "filter_percentage"),
        ("TripletMarginMiner", {"type_of_triplets": "medium"}, "type_of_triplets"),
        ("UniformHistogramMiner", {"num_bins": 0}, "num_bins"),
        ("UniformHistogramMiner", {"neg_per_bin": 0}, "neg_per_bin"),
    ],
)
def test_wrong_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(miners, name)(**arguments)


def test_rows_that_are_no_triplets():
    miner = make("EmbeddingsAlreadyPackagedAsTriplets")
    with pytest.raises(ValueError, match="3 rows for each triplet"):
        miner(LABELS[:7], EMBEDDINGS[:7])
    with pytest.raises(ValueError, match="without keys"):
        miner(LABELS, EMBEDDINGS, LABELS, EMBEDDINGS)


def test_external_pairs_until_they_are_reset():
    miner = miners.HDCMiner(0.5)
    external = make("PairMarginMiner")(LABELS, EMBEDDINGS)
    plain = miner(LABELS, EMBEDDINGS)
    miner.set_idx_externally(pair_indices(external), LABELS)
    by_columns, again = (miner(LABELS, EMBEDDINGS) for _ in range(2))
    miner.set_idx_externally(external, LABELS)
    by_pairs = miner(LABELS, EMBEDDINGS)
    expected = miners.HDCMiner(0.5)(None, EMBEDDINGS, pairs=external)
    for pairs in (by_columns, again, by_pairs):
        np.testing.assert_array_equal(pair_indices(pairs)[0], pair_indices(expected)[0])
        np.testing.assert_array_equal(pair_indices(pairs)[3], pair_indices(expected)[3])
    assert len(pair_indices(expected)[2]) < len(pair_indices(plain)[2])
    miner.reset_idx()
    reset = miner(LABELS, EMBEDDINGS)
    np.testing.assert_array_equal(pair_indices(reset)[2], pair_indices(plain)[2])


@pytest.mark.parametrize("mode", [eager, partial(jit, full_graph=False)])
def test_miners_choose_among_what_others_chose(mode):
    first, second = make("TripletMarginMiner"), miners.PairMarginMiner(0.8, 1.5)
    run = mode(lambda y, x: second(None, x, pairs=first(y, x)).negative_counts)
    found = ops.convert_to_numpy(run(*map(ops.convert_to_tensor, (LABELS, EMBEDDINGS))))
    distances = ops.convert_to_numpy(LpDistance()(EMBEDDINGS))
    expected = np.zeros((9, 9))
    for a, p, n in zip(*triplet_indices(first(LABELS, EMBEDDINGS)), strict=True):
        expected[a, n] += distances[a, p] > 0.8 and distances[a, n] < 1.5
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_two_rules_hold_both_and_a_list_has_no_rule():
    hard = miners.TripletMarginMiner(0.3)
    angular = miners.AngularMiner(25)
    both = angular(None, EMBEDDINGS, pairs=hard(LABELS, EMBEDDINGS))
    found, first, second = (
        set(zip(*map(list, triplet_indices(pairs)), strict=True))
        for pairs in (both, hard(LABELS, EMBEDDINGS), angular(LABELS, EMBEDDINGS))
    )
    assert found == first & second
    assert set() < found < first
    listed = pairs_from_indices(([0], [1], [2]), (9, 9))
    with pytest.raises(ValueError, match="list of triplets"):
        pairs_by_rule(listed, both.triplets)


def test_kept_pairs_count_as_often_as_before():
    weights = ops.convert_to_tensor(np.array([[0, 2.0], [0, 0]], "float32"))
    pairs = Pairs(weights > 0, weights < 0, weights, weights * 0)
    nothing = ops.zeros((2, 2), "bool")
    kept = keep_pairs(pairs, weights > 0, nothing)
    assert float(ops.sum(kept.positive_counts)) == 2
    assert float(ops.sum(keep_pairs(pairs, nothing, nothing).positive_counts)) == 0
    columns = [ops.convert_to_tensor(x) for x in ([0, 0, 1], [1, 1, 0], [2, 3, 2])]
    listed = pairs_from_triplets(Triplets(*columns), (4, 4))
    allowed = np.ones((4, 4), bool)
    allowed[0, 3] = False
    everything = ops.ones((4, 4), "bool")
    kept = keep_pairs(listed, everything, ops.convert_to_tensor(allowed))
    assert [list(c) for c in triplet_indices(kept)] == [[0, 1], [1, 0], [2, 2]]
    assert ops.convert_to_numpy(kept.positive_counts)[0, 1] == 1


def test_pairs_in_place_of_labels():
    pairs = pairs_from_labels(LABELS)
    for name in sorted(set(MINERS) - {"EmbeddingsAlreadyPackagedAsTriplets"}):
        by_pairs = make(name)(None, EMBEDDINGS, pairs=pairs).negative_counts
        by_labels = make(name)(LABELS, EMBEDDINGS).negative_counts
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (by_pairs, by_labels)))
