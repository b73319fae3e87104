"""Distances on tensors: gradients, precision, and a memory without `[N, M, D]`."""

import json

import keras
import numpy as np
import pytest

from keras_similarity import distances
from keras_similarity.backend import framework, ops
from keras_similarity.distances import (
    BaseDistance,
    BatchedDistance,
    CosineSimilarity,
    Distance,
    DotProductSimilarity,
    LpDistance,
    SNRDistance,
)
from keras_similarity.indexer import Indexer
from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import TripletLoss
from tests.backend import eager, gradients, jit

DISTANCES = {
    name: distances.get(name) for name in ("cosine", "ip", "l2", "sql2", "l1", "snr")
} | {
    "snr, normalised": SNRDistance(normalize_embeddings=True, power=2),
    "lp": LpDistance(),
    "lp, squared": LpDistance(power=2),
    "lp, power 0.5": LpDistance(power=0.5),
    "lp, p=1": LpDistance(p=1),
    "lp, p=3, raw": LpDistance(p=3, power=2, normalize_embeddings=False),
    "l2, raw, power 3": LpDistance(power=3, normalize_embeddings=False),
    "cosine similarity": CosineSimilarity(),
    "dot product": DotProductSimilarity(normalize_embeddings=False),
    "dot product, p=1, cubed": DotProductSimilarity(p=1, power=3),
}
all_distances = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
RNG = np.random.default_rng(4)
QUERY = RNG.normal(size=(5, 19)).astype("float32")
KEY = RNG.normal(size=(7, 19)).astype("float32")
WEIGHTS = RNG.normal(size=(5, 7)).astype("float32")


def weighted(distance):
    weights = ops.convert_to_tensor(WEIGHTS)
    return lambda q, k: ops.sum(distance(q, k) * ops.cast(weights, q.dtype))


@all_distances
@pytest.mark.parametrize("mode", [eager, jit])
def test_tensors_give_the_values_of_arrays(distance, mode):
    query, key = ops.convert_to_tensor(QUERY), ops.convert_to_tensor(KEY)
    found = ops.convert_to_numpy(mode(lambda q, k: distance(q, k))(query, key))
    np.testing.assert_allclose(found, distance(QUERY, KEY), rtol=1e-5, atol=1e-5)
    paired = ops.convert_to_numpy(distance.paired(query, query))
    np.testing.assert_allclose(
        paired, np.diag(distance(QUERY, QUERY)), rtol=1e-5, atol=2e-3
    )


@all_distances
def test_the_gradient_is_the_numerical_one(distance):
    """In float64, which `keras.ops` keeps on TensorFlow; the others in float32."""
    is_wide = framework() == "tensorflow"
    dtype, tolerance = ("float64", 1e-5) if is_wide else ("float32", 2e-3)
    step = 1e-6  # The numerical one is NumPy's, in float64.
    arrays = [QUERY.astype(dtype), KEY.astype(dtype)]
    found = gradients(weighted(distance), *arrays)
    for side in (0, 1):
        for place in [(0, 0), (2, 9), (4, 18)]:
            values = []
            for sign in (1, -1):
                moved = [array.astype("float64") for array in arrays]
                moved[side][place] += sign * step
                values.append(float((distance(*moved) * WEIGHTS).sum()))
            numerical = (values[0] - values[1]) / (2 * step)
            scale = max(1.0, abs(numerical))
            assert abs(found[side][place] - numerical) < tolerance * scale


def test_rows_that_are_taken_of_a_matrix_have_slopes():
    x = np.array([[0.0, 2.0], [1.0, 5.0], [4.0, 4.0]], "float32")
    manhattan = distances.LpDistance(p=1, normalize_embeddings=False)
    rows = ops.convert_to_tensor(np.array([1], "int32"))

    def total(x):
        return ops.sum(ops.take(manhattan(x), rows, axis=0))

    (found,) = gradients(total, x)
    np.testing.assert_allclose(found, [[-1, -1], [0, 2], [1, -1]])


