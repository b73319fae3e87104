"""Distances on tensors: gradients, precision, and a memory without `[N, M, D]`."""

import keras
import numpy as np
import pytest

from keras_similarity import distances
from keras_similarity.backend import framework, ops
from keras_similarity.distances import Distance, SNRDistance
from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import TripletLoss
from tests.backend import eager, gradients, jit

DISTANCES = {
    name: distances.get(name) for name in ("cosine", "ip", "l2", "sql2", "l1", "snr")
} | {"snr, normalised": SNRDistance(normalize_embeddings=True, power=2)}
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


@all_distances
@pytest.mark.parametrize(
    "x",
    [np.ones((3, 5)), np.zeros((3, 5)), np.full((3, 5), 1e-20)],
    ids=["coincident", "zero", "tiny"],
)
def test_gradients_are_finite_where_slopes_are_not(distance, x):
    x = x.astype("float32")
    (slope,) = gradients(lambda t: ops.sum(distance(t)), x)
    assert np.isfinite(slope).all()


def test_coincident_points_have_a_euclidean_gradient_of_0():
    x = np.ones((2, 3), "float32")
    (slope,) = gradients(lambda t: ops.sum(distances.get("l2")(t)), x)
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
