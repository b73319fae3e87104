"""Tests of what is special about faiss, and of the search that chooses by itself."""

import json

import numpy as np
import pytest

from keras_similarity import search
from keras_similarity.search import AutoSearch, FaissSearch, LinearSearch
from keras_similarity.testing.search_subject import recall_of

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
HEAPS = RNG.normal(size=(200, 16))
KEYS = (np.repeat(HEAPS, 20, axis=0) + 0.5 * RNG.normal(size=(4000, 16))).astype("f4")
QUERIES = (KEYS[::80] + 0.3 * RNG.normal(size=(50, 16))).astype("float32")


def expected(distance="euclidean", allowed=None):
    made = LinearSearch(distance, 16)
    made.batch_add(KEYS, np.arange(4000))
    return made.batch_lookup(QUERIES, 10, allowed=allowed)[0]


def filled(algo, distance="euclidean", **options):
    made = FaissSearch(distance, 16, algo=algo, **{"exact_rows": 1000, **options})
    made.batch_add(KEYS, np.arange(4000))
    return made


ENGINES = {
    "ivf": "IndexIVFFlat",
    "ivfsq8": "IndexIVFScalarQuantizer",
    "hnsw": "IndexHNSWFlat",
    "sq8": "IndexScalarQuantizer",
    "fp16": "IndexScalarQuantizer",
    "IVF32,Flat": "IndexIVFFlat",
    "HNSW8_SQ8": "IndexHNSWSQ",
    "PCA8,IVF16,Flat": "IndexPreTransform",
}


@pytest.mark.parametrize(("algo", "engine"), ENGINES.items())
def test_names_and_factory_strings_make_indexes_of_faiss(algo, engine):
    assert type(filled(algo)._built.engine).__name__ == engine


def test_lists_suit_the_rows_and_are_made_anew_when_there_are_four_times_as_many():
    made = FaissSearch("euclidean", 16, algo="ivf", exact_rows=500)
    made.batch_add(KEYS[:1000], np.arange(1000))
    assert made._built.engine.nlist == 1000 // 39
    made.batch_add(KEYS[1000:], np.arange(1000, 4000))
    assert made._built.engine.nlist == 4000 // 39 and made._built.rows == 4000


def test_lists_that_were_asked_for_stay():
    made = FaissSearch("euclidean", 16, algo="ivf", nlist=10, exact_rows=500)
    made.batch_add(KEYS[:1000], np.arange(1000))
    engine = made._built.engine
    made.batch_add(np.tile(KEYS, (2, 1)), np.arange(1000, 9000))
    assert made._built.engine is engine and engine.nlist == 10


@pytest.mark.parametrize(
    ("algo", "few", "many"),
    [
        ("IVF64,Flat", {"nprobe": 1}, {"nprobe": 64}),
        ("hnsw", {"ef_search": 1}, {"ef_search": 400}),
    ],
)
def test_settings_hold_with_a_filter_too_and_may_be_changed(algo, few, many):
    made = filled(algo, m=4, ef_construction=20, **few)
    for allowed in (None, np.arange(4000) % 2 == 0):

        def recall(allowed=allowed):
            found, _ = made.batch_lookup(QUERIES, 10, allowed=allowed)
            return recall_of(found, expected(allowed=allowed))

        before = recall()
        for name, value in many.items():
            setattr(made, name, value)
        assert before < recall() - 0.05 and recall() > 0.97
        for name, value in few.items():
            setattr(made, name, value)


@pytest.mark.parametrize("algo", ["flat", "ivf", "hnsw", "IVF16,Flat"])
def test_manhattan_where_faiss_can(algo):
    found = filled(algo, "manhattan", ef_search=128, nprobe=8).batch_lookup(QUERIES, 10)[
        0
    ]
    assert recall_of(found, expected("manhattan")) > 0.95


REFUSED = {
    "an unknown text": ({"algo": "junk"}, "`algo` must be one of flat, .*'junk'.*says"),
    "ids of its own": ({"algo": "IDMap,Flat"}, "takes rows in turns"),
    "no rows later": ({"algo": "NSG8,Flat"}, "takes rows in turns"),
    # faiss would end the process when the graph is made.
    "L1 of codes": ({"algo": "HNSW8_SQ8", "distance": "l1"}, "'HNSW8_SQ8' of faiss"),
    "L1 of lists in a graph": (
        {"algo": "IVF16_HNSW8,Flat", "distance": "l1"},
        "that 'IVF16_HNSW8,Flat' of faiss compares by",
    ),
    # faiss would take L2 without a word.
    "inner products of codes": (
        {"algo": "HNSW8,PQ4", "distance": "inner_product"},
        "that 'HNSW8,PQ4' of faiss compares by",
    ),
    "ef_search": ({"ef_search": 0}, "`ef_search` must be at least 1"),
}