@all_distances
@pytest.mark.parametrize(
    "x",
    [np.ones((3, 5)), np.zeros((3, 5)), np.full((3, 5), 1e-20), np.eye(3, 5) * 1e-20],
    ids=["coincident", "zero", "tiny", "tiny and apart"],
)
def test_gradients_are_finite_where_slopes_are_not(distance, x):
    x = x.astype("float32")
    (slope,) = gradients(lambda t: ops.sum(distance(t)), x)
    assert np.isfinite(slope).all()


# They do not depend on the embeddings' scale.
NORMALISED = [name for name, d in DISTANCES.items() if d.normalize_embeddings]


@pytest.mark.parametrize("name", NORMALISED)
def test_huge_embeddings_have_the_values_and_slopes_of_others(name):
    distance, scale = DISTANCES[name], float(2**67)  # 1.5e20: squares leave float32.
    arrays = QUERY * np.float32(scale), KEY * np.float32(scale)
    found = distance(*map(ops.convert_to_tensor, arrays))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), distance(QUERY, KEY), rtol=1e-4, atol=1e-5
    )
    slopes = gradients(weighted(distance), *arrays)
    for slope, expected in zip(
        slopes, gradients(weighted(distance), QUERY, KEY), strict=True
    ):
        np.testing.assert_allclose(slope * scale, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["l2", "sql2", "l1", "snr", "l2, raw, power 3", "lp, p=3, raw"]
)
def test_huge_embeddings_have_finite_distances(name):
    x = QUERY * np.float32(1e20)
    found = ops.convert_to_numpy(DISTANCES[name](ops.convert_to_tensor(x)))
    (slope,) = gradients(lambda t: ops.sum(DISTANCES[name](t)), x)
    assert np.isfinite(found).all()
    assert np.isfinite(slope).all()
    largest = float(np.finfo("float32").max)
    expected = np.minimum(DISTANCES[name](x.astype("float64")), largest)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-3 * expected.max())


