"""Tests of vectors that are kept in fewer bytes."""

import numpy as np
import pytest

from keras_similarity.search import LinearSearch
from keras_similarity.search.codes import CODES
from keras_similarity.testing.search_subject import recall_of

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
HEAPS = RNG.normal(size=(300, 64))
KEYS = (np.repeat(HEAPS, 20, axis=0) + 0.5 * RNG.normal(size=(6000, 64))).astype("f4")
QUERIES = (KEYS[::120] + 0.3 * RNG.normal(size=(50, 64))).astype("float32")
DISTANCES = ["cosine", "euclidean", "inner_product", "manhattan", "snr"]
# Storage -> bytes a row of width 64, and what is found with exact vectors and without.
STORAGES = {
    "float16": (128, 0.999, 0.99),
    "int8": (68, 0.999, 0.9),
    "binary": (12, 0.95, 0.1),
}


def filled(distance, storage, has_vectors=False):
    made = LinearSearch(distance, 64, storage=storage)
    if has_vectors:
        made.use_vectors(lambda ids: KEYS[ids // 2])
    made.batch_add(KEYS, np.arange(6000) * 2)
    return made


def exact(distance, allowed=None):
    return filled(distance, "float32").batch_lookup(QUERIES, 10, allowed=allowed)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_neighbours_by_codes_are_ranked_by_exact_vectors(distance, storage):
    _, with_vectors, without = STORAGES[storage]
    expected_ids, expected = exact(distance)
    ids, found = filled(distance, storage, has_vectors=True).batch_lookup(QUERIES, 10)
    assert recall_of(ids, expected_ids) >= with_vectors
    is_same = ids == expected_ids
    np.testing.assert_array_equal(found[is_same], expected[is_same])
    alone, _ = filled(distance, storage).batch_lookup(QUERIES, 10)
    assert without <= recall_of(alone, expected_ids) <= recall_of(ids, expected_ids)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "inner_product"])
def test_alone_distances_are_those_to_what_the_codes_stand_for(distance, storage):
    made = filled(distance, storage)
    ids, found = made.batch_lookup(QUERIES, 10)
    vectors = made._codes.vectors(ids.ravel() // 2)
    queries = np.repeat(QUERIES, 10, axis=0)
    expected = made.distance.paired(queries, vectors).reshape(50, 10)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    costs = made.distance.to_cost(found)
    assert (np.diff(costs) >= 0).all()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("has_vectors", [True, False])
@pytest.mark.parametrize("share", [2, 100])
def test_filters_are_kept_to(storage, has_vectors, share):
    allowed = np.arange(12000) % (2 * share) == 0
    made = filled("cosine", storage, has_vectors)
    ids, _ = made.batch_lookup(QUERIES, 10, allowed=allowed)
    assert allowed[ids].all()
    if has_vectors:
        expected = exact("cosine", allowed)[0]
        assert recall_of(ids, expected) >= (0.999 if share == 100 else 0.95)


@pytest.mark.parametrize("storage", STORAGES)
def test_codes_take_fewer_bytes_and_are_saved(storage, tmp_path):
    made = filled("cosine", storage)
    made.write(tmp_path)
    names = ["float16", "int8", "scales", "signs"]
    files = [tmp_path / f"{name}.npy" for name in names]
    sizes = sum(file.stat().st_size - 128 for file in files if file.exists())
    assert sizes == STORAGES[storage][0] * 6000
    assert not (tmp_path / "vectors.npy").exists()
    for mmap in (False, True):
        loaded = LinearSearch("cosine", 64, storage=storage)
        loaded.read(tmp_path, mmap)
        np.testing.assert_array_equal(
            loaded.batch_lookup(QUERIES, 5), made.batch_lookup(QUERIES, 5)
        )
        loaded.add(KEYS[0], 1)
        assert loaded.size() == 6001


def test_blocks_of_codes_change_nothing(monkeypatch):
    made = filled("euclidean", "int8", has_vectors=True)
    expected = made.batch_lookup(QUERIES, 10)
    monkeypatch.setattr("keras_similarity.search.coded._ROWS", 700)
    monkeypatch.setattr("keras_similarity.search.coded._VALUES", 2000)
    np.testing.assert_array_equal(made.batch_lookup(QUERIES, 10), expected)


def test_a_vector_source_stays_when_rows_are_taken_over():
    made = filled("cosine", "binary", has_vectors=True)
    before = made.batch_lookup(QUERIES, 10)
    other = filled("cosine", "binary")
    made.adopt(other)
    np.testing.assert_array_equal(made.batch_lookup(QUERIES, 10), before)


@pytest.mark.parametrize("storage", CODES)
def test_zero_vectors_have_codes(storage):
    made = LinearSearch("euclidean", 3, storage=storage)
    made.batch_add([[0, 0, 0], [4, 4, 4]], [0, 1])
    ids, found = made.batch_lookup([[0, 0, 0], [4, 4, 4]], k=1)
    assert ids.tolist() == [[0], [1]]
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match="`storage` must be one of float32, float16"):
        LinearSearch("cosine", 8, storage="int4")
    made = LinearSearch("euclidean", 2, storage="float16")
    with pytest.raises(ValueError, match="within 65,504 of 0"):
        made.batch_add([[1, 1], [1, 1e5]], [0, 1])
    assert made.size() == 0
