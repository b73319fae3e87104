"""Properties of every distance on NumPy arrays, against loops in float64."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_similarity import distances
from keras_similarity.distances import (
    BaseDistance,
    CosineDistance,
    CosineSimilarity,
    Distance,
    DotProductSimilarity,
    EuclideanDistance,
    InnerProductSimilarity,
    LpDistance,
    ManhattanDistance,
    SNRDistance,
    SquaredEuclideanDistance,
)

pytestmark = pytest.mark.keras_free


def cosine(q, k):
    lengths = math.sqrt(sum(a * a for a in q)) * math.sqrt(sum(b * b for b in k))
    return 1.0 - (inner_product(q, k) / lengths if lengths else 0.0)


def inner_product(q, k):
    return sum(a * b for a, b in zip(q, k, strict=True))


def cosine_similarity(q, k):
    return 1.0 - cosine(q, k)


def squared_euclidean(q, k):
    return sum((a - b) ** 2 for a, b in zip(q, k, strict=True))


def euclidean(q, k):
    return math.sqrt(squared_euclidean(q, k))


def unit(x):
    length = math.sqrt(sum(value * value for value in x))
    return [value / (length or 1.0) for value in x]


def unit_euclidean(q, k):
    return euclidean(unit(q), unit(k))


def manhattan(q, k):
    return sum(abs(a - b) for a, b in zip(q, k, strict=True))


def variance(values):
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def snr(q, k):
    # The documented floor of the signal: the epsilon of float32, 2**-23.
    return variance([a - b for a, b in zip(q, k, strict=True)]) / max(
        variance(q), 2.0**-23
    )


# Class -> (formula by loops, aliases of TensorFlow Similarity and ours).
DISTANCES = {
    CosineDistance: (cosine, ["cosine", "CosineDistance"]),
    CosineSimilarity: (cosine_similarity, ["cosine_similarity"]),
    DotProductSimilarity: (cosine_similarity, ["dot_product"]),
    EuclideanDistance: (euclidean, ["euclidean", "l2", "pythagorean"]),
    InnerProductSimilarity: (inner_product, ["inner_product", "ip"]),
    LpDistance: (unit_euclidean, ["lp"]),
    ManhattanDistance: (manhattan, ["manhattan", "l1", "taxicab"]),
    SNRDistance: (snr, ["snr", "signal-to-noise-ratio"]),
    SquaredEuclideanDistance: (
        squared_euclidean,
        ["squared_euclidean", "sql2", "sqeuclidean"],
    ),
}
ROOTS = (EuclideanDistance, LpDistance)
SIMILARITIES = (CosineSimilarity, DotProductSimilarity, InnerProductSimilarity)
SYMMETRIC = [cls for cls in DISTANCES if cls is not SNRDistance]
each_distance = pytest.mark.parametrize("cls", DISTANCES)


def by_loops(cls, query, key):
    formula = DISTANCES[cls][0]
    return np.array([[formula(q.tolist(), k.tolist()) for k in key] for q in query])


def rows(count, dim, dtype="float32"):
    # Of few bits, so that sums of squares in float32 lose little, and often equal.
    values = st.integers(-24, 24).map(lambda value: value / 8)
    return hnp.arrays(dtype, (count, dim), elements=values)


@st.composite
def query_and_key(draw, same_rows=False):
    queries, keys, dim = draw(st.tuples(*[st.integers(1, 4)] * 2, st.integers(1, 19)))
    keys = queries if same_rows else keys
    return draw(rows(queries, dim)), draw(rows(keys, dim))


def test_every_exported_distance_is_tested():
    exported = {getattr(distances, name) for name in distances.__all__}
    classes = {x for x in exported if isinstance(x, type) and issubclass(x, Distance)}
    assert classes - {Distance, BaseDistance} == set(DISTANCES)


# ------------------------------------------------------------------------------ values


@each_distance
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_matrix_is_the_formula_pair_by_pair(cls, data):
    query, key = data.draw(query_and_key())
    actual = cls()(query, key)
    assert actual.shape == (len(query), len(key))
    assert actual.dtype == np.float32
    # The square root of a cancelled difference is as exact as the root of the error.
    atol = 2e-2 if cls in ROOTS else 1e-4
    if cls is SNRDistance:
        # Dividing by a tiny signal magnifies the rounding of the noise.
        constant = query.std(axis=1) == 0
        np.testing.assert_allclose(
            actual[~constant], by_loops(cls, query, key)[~constant], rtol=1e-3, atol=1e-2
        )
    else:
        np.testing.assert_allclose(
            actual, by_loops(cls, query, key), rtol=1e-5, atol=atol
        )


@each_distance
def test_float64_stays_and_is_exact(cls):
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(5, 19)), rng.normal(size=(7, 19))
    actual = cls()(query, key)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, by_loops(cls, query, key), rtol=1e-12)


@each_distance
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_paired_is_the_diagonal(cls, data):
    query, key = data.draw(query_and_key(same_rows=True))
    paired = cls().paired(query, key)
    assert paired.shape == (len(query),)
    # The same up to the order in which a matrix product adds.
    rtol, atol = (1e-5, 2e-2) if cls in ROOTS else (1e-4, 1e-3)
    np.testing.assert_allclose(paired, np.diag(cls()(query, key)), rtol=rtol, atol=atol)


@each_distance
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_one_argument_compares_the_rows_with_themselves(cls, data):
    query, _ = data.draw(query_and_key())
    np.testing.assert_array_equal(cls()(query), cls()(query, query))


@pytest.mark.parametrize("cls", SYMMETRIC)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_symmetry(cls, data):
    query, key = data.draw(query_and_key())
    there, back = cls()(query, key), cls()(key, query).T
    atol = 2e-2 if cls in ROOTS else 1e-4
    np.testing.assert_allclose(there, back, rtol=1e-5, atol=atol)


def test_snr_takes_the_query_as_the_signal():
    query, key = np.array([[-1.0, 1.0]]), np.array([[-3.0, 3.0]])
    assert SNRDistance()(query, key).tolist() == [[4.0]]
    assert SNRDistance()(key, query).tolist() == [[4.0 / 9.0]]


def test_snr_normalises_and_raises_to_a_power_where_it_is_told_to():
    query, key = np.array([[3.0, 4.0]]), np.array([[0.0, 2.0], [-1.0, 0.0]])
    normalised = by_loops(
        SNRDistance, np.array([[0.6, 0.8]]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    )
    distance = SNRDistance(normalize_embeddings=True, power=2)
    np.testing.assert_allclose(distance(query, key), normalised**2, rtol=1e-12)
    np.testing.assert_allclose(distance.paired(query, key[:1]), normalised[0, :1] ** 2)
    restored = distances.deserialize(distances.serialize(distance))
    np.testing.assert_array_equal(restored(query, key), distance(query, key))


@given(
    scales=st.tuples(*[st.floats(1e-6, 1e6)] * 2),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_cosine_does_not_know_lengths(scales, data):
    query, key = data.draw(query_and_key())
    scaled = CosineDistance()(query * np.float32(scales[0]), key * np.float32(scales[1]))
    np.testing.assert_allclose(scaled, CosineDistance()(query, key), atol=1e-5)


@each_distance
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_permutation_of_rows_permutes_the_matrix(cls, data):
    query, key = data.draw(query_and_key())
    order = np.array(data.draw(st.permutations(range(len(key)))))
    atol = 2e-2 if cls in ROOTS else 1e-3
    np.testing.assert_allclose(
        cls()(query, key[order]), cls()(query, key)[:, order], rtol=1e-4, atol=atol
    )


# ------------------------------------------------------------------- where NaN starts


@each_distance
@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-30, 1e15])
def test_coincident_and_constant_rows_are_finite(cls, value):
    points = np.full((3, 5), value, "float32")
    matrix = cls()(points)
    assert np.isfinite(matrix).all()
    assert np.isfinite(cls().paired(points, points)).all()
    if cls not in SIMILARITIES:
        assert (matrix >= 0).all()


@pytest.mark.parametrize(
    "cls",
    [*ROOTS, ManhattanDistance, SquaredEuclideanDistance, SNRDistance],
)
def test_a_point_is_at_distance_0_from_itself(cls):
    points = np.array([[1.0, 2.0, 4.0], [0.0, -8.0, 0.5]])
    np.testing.assert_array_equal(np.diag(cls()(points)), [0.0, 0.0])


def test_a_zero_vector_is_at_cosine_distance_1_from_everything():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, -5.0]])
    np.testing.assert_array_equal(CosineDistance()(points)[0], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("cls", [c for c in DISTANCES if c not in SIMILARITIES])
def test_rounding_never_makes_a_distance_negative(cls):
    points = np.random.default_rng(1).normal(size=(200, 7)).astype("float32")
    distance = cls()(points, points * np.float32(1.0000001))
    assert distance.min() >= 0.0
    assert np.diag(distance).max() < 5e-3


def test_the_signal_of_a_constant_query_counts_as_epsilon():
    query, key = np.zeros((1, 2), "float32"), np.array([[-1.0, 1.0]], "float32")
    np.testing.assert_allclose(SNRDistance()(query, key), [[2.0**23]])


# --------------------------------------------------------------------------- precision


@each_distance
@pytest.mark.parametrize("dtype", ["float16", "int8", "int64", "uint8", "bool"])
def test_short_floats_and_integers_are_raised_to_float32(cls, dtype):
    query = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    key = np.array([[1, 1, 0]], dtype)
    actual = cls()(query, key)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, by_loops(cls, query, key), rtol=1e-5, atol=1e-6)


def test_float16_sums_do_not_overflow():
    query = np.full((1, 4), 300.0, "float16")
    expected = 4 * 300.0**2
    assert SquaredEuclideanDistance()(query, -query).tolist() == [[4 * expected]]
    assert InnerProductSimilarity()(query, query).tolist() == [[expected]]


@each_distance
def test_lists_and_mixed_precisions_are_taken(cls):
    query, key = [[1.0, 2.0], [3.0, 5.0]], np.array([[0.5, 4.0]], "float32")
    expected = by_loops(cls, np.array(query), key)
    np.testing.assert_allclose(cls()(query, key), expected, rtol=1e-6)


@each_distance
def test_no_rows_give_an_empty_matrix(cls):
    query, key = np.zeros((0, 3), "float32"), np.ones((2, 3), "float32")
    assert cls()(query, key).shape == (0, 2)
    assert cls()(key, query).shape == (2, 0)
    assert cls().paired(query, query).shape == (0,)


# ---------------------------------------------------------------- orientation and names


@each_distance
def test_cost_is_smaller_for_closer(cls):
    near_and_far = np.array([[1.0, 0.5], [-2.0, 0.5]])
    cost = cls().cost(np.array([[2.0, 1.0]]), near_and_far)[0]
    assert cost[0] < cost[1]


@each_distance
def test_only_similarities_are_turned(cls):
    query, key = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    value = cls()(query, key)
    assert cls().is_similarity == (cls in SIMILARITIES)
    expected = -value if cls in SIMILARITIES else value
    np.testing.assert_array_equal(cls().cost(query, key), expected)
    np.testing.assert_array_equal(cls().to_cost(cls().to_cost(value)), value)


ALIASES = [(alias, cls) for cls, (_, aliases) in DISTANCES.items() for alias in aliases]


@pytest.mark.parametrize(("alias", "cls"), ALIASES)
def test_aliases_in_any_case(alias, cls):
    for name in (alias, alias.upper(), cls.__name__):
        assert type(distances.get(name)) is cls
    assert type(distances.distance_canonicalizer(alias)) is cls


def test_an_unknown_alias_says_what_is_known():
    with pytest.raises(ValueError, match=r"Unknown distance: 'cosin'.*'cosine'.*Known: "):
        distances.get("cosin")


@each_distance
def test_config_goes_through_json_and_back(cls):
    config = json.loads(json.dumps(distances.serialize(cls(name="mine"))))
    restored = distances.deserialize(config)
    assert type(restored) is cls
    assert restored.name == str(restored) == "mine"
    assert restored.get_config() == cls(name="mine").get_config()
    assert repr(restored).startswith(f"{cls.__name__}(name='mine'")
    assert type(distances.get(config)) is cls


@each_distance
def test_the_default_name_is_the_first_alias(cls):
    assert cls().name == DISTANCES[cls][1][0]


@each_distance
def test_call_is_calling(cls):
    query, key = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    np.testing.assert_array_equal(cls().call(query, key), cls()(query, key))


# ------------------------------------------------------------------------------ errors


@each_distance
@pytest.mark.parametrize("method", ["__call__", "paired", "cost"])
def test_wrong_ranks_and_widths_are_named(cls, method):
    measure = getattr(cls(), method)
    two, three = np.ones((2, 3)), np.ones((2, 3, 1))
    with pytest.raises(ValueError, match=r"`query` must have the shape .*\(2, 3, 1\)"):
        measure(three, two)
    with pytest.raises(ValueError, match=r"`key` must have the shape .*\(3,\)"):
        measure(two, np.ones(3))
    with pytest.raises(ValueError, match=r"same embedding size.*\(2, 3\).*\(2, 4\)"):
        measure(two, np.ones((2, 4)))


@each_distance
def test_paired_needs_as_many_queries_as_keys(cls):
    with pytest.raises(ValueError, match=r"as many rows .*\(2, 3\).*\(1, 3\)"):
        cls().paired(np.ones((2, 3)), np.ones((1, 3)))


def test_the_base_class_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Distance()


@pytest.mark.parametrize("name", ["cosine", "ip", "l2", "sql2", "l1", "snr", "lp"])
def test_no_intermediate_is_as_large_as_rows_by_rows_by_features(name):
    x = np.random.default_rng(0).normal(size=(300, 256)).astype("float32")
    distance = distances.get(name)
    tracemalloc.start()
    distance(x, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # [N, M] is 0.36 MB; [N, M, D] would be 92 MB.
    assert peak < 10e6