@pytest.mark.parametrize("distance", [LpDistance(), LpDistance(p=3)])
def test_a_row_too_short_for_a_direction_is_a_zero_vector(distance):
    x = np.array([[3e-13, 4e-13], [3e-11, 4e-11], [0.0, 0.0]], "float32")
    found = ops.convert_to_numpy(distance(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("name", ["l2", "lp"])
def test_coincident_points_have_a_euclidean_gradient_of_0(name):
    x = np.ones((2, 3), "float32")
    (slope,) = gradients(lambda t: ops.sum(distances.get(name)(t)), x)
    np.testing.assert_array_equal(slope, np.zeros_like(x))


@all_distances
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_raised_to_float32(distance, dtype):
    query = ops.cast(ops.convert_to_tensor(QUERY), dtype)
    found = distance(query)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    exact = distance(ops.convert_to_numpy(ops.cast(query, "float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(found), exact, rtol=1e-4, atol=5e-3)


@all_distances
def test_distances_are_layers_of_a_functional_model(distance, tmp_path):
    inputs = keras.Input((19,))
    model = keras.Model(inputs, distance(inputs, inputs))
    np.testing.assert_allclose(
        model.predict(QUERY, verbose=0), distance(QUERY), rtol=1e-4, atol=5e-3
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(QUERY, verbose=0), distance(QUERY), rtol=1e-4, atol=5e-3
    )


class Chebyshev(Distance):
    """A user's own distance: one formula."""

    default_name = "chebyshev"

    def matrix(self, query, key, ops):
        return ops.max(ops.abs(query[..., :, None, :] - key[..., None, :, :]), axis=-1)


def test_a_users_own_distance_works_in_losses_and_models():
    expected = np.abs(QUERY[:, None] - KEY[None]).max(-1)
    np.testing.assert_allclose(Chebyshev()(QUERY, KEY), expected, rtol=1e-6)
    found = Chebyshev()(ops.convert_to_tensor(QUERY), ops.convert_to_tensor(KEY))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-6)
    from keras_similarity.models import SimilarityModel

    inputs = keras.Input((19,))
    model = SimilarityModel(inputs, MetricEmbedding(4)(inputs))
    model.compile("sgd", loss=TripletLoss(Chebyshev()))
    model.fit(QUERY, np.array([0, 0, 1, 1, 0]), verbose=0)
    model.index(QUERY, range(5), verbose=0)
    neighbors = model.single_lookup(QUERY[3], k=5)
    embeddings = model.embed(QUERY)
    assert neighbors[0].label == 3
    np.testing.assert_allclose(
        [n.distance for n in neighbors],
        np.sort(np.abs(embeddings - embeddings[3]).max(-1)),
        atol=1e-6,
    )


class CityBlock(BaseDistance):
    """A user's own distance as PyTorch Metric Learning has it: on tensors only."""

    def compute_mat(self, query, ref):
        assert not isinstance(query, np.ndarray)
        return ops.sum(ops.abs(query[:, None] - ref[None]), axis=-1)

    def pairwise_distance(self, query, ref):
        return ops.sum(ops.abs(query - ref), axis=-1)


class DiagonalOnly(BaseDistance):
    """One that says nothing of rows beside each other."""

    def compute_mat(self, query, ref):
        return query @ ops.transpose(ref)


@pytest.mark.parametrize("mode", [eager, jit])
def test_a_peers_distance_works_on_tensors_and_arrays(mode):
    distance = CityBlock(power=2)
    expected = LpDistance(power=2, normalize_embeddings=False, p=1)(
        distance.normalize(QUERY), distance.normalize(KEY)
    )
    found = mode(lambda q, k: distance(q, k))(*map(ops.convert_to_tensor, (QUERY, KEY)))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4)
    arrays = distance(QUERY.astype("float64"), KEY.astype("float64"))
    assert arrays.dtype == np.float64
    np.testing.assert_allclose(arrays, expected, rtol=1e-4)
    np.testing.assert_allclose(
        distance.paired(QUERY, KEY[:5]), np.diag(expected), rtol=1e-4
    )
    paired = DiagonalOnly(normalize_embeddings=False).paired(QUERY, KEY[:5])
    np.testing.assert_allclose(paired, (QUERY * KEY[:5]).sum(1), rtol=1e-4, atol=1e-5)


def test_a_peers_distance_works_in_losses_and_indexes():
    ours, peers = LpDistance(p=1, normalize_embeddings=False), CityBlock(False)
    labels = np.array([0, 0, 1, 1, 0])
    losses = [TripletLoss(distance)(labels, QUERY) for distance in (ours, peers)]
    np.testing.assert_allclose(*map(ops.convert_to_numpy, losses), rtol=1e-5)
    found = []
    for distance in (ours, peers):
        index = Indexer(19, distance)
        index.batch_add(KEY, labels=list(range(len(KEY))), verbose=0)
        found.append(index.batch_lookup(QUERY, k=3, verbose=0))
    np.testing.assert_array_equal(found[0].labels, found[1].labels)
    np.testing.assert_allclose(found[0].distances, found[1].distances, rtol=1e-5)


@pytest.mark.parametrize("mode", [eager, jit])
def test_statistics_are_kept_outside_of_compiled_functions(mode):
    distance = LpDistance(collect_stats=True)
    query, key = ops.convert_to_tensor(QUERY), ops.convert_to_tensor(KEY)
    mode(lambda q, k: distance(q, k))(query, key)
    if mode is jit:
        assert not hasattr(distance, "initial_avg_query_norm")
        distance(query, key)
    norms = [np.linalg.norm(x, axis=1).mean() for x in (QUERY, KEY)]
    found = distance.initial_avg_query_norm, distance.initial_avg_ref_norm
    np.testing.assert_allclose(found, norms, rtol=1e-5)
    assert isinstance(found[0], float)
    np.testing.assert_allclose(distance.final_avg_query_norm, 1.0, rtol=1e-6)


@all_distances
def test_keras_saves_and_restores_a_distance(distance):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(distance)))
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored) is type(distance)
    assert restored.get_config() == distance.get_config()


def test_blocks_of_tensors():
    query = ops.convert_to_tensor(QUERY)
    blocks = [block for block, _, _ in BatchedDistance("lp", batch_size=2).blocks(query)]
    assert [tuple(block.shape) for block in blocks] == [(2, 5), (2, 5), (1, 5)]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.concatenate(blocks)), LpDistance()(QUERY), atol=2e-3
    )
