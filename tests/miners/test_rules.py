"""Each miner that does not draw, against loops; eager, compiled, with other keys."""

from functools import partial

import numpy as np
import pytest

from keras_similarity import miners
from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity
from tests.backend import eager, jit
from tests.miners import loops

RANDOM = np.random.default_rng(3)
LABELS = np.array([0, 0, 1, 1, 0, 2, 3, 3, 3, 3, 1, 0], "int32")
EMBEDDINGS = RANDOM.normal(size=(12, 4)).astype("float32")
KEY_LABELS = np.array([1, 0, 0, 3, 3, 9, 2], "int32")
KEYS = RANDOM.normal(size=(7, 4)).astype("float32")

STRATEGIES = [
    ("hard", "hard"),
    ("easy", "easy"),
    ("easy", "semihard"),
    ("hard", "semihard"),
    ("semihard", "hard"),
    ("semihard", "easy"),
    ("all", "hard"),
    ("easy", "all"),
    ("all", "all"),
]
# Name of the miner, its options, and the loop with the same options.
CASES = [
    ("PairMarginMiner", {"pos_margin": 0.9, "neg_margin": 1.2}, loops.pair_margin),
    ("PairMarginMiner", {"pos_margin": 1.2, "neg_margin": 0.9}, loops.pair_margin),
    ("MultiSimilarityMiner", {"epsilon": 0.1}, loops.multi_similarity),
    ("MultiSimilarityMiner", {"epsilon": -0.3}, loops.multi_similarity),
    *[
        (
            "TripletMarginMiner",
            {"margin": margin, "type_of_triplets": kind},
            loops.triplet_margin,
        )
        for margin in (0.3, -0.2)
        for kind in ("all", "hard", "semihard", "easy")
    ],
    *[
        (
            "BatchEasyHardMiner",
            {"pos_strategy": positive, "neg_strategy": negative},
            loops.batch_easy_hard,
        )
        for positive, negative in STRATEGIES
    ],
    ("BatchHardMiner", {}, loops.batch_easy_hard),
    ("AngularMiner", {"angle": 20}, loops.angular),
    ("AngularMiner", {"angle": 45}, loops.angular),
    ("HDCMiner", {"filter_percentage": 0.5}, loops.hdc),
    ("HDCMiner", {"filter_percentage": 0.1}, loops.hdc),
    ("HDCMiner", {"filter_percentage": 1}, loops.hdc),
]
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options, _ in CASES]


def expected(name, options, loop, with_keys):
    key_labels, keys = (KEY_LABELS, KEYS) if with_keys else (None, EMBEDDINGS)
    pairs = loops.candidates(LABELS, key_labels)
    if loop is loops.angular:
        return loop(EMBEDDINGS, keys, *pairs, **options)
    is_cosine = name == "MultiSimilarityMiner"
    cost = (loops.cosine_cost if is_cosine else loops.euclidean)(EMBEDDINGS, keys)
    if name == "BatchHardMiner":
        options = {"pos_strategy": "hard", "neg_strategy": "hard"}
    return loop(cost, *pairs, **options)


def counts(pairs):
    return pairs.positive_counts, pairs.negative_counts


def numpy(tensors):
    return np.stack([ops.convert_to_numpy(tensor) for tensor in tensors])


@pytest.mark.parametrize("with_keys", [False, True], ids=["self", "keys"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_miner_keeps_what_its_rule_says(case, with_keys):
    name, options, loop = case
    miner = getattr(miners, name)(**options)
    keys = (KEY_LABELS, KEYS) if with_keys else ()
    actual = numpy(counts(miner(LABELS, EMBEDDINGS, *keys)))
    wanted = expected(name, options, loop, with_keys)
    if loop is loops.hdc and not with_keys:
        # (i, j) and (j, i) are as hard as each other.
        distances = loops.euclidean(EMBEDDINGS, EMBEDDINGS)
        for side in range(2):
            found, meant = (np.sort(distances[x[side] > 0]) for x in (actual, wanted))
            np.testing.assert_allclose(found, meant, rtol=1e-5)
        return
    np.testing.assert_array_equal(actual, wanted)


ONE_EACH = {name: options for name, options, _ in reversed(CASES)}


@pytest.mark.parametrize("name", sorted(ONE_EACH))
def test_a_compiled_miner_keeps_the_same(name):
    miner = getattr(miners, name)(**ONE_EACH[name])
    run = jit(lambda y, x: counts(miner(y, x)), full_graph=False)
    tensors = [ops.convert_to_tensor(x) for x in (LABELS, EMBEDDINGS)]
    wanted = numpy(counts(miner(LABELS, EMBEDDINGS)))
    np.testing.assert_array_equal(numpy(run(*tensors)), wanted)


def test_a_large_batch_is_cut_where_a_small_one_is():
    # By counting, and by sorting.
    size, share = 200, 0.3
    labels = np.repeat(np.arange(20), 10)
    embeddings = RANDOM.normal(size=(size, 3)).astype("float32")
    pairs = miners.HDCMiner(share, distance="l2")(labels, embeddings)
    wanted = loops.hdc(
        loops.euclidean(embeddings, embeddings, normalize=False),
        *loops.candidates(labels),
        filter_percentage=share,
    )
    found = numpy(counts(pairs))
    distances = loops.euclidean(embeddings, embeddings, normalize=False)
    for side in range(2):
        assert found[side].sum() == wanted[side].sum()
        a, b = (np.sort(distances[x[side] > 0]) for x in (found, wanted))
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("mode", [eager, partial(jit, full_graph=False)])
def test_ties_are_cut_in_the_order_of_rows(mode):
    # All 30 positives are at distance 0.
    miner = miners.HDCMiner(0.25)
    labels = ops.convert_to_tensor(np.zeros(6, "int32"))
    run = mode(lambda y, x: miner(y, x).positive_counts)
    kept = ops.convert_to_numpy(run(labels, ops.ones((6, 3))))
    assert kept.sum() == 8
    assert kept[:1].sum() == 5 and kept[1:2].sum() == 3


def test_a_similarity_is_turned_and_its_margins_too():
    options = {"pos_margin": 0.4, "neg_margin": 0.2}
    miner = miners.PairMarginMiner(distance=CosineSimilarity(), **options)
    cost = loops.cosine_cost(EMBEDDINGS, EMBEDDINGS)
    wanted = loops.pair_margin(
        cost, *loops.candidates(LABELS), pos_margin=-0.4, neg_margin=-0.2
    )
    np.testing.assert_array_equal(numpy(counts(miner(LABELS, EMBEDDINGS))), wanted)


@pytest.mark.parametrize("strategies", [("hard", "hard"), ("all", "all")])
def test_ranges_leave_fewer_to_choose_from(strategies):
    positive, negative = (0.5, 1.2), [0.9, 1.5]
    miner = miners.BatchEasyHardMiner(*strategies, positive, negative)
    cost = loops.euclidean(EMBEDDINGS, EMBEDDINGS)
    pairs = [
        [[j for j in row if low <= cost[i, j] <= high] for i, row in enumerate(rows)]
        for rows, (low, high) in zip(
            loops.candidates(LABELS), (positive, negative), strict=True
        )
    ]
    names = ("pos_strategy", "neg_strategy")
    options = dict(zip(names, strategies, strict=True))
    wanted = loops.batch_easy_hard(cost, *pairs, **options)
    np.testing.assert_array_equal(numpy(counts(miner(LABELS, EMBEDDINGS))), wanted)
