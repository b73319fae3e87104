"""Options and methods that PyTorch Metric Learning's users know, on NumPy arrays."""

import copy
import json

import numpy as np
import pytest

from keras_similarity import distances
from keras_similarity.distances import (
    BaseDistance,
    BatchedDistance,
    CosineDistance,
    CosineSimilarity,
    DotProductSimilarity,
    EuclideanDistance,
    InnerProductSimilarity,
    LpDistance,
    ManhattanDistance,
    SNRDistance,
    SquaredEuclideanDistance,
    stats,
)

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
QUERY, KEY = RNG.normal(size=(5, 11)), RNG.normal(size=(7, 11))
RAW = {"normalize_embeddings": False}


def lp(query, key, p, power=1):
    """By broadcasting."""
    differences = np.abs(query[:, None] - key[None])
    return (differences**p).sum(-1) ** (power / p)


def p_unit(x, p):
    return x / (np.abs(x) ** p).sum(1, keepdims=True) ** (1 / p)


# ------------------------------------------------------------------------------ values


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7])
@pytest.mark.parametrize("power", [0.5, 1, 2, 3])
def test_lp_distance_of_each_norm_and_power(p, power):
    raw = LpDistance(p=p, power=power, **RAW)
    np.testing.assert_allclose(raw(QUERY, KEY), lp(QUERY, KEY, p, power), rtol=1e-10)
    expected = lp(p_unit(QUERY, p), p_unit(KEY, p), p, power)
    normalised = LpDistance(p=p, power=power)
    np.testing.assert_allclose(normalised(QUERY, KEY), expected, rtol=1e-10)
    np.testing.assert_allclose(
        normalised.paired(QUERY, KEY[:5]), np.diag(expected), rtol=1e-10
    )


def test_lp_distance_is_the_other_classes():
    for ours, peers in [
        (EuclideanDistance(), LpDistance(**RAW)),
        (SquaredEuclideanDistance(), LpDistance(power=2, **RAW)),
        (ManhattanDistance(), LpDistance(p=1, **RAW)),
        (InnerProductSimilarity(), DotProductSimilarity(**RAW)),
        (CosineSimilarity(), DotProductSimilarity()),
    ]:
        np.testing.assert_array_equal(ours(QUERY, KEY), peers(QUERY, KEY))
        assert (ours.is_euclidean, ours.p, ours.power, ours.is_similarity) == (
            peers.is_euclidean,
            peers.p,
            peers.power,
            peers.is_similarity,
        )


def test_coincident_rows_are_at_distance_0_in_float32_too():
    x = RNG.normal(size=(300, 64)).astype("float32")
    for distance in (LpDistance(), LpDistance(**RAW), EuclideanDistance()):
        matrix = distance(x)
        np.testing.assert_array_equal(np.diag(matrix), np.zeros(300))
        assert matrix[~np.eye(300, dtype=bool)].min() > 0.1