@pytest.mark.parametrize(("arguments", "match"), REFUSED.values(), ids=REFUSED)
def test_what_faiss_cannot_do_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        FaissSearch(**{"distance": "cosine", "dim": 16, **arguments})


def test_files_of_another_kind_of_index_are_refused(tmp_path):
    filled("ivf", nlist=20).write(tmp_path)
    for other in ({"algo": "hnsw"}, {"algo": "ivf", "nlist": 21}):
        with pytest.raises(ValueError, match="The saved faiss index must have the class"):
            FaissSearch("euclidean", 16, **other).read(tmp_path)


def test_files_of_the_first_version_are_read(tmp_path):
    import faiss

    made = filled("ivfpq", m=4, nbits=4, nlist=8)
    made.write(tmp_path)
    np.save(tmp_path / "ivfpq.npy", faiss.serialize_index(made._built.engine))
    (tmp_path / "engine.faiss").unlink()
    loaded = FaissSearch("euclidean", 16, m=4, nbits=4, nlist=8)
    loaded.read(tmp_path)
    assert loaded.is_trained
    np.testing.assert_array_equal(
        loaded.batch_lookup(QUERIES, 5)[0], made.batch_lookup(QUERIES, 5)[0]
    )


@pytest.mark.parametrize("algo", ["ivf", "hnsw", "sq8"])
def test_a_mapped_index_can_be_extended(algo, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_similarity.search.approximate._TAIL", 10)
    filled(algo).write(tmp_path)
    loaded = FaissSearch("euclidean", 16, algo=algo, exact_rows=1000)
    loaded.read(tmp_path, mmap=True)
    loaded.batch_add(KEYS[:300] * 0.9, np.arange(4000, 4300))
    assert loaded._built.rows == loaded._built.engine.ntotal == 4300
    found = loaded.batch_lookup(KEYS[:300] * 0.9, 1)[0][:, 0]
    assert (found == np.arange(4000, 4300)).mean() > 0.95


def test_auto_is_exact_and_grows_past_the_limit(tmp_path):
    made = AutoSearch("euclidean", 16, exact_rows=3000)
    made.batch_add(KEYS[:3000], np.arange(3000))
    assert not made.is_trained
    made.batch_add(KEYS[3000:], np.arange(3000, 4000))
    assert made.is_trained
    ids = made.batch_lookup(QUERIES, 10)[0]
    assert recall_of(ids, expected()) > 0.95
    made.save(tmp_path)
    loaded = search.get("auto", distance="euclidean", dim=16)
    loaded.load(tmp_path)
    assert loaded.is_trained and loaded.exact_rows == 3000
    np.testing.assert_array_equal(loaded.batch_lookup(QUERIES, 10)[0], ids)


CHOICES = {
    ("cosine", 64): "ivf",
    ("manhattan", 64): "ivf",
    ("cosine", 512): "hnsw",
    ("inner_product", 512): "ivf",
    ("snr", 64): "flat",
}


@pytest.mark.parametrize(("where", "algo"), CHOICES.items())
def test_auto_suits_width_and_distance(where, algo):
    made = AutoSearch(*where)
    assert made.algo == algo and made.exact_rows == 100_000
    config = json.loads(json.dumps(search.serialize(made)))
    assert search.deserialize(config).get_config() == made.get_config()


def test_auto_searches_any_distance_exactly():
    made = AutoSearch("snr", 16, exact_rows=100)
    made.batch_add(KEYS, np.arange(4000))
    assert not made.is_trained
    np.testing.assert_array_equal(made.batch_lookup(QUERIES, 10)[0], expected("snr"))


@pytest.mark.parametrize("algo", ["hnsw", "ivf", "flat"])
@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.8])
def test_a_filter_that_goes_with_the_vectors_loses_nothing(algo, share):
    """A query's own heap is left out, with others: the nearest are in heaps far off."""
    random = np.random.default_rng(0)
    centers = 3 * random.normal(size=(10, 32))
    labels = random.integers(0, 10, 4000)
    rows = (centers[labels] + random.normal(size=(4000, 32))).astype("float32")
    made = FaissSearch("euclidean", 32, algo=algo)
    exact = LinearSearch("euclidean", 32)
    for each in (made, exact):
        each.batch_add(rows, np.arange(4000))
    allowed = labels < 10 * share
    queries = rows[~allowed][:100]
    unfiltered = recall_of(made.batch_lookup(queries)[0], exact.batch_lookup(queries)[0])
    found, _ = made.batch_lookup(queries, 10, allowed=allowed)
    nearest, _ = exact.batch_lookup(queries, 10, allowed=allowed)
    assert recall_of(found, nearest) >= unfiltered - 0.02