def test_a_zero_vector_stays_one():
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(LpDistance()(x), [[0.0, 1.0], [1.0, 0.0]], atol=1e-7)
    np.testing.assert_allclose(LpDistance(p=3)(x), [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(CosineSimilarity()(x), [[0.0, 0.0], [0.0, 1.0]])


def test_powers_of_similarities_keep_their_sign():
    cosine = CosineSimilarity()(QUERY, KEY)
    assert (cosine < 0).any()
    np.testing.assert_allclose(CosineSimilarity(power=3)(QUERY, KEY), cosine**3)


def test_pairwise_distance_is_raw():
    key = KEY[:5]
    difference = QUERY - key
    for p in (1, 2, 3):
        expected = (np.abs(difference + 1e-6) ** p).sum(1) ** (1 / p)
        found = LpDistance(p=p, power=2).pairwise_distance(QUERY, key)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    inner = (QUERY * key).sum(1)
    np.testing.assert_allclose(CosineSimilarity().pairwise_distance(QUERY, key), inner)
    np.testing.assert_allclose(
        SNRDistance(True, power=2).pairwise_distance(QUERY, key),
        difference.var(1) / QUERY.var(1),
    )


# ------------------------------------------------------------------- what losses ask for


@pytest.mark.parametrize(
    "distance", [CosineDistance(), CosineSimilarity(), DotProductSimilarity()]
)
def test_a_cosine_distance_gives_its_cosine(distance):
    expected = p_unit(QUERY, 2) @ p_unit(KEY, 2).T
    assert distance.is_cosine
    assert distance.normalize_embeddings
    cosine = distance.cosine_offset - distance.cost(QUERY, KEY)
    np.testing.assert_allclose(cosine, expected)


@pytest.mark.parametrize(
    "distance",
    [
        LpDistance(),
        CosineSimilarity(power=2),
        CosineSimilarity(p=1),
        DotProductSimilarity(**RAW),
        InnerProductSimilarity(),
        SNRDistance(True),
        EuclideanDistance(),
    ],
)
def test_others_have_no_cosine(distance):
    assert not distance.is_cosine
    assert distance.cosine_offset is None


def test_which_distances_are_euclidean():
    known = {
        LpDistance(): (True, 1, True),
        LpDistance(power=2): (True, 2, True),
        LpDistance(p=1): (False, 1, True),
        EuclideanDistance(): (True, 1, False),
        SquaredEuclideanDistance(): (True, 2, False),
        ManhattanDistance(): (False, 1, False),
        CosineDistance(): (False, 1, True),
        SNRDistance(): (False, 1, False),
    }
    for distance, expected in known.items():
        found = distance.is_euclidean, distance.power, distance.normalize_embeddings
        assert found == expected, distance


def test_helpers_know_which_way_is_closer():
    values = np.array([[3.0, 1.0, 2.0]])
    distance, similarity = LpDistance(), CosineSimilarity()
    assert distance.smallest_dist(values) == similarity.largest_dist(values) == 1.0
    assert (
        distance.largest_dist(values, axis=1) == similarity.smallest_dist(values) == 3.0
    )
    assert distance.margin(3.0, 1.0) == similarity.margin(1.0, 3.0) == 2.0
    assert (distance.is_inverted, similarity.is_inverted) == (False, True)


def test_norms_are_those_of_p():
    for p in (1, 2, 3):
        distance = LpDistance(p=p)
        norms = (np.abs(QUERY) ** p).sum(1) ** (1 / p)
        np.testing.assert_allclose(distance.get_norm(QUERY), norms)
        np.testing.assert_allclose(distance.normalize(QUERY), QUERY / norms[:, None])
        np.testing.assert_array_equal(
            distance.maybe_normalize(QUERY), distance.normalize(QUERY)
        )
        raw = LpDistance(p=p, **RAW)
        np.testing.assert_array_equal(raw.maybe_normalize(QUERY), QUERY)


# ------------------------------------------------------------------------- a user's own


class Chebyshev(BaseDistance):
    """As a user of the peer writes it, save for the axes."""

    takes_any_array = True

    def __init__(self, **kwargs):
        super().__init__(is_inverted=False, **kwargs)

    def compute_mat(self, query, ref):
        return abs(query[..., :, None, :] - ref[..., None, :, :]).max(-1)


class Inverted(BaseDistance):
    """With a constructor that decides and passes the rest on."""

    takes_any_array = True

    def __init__(self, **kwargs):
        super().__init__(is_inverted=True, **kwargs)

    def compute_mat(self, query, ref):
        return -abs(query[..., :, None, :] - ref[..., None, :, :]).sum(-1)


class Plain(BaseDistance):
    """Without a constructor."""

    takes_any_array = True

    def compute_mat(self, query, ref):
        return query @ ref.swapaxes(-1, -2)


def test_a_users_own_formula_is_normalised_and_raised():
    expected = np.abs(p_unit(QUERY, 2)[:, None] - p_unit(KEY, 2)[None]).max(-1) ** 2
    distance = Chebyshev(power=2)
    np.testing.assert_allclose(distance(QUERY, KEY), expected)
    np.testing.assert_allclose(distance.paired(QUERY, KEY[:5]), np.diag(expected))
    raw = np.abs(QUERY - KEY[:5]).max(-1)
    np.testing.assert_allclose(distance.pairwise_distance(QUERY, KEY[:5]), raw)


def test_a_subclass_of_ours_may_change_the_formula():
    class Doubled(LpDistance):
        def compute_mat(self, query, ref):
            return 2.0 * super().compute_mat(query, ref)

    np.testing.assert_allclose(
        Doubled(power=2)(QUERY, KEY), 4.0 * LpDistance(power=2)(QUERY, KEY)
    )


@pytest.mark.parametrize(
    "distance",
    [
        Inverted(power=2),
        Plain(is_inverted=True),
        Chebyshev(normalize_embeddings=False, collect_stats=True),
        LpDistance(p=1, power=2, normalize_embeddings=False, name="mine"),
        CosineSimilarity(power=3),
        DotProductSimilarity(p=1, normalize_embeddings=False),
        SNRDistance(True, 2, p=1, collect_stats=False),
    ],
)
def test_configs_come_back(distance):
    config = json.loads(json.dumps(distance.get_config()))
    restored = type(distance).from_config(config)
    assert restored.get_config() == distance.get_config()
    assert restored.is_similarity == distance.is_similarity
    np.testing.assert_array_equal(restored(QUERY, KEY), distance(QUERY, KEY))


def test_a_formula_must_be_given():
    with pytest.raises(NotImplementedError, match=r"`BaseDistance` must define"):
        BaseDistance().compute_mat(QUERY, KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LpDistance(p=0.5), r"`p` must .*p=0.5"),
        (lambda: LpDistance(p=float("inf")), r"`p` must .*p=inf"),
        (lambda: LpDistance(power=0), r"`power` must .*power=0"),
        (lambda: CosineSimilarity(power=0.5), r"`power` .*whole number.*power=0.5"),
        (lambda: CosineSimilarity(normalize_embeddings=False), "DotProductSimilarity"),
        (lambda: BatchedDistance("cosine", batch_size=0), r"`batch_size` .*=0"),
        (lambda: BatchedDistance("cosine")(QUERY), r"`iter_fn` must be set"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_direction_of_a_known_formula_is_not_an_option():
    for cls in (LpDistance, CosineSimilarity):
        with pytest.raises(TypeError, match="is_inverted"):
            cls(is_inverted=True)


# -------------------------------------------------------------------------- statistics

NORMS = {
    "initial_avg_query_norm": np.linalg.norm(QUERY, axis=1).mean(),
    "initial_avg_ref_norm": np.linalg.norm(KEY, axis=1).mean(),
    "final_avg_query_norm": 1.0,
    "final_avg_ref_norm": 1.0,
}


def norms_of(distance):
    return {name: getattr(distance, name, None) for name in NORMS}


def test_statistics_are_the_average_norms():
    distance = LpDistance(collect_stats=True)
    distance(QUERY, KEY)
    assert norms_of(distance) == pytest.approx(NORMS)
    distance(KEY)
    assert distance.initial_avg_query_norm == pytest.approx(NORMS["initial_avg_ref_norm"])


def test_statistics_are_kept_where_the_object_or_the_module_says_so(monkeypatch):
    nothing = dict.fromkeys(NORMS)
    distance, never = SNRDistance(), SNRDistance(collect_stats=False)
    distance(QUERY, KEY)
    assert norms_of(distance) == nothing
    monkeypatch.setattr(stats, "COLLECT_STATS", True)
    distance(QUERY, KEY)
    never(QUERY, KEY)
    raw = NORMS["initial_avg_query_norm"]
    assert distance.initial_avg_query_norm == pytest.approx(raw)
    assert distance.final_avg_query_norm == pytest.approx(raw)
    assert norms_of(never) == nothing


# ------------------------------------------------------------------------------ batches


def test_blocks_make_the_matrix():
    seen = []
    batched = BatchedDistance(
        LpDistance(), lambda matrix, start, end: seen.append((matrix, start, end)), 2
    )
    assert batched(QUERY, KEY) is None
    assert [(start, end) for _, start, end in seen] == [(0, 2), (2, 4), (4, 5)]
    matrix = np.concatenate([block for block, _, _ in seen])
    np.testing.assert_allclose(matrix, LpDistance()(QUERY, KEY))


def test_blocks_of_one_argument_are_compared_with_all_of_it():
    blocks = [block for block, _, _ in BatchedDistance("l1", batch_size=3).blocks(QUERY)]
    np.testing.assert_allclose(np.concatenate(blocks), lp(QUERY, QUERY, 1))


def test_a_batched_distance_has_what_its_distance_has():
    batched = BatchedDistance(CosineSimilarity(power=2))
    assert (batched.power, batched.is_inverted, batched.batch_size) == (2, True, 32)
    assert copy.deepcopy(batched).power == 2
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = batched.no_such_thing


def test_aliases():
    assert type(distances.get("lp", p=1)) is LpDistance
    assert type(distances.get("dot_product")) is DotProductSimilarity
    assert type(distances.get("cosine_similarity")) is CosineSimilarity
