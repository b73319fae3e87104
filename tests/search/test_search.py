"""Tests of what all search engines promise."""

import functools
import json
import threading
from itertools import pairwise

import numpy as np
import pytest

from keras_similarity import distances, search
from keras_similarity.search import FaissSearch, LinearSearch
from keras_similarity.search.candidates import candidates

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(500, 8)).astype("float32")
QUERIES = RNG.normal(size=(40, 8)).astype("float32")


class ChebyshevDistance(distances.Distance):
    """A user's own, which no engine knows."""

    default_name = "chebyshev"

    def matrix(self, query, key, ops):
        return ops.max(ops.abs(query[..., :, None, :] - key[..., None, :, :]), axis=-1)


class FlippedEuclidean(distances.EuclideanDistance):
    """A user's subclass of a distance that faiss knows."""

    def matrix(self, query, key, ops):
        return -super().matrix(query, key, ops)


def float64_distances(name, query, key):
    """By loops over the definition."""

    def one(q, k):
        return {
            "cosine": 1 - q @ k / np.linalg.norm(q) / np.linalg.norm(k),
            "inner_product": q @ k,
            "euclidean": np.linalg.norm(q - k),
            "squared_euclidean": np.sum((q - k) ** 2),
            "manhattan": np.abs(q - k).sum(),
            "snr": np.var(q - k) / np.var(q),
            "chebyshev": np.abs(q - k).max(),
        }[name]

    return np.array(
        [[one(q, k) for k in key.astype("float64")] for q in query.astype("float64")]
    )


@functools.cache
def expected_distances(name):
    """Those of the queries to the keys."""
    return float64_distances(name, QUERIES, KEYS)


EVERYWHERE = ["cosine", "inner_product", "euclidean", "squared_euclidean"]
MAKE = {
    "linear": lambda distance: LinearSearch(distance, 8),
    "flat": lambda distance: FaissSearch(distance, 8, algo="flat"),
    # Few enough lists and codes that 500 rows train it; all lists are looked into.
    "ivfpq": lambda distance: FaissSearch(distance, 8, m=4, nbits=3, nlist=4, nprobe=4),
    "ivfpq, untrained": lambda distance: FaissSearch(distance, 8, m=4),
}
CASES = [(engine, distance) for engine in MAKE for distance in EVERYWHERE] + [
    ("linear", "manhattan"),
    ("flat", "manhattan"),
    ("linear", "snr"),
    ("linear", "chebyshev"),
]


def filled(engine, distance="euclidean"):
    made = MAKE[engine](ChebyshevDistance() if distance == "chebyshev" else distance)
    made.batch_add(KEYS, np.arange(500) * 3)
    return made


@pytest.mark.parametrize(("engine", "distance"), CASES)
@pytest.mark.parametrize("rows", [40, 1], ids=["batch", "one"])
def test_distances_are_those_of_the_distance_nearest_first(engine, distance, rows):
    made = filled(engine, distance)
    ids, found = made.batch_lookup(QUERIES[:rows], k=6)
    expected = expected_distances(distance)[:rows]
    assert ids.dtype == np.int64 and found.dtype == np.float32
    np.testing.assert_allclose(
        found, np.take_along_axis(expected, ids // 3, 1), rtol=1e-5, atol=1e-5
    )
    sign = -1 if made.distance.is_similarity else 1
    best = np.sort(sign * expected, axis=1)[:, :6]
    if engine == "ivfpq":
        assert (np.diff(sign * found) >= 0).all()
        assert np.isclose(sign * found, best, atol=1e-5).mean() > 0.5
    else:
        np.testing.assert_allclose(sign * found, best, rtol=1e-5, atol=1e-5)


def test_ivfpq_of_the_cases_is_trained():
    assert filled("ivfpq").is_trained and not filled("ivfpq, untrained").is_trained


def test_a_subclass_of_a_known_distance_is_searched_by_its_own_formula():
    made = LinearSearch(FlippedEuclidean(), 8)
    made.batch_add(KEYS, np.arange(500))
    ids, found = made.batch_lookup(QUERIES, k=1)
    expected = -expected_distances("euclidean")
    assert ids[:, 0].tolist() == expected.argmin(axis=1).tolist()
    np.testing.assert_allclose(found[:, 0], expected.min(axis=1), rtol=1e-5)


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan", "snr"])
@pytest.mark.parametrize("rows", [1, 40])
def test_ties_come_in_the_order_of_adding(distance, rows):
    made = LinearSearch(distance, 8)
    made.batch_add(np.repeat(KEYS[:3], 20, axis=0), np.arange(60))
    ids, _ = made.batch_lookup(np.repeat(KEYS[1:2], rows, axis=0), k=20)
    assert (ids == np.arange(20, 40)).all()


# How the vectors of a test lie: width, and what is added to them.
PLACES = {"narrow": (8, 0.0), "wide": (100, 0.0), "far from 0": (64, 1000.0)}


@pytest.mark.parametrize(("dim", "offset"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("distance", [*EVERYWHERE, "manhattan", "snr", "chebyshev"])
def test_an_answer_does_not_depend_on_the_batch(distance, dim, offset):
    rng = np.random.default_rng(1)
    distance = ChebyshevDistance() if distance == "chebyshev" else distance
    made = LinearSearch(distance, dim)
    made.batch_add(rng.normal(size=(3000, dim)) + offset, np.arange(3000))
    queries = rng.normal(size=(70, dim)) + offset
    expected = made.batch_lookup(queries, k=7)
    for size in (1, 31, 32, 33):
        parts = [
            made.batch_lookup(queries[start : start + size], k=7)
            for start in range(0, 70, size)
        ]
        for column, together in zip(zip(*parts, strict=True), expected, strict=True):
            np.testing.assert_array_equal(np.concatenate(column), together)


@pytest.mark.parametrize("engine", ["linear", "flat", "ivfpq, untrained"])
@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
@pytest.mark.parametrize("rows", [1, 200])
def test_neighbours_far_from_zero_are_those_of_float64(engine, distance, rows):
    rng = np.random.default_rng(2)
    keys = (rng.normal(size=(2000, 8)) + 1000).astype("float32")
    # A second heap, so that no one point is near to all.
    keys[1000:] -= 2000
    queries = (keys[:rows] + rng.normal(size=(rows, 8))).astype("float32")
    made = MAKE[engine](distance)
    made.batch_add(keys, np.arange(2000))
    ids, found = made.batch_lookup(queries, k=5)
    expected = np.stack(
        [np.square(keys.astype("float64") - query).sum(axis=1) for query in queries]
    )
    expected = np.sqrt(expected) if distance == "euclidean" else expected
    np.testing.assert_array_equal(ids, np.argsort(expected, axis=1)[:, :5])
    np.testing.assert_allclose(found, np.take_along_axis(expected, ids, 1), rtol=1e-5)


def test_a_long_vector_is_at_distance_zero_from_itself():
    keys = KEYS / np.linalg.norm(KEYS, axis=1, keepdims=True) * 80
    made = LinearSearch("euclidean", 8)
    made.batch_add(keys, np.arange(500))
    ids, found = made.batch_lookup(keys, k=1)
    assert ids[:, 0].tolist() == list(range(500)) and (found == 0).all()


@pytest.mark.parametrize("distance", [*EVERYWHERE, "manhattan", "snr"])
@pytest.mark.parametrize("rows", [1, 40])
def test_more_ties_than_candidates_come_in_the_order_of_adding(distance, rows):
    made = LinearSearch(distance, 8)
    # Of one direction and length each, in turns, so that blocks of columns mix them.
    made.batch_add(np.tile(KEYS[:5], (301, 1)), np.arange(1505))
    ids, found = made.batch_lookup(np.repeat(KEYS[1:2] * 1.1, rows, axis=0), k=4)
    assert (ids == ids[:, :1] + np.arange(4) * 5).all() and (ids[:, 0] < 5).all()
    assert (found == found[0, 0]).all()


def test_vectors_far_from_zero_need_one_look(monkeypatch):
    counts = []

    def counted(distance, queries, keys, count):
        counts.append(count)
        return candidates(distance, queries, keys, count)

    monkeypatch.setattr("keras_similarity.search.exact.candidates", counted)
    made = LinearSearch("euclidean", 8)
    made.batch_add(KEYS + 1000, np.arange(500))
    made.batch_lookup(QUERIES + 1000, k=5)
    assert len(counts) == 1


@pytest.mark.parametrize("blocks", [(256, 16384, 2**22), (3, 7, 50), (1, 1, 1)])
def test_blocks_change_nothing(blocks, monkeypatch):
    monkeypatch.setattr("keras_similarity.search.exact._CANDIDATES", blocks[2])
    monkeypatch.setattr("keras_similarity.search.exact._BLOCK", blocks[2])
    monkeypatch.setattr("keras_similarity.search.candidates._QUERY_BLOCK", blocks[0])
    monkeypatch.setattr("keras_similarity.search.candidates._KEY_BLOCK", blocks[1])
    made = LinearSearch(ChebyshevDistance(), 8)
    # Rounded, so that there are ties within and across blocks.
    keys, queries = KEYS[:60].round(), QUERIES[:20].round()
    made.batch_add(keys, np.arange(60))
    ids, found = made.batch_lookup(queries, k=9)
    expected = float64_distances("chebyshev", queries, keys)
    order = np.argsort(expected, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_array_equal(found, np.take_along_axis(expected, order, 1))


def test_a_distance_that_gives_nan_is_an_error():
    class Broken(ChebyshevDistance):
        def matrix(self, query, key, ops):
            return super().matrix(query, key, ops) * float("nan")

    made = LinearSearch(Broken(), 8)
    made.add(KEYS[0], 0)
    with pytest.raises(ValueError, match="a NaN from"):
        made.lookup(KEYS[0])


def test_no_distance_is_negative():
    for distance in ("cosine", "euclidean", "squared_euclidean"):
        made = LinearSearch(distance, 8)
        made.batch_add(KEYS, np.arange(500))
        assert (
            made.batch_lookup(KEYS * 3 if distance == "cosine" else KEYS)[1] >= 0
        ).all()


def test_zero_vectors_are_at_cosine_distance_one():
    made = LinearSearch("cosine", 2)
    made.batch_add([[0, 0], [2, 0]], [0, 1])
    ids, found = made.batch_lookup([[5, 0], [0, 0]], k=2)
    assert ids.tolist() == [[1, 0], [0, 1]]
    assert found.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("engine", MAKE)
def test_short_answers_are_padded(engine):
    made = MAKE[engine]("euclidean")
    for rows in (0, 1, 3):
        made.reset()
        made.batch_add(KEYS[:rows], np.arange(rows))
        assert made.size() == rows and made.is_built() == (rows > 0)
        ids, found = made.batch_lookup(QUERIES, k=5)
        assert ids.shape == found.shape == (40, 5)
        assert ((ids == -1) == (np.arange(5) >= rows)).all()
        assert (np.isnan(found) == (np.arange(5) >= rows)).all()
    assert made.batch_lookup(np.empty((0, 8)), k=2)[0].shape == (0, 2)


@pytest.mark.parametrize("engine", ["linear", "flat", "ivfpq, untrained"])
def test_single_calls_equal_batches(engine):
    made = MAKE[engine]("cosine")
    for row, key in enumerate(KEYS[:50]):
        made.add(key if row % 2 else key[None], idx=row)
    together = MAKE[engine]("cosine")
    together.batch_add(KEYS[:50], np.arange(50))
    ids, found = made.lookup(QUERIES[0], k=3)
    assert found.shape == (3,)
    assert ids.tolist() == together.batch_lookup(QUERIES[:1], k=3)[0][0].tolist()
    with pytest.raises(ValueError, match="must be one embedding"):
        made.lookup(QUERIES[:2])


def test_rows_added_after_training_are_found():
    made = MAKE["ivfpq"]("euclidean")
    made.batch_add(KEYS[:400], np.arange(400))
    for row in range(400, 500):
        made.add(KEYS[row], row)
    ids, found = made.batch_lookup(KEYS[400:], k=1)
    assert (ids[:, 0] == np.arange(400, 500)).mean() > 0.8
    assert (found[ids[:, 0] == np.arange(400, 500)] < 1e-3).all()


BAD = {
    "a NaN": (np.full((1, 8), np.nan), [0], ValueError, "`embeddings` must be finite"),
    "an infinity": (np.full((1, 8), 1e300), [0], ValueError, "must be finite in float32"),
    "too long": (np.full((1, 8), 1e19), [0], ValueError, "overflow float32"),
    "too narrow": (np.ones((1, 7)), [0], ValueError, "must have 8 columns"),
    "one axis": (np.ones(8), [0], ValueError, "must have the shape"),
    "text": (np.full((1, 8), "x"), [0], TypeError, "must hold real numbers"),
    "too few ids": (np.ones((2, 8)), [0], ValueError, "one id a row, 2 of them"),
    "a float id": (np.ones((1, 8)), [0.5], TypeError, "`idxs` must be integers"),
    "a negative id": (np.ones((1, 8)), [-1], ValueError, "must be from 0"),
    "an id twice": (np.ones((2, 8)), [5, 5], ValueError, "5 again"),
    "a known id": (np.ones((2, 8)), [601, 300], ValueError, "300 again"),
    "the last id": (np.ones((1, 8)), [1497], ValueError, "1497 again"),
}


@pytest.mark.parametrize(("embeddings", "ids", "error", "match"), BAD.values(), ids=BAD)
def test_bad_rows_are_refused_before_anything_changes(embeddings, ids, error, match):
    made = filled("linear")
    with pytest.raises(error, match=match):
        made.batch_add(embeddings, ids)
    assert made.size() == 500
    assert made.lookup(KEYS[7])[0][0] == 21


def test_an_engine_that_fails_to_add_keeps_no_ids(monkeypatch):
    made = filled("linear")

    def fail(rows):
        raise MemoryError

    monkeypatch.setattr(made._codes, "extend", fail)
    with pytest.raises(MemoryError):
        made.add(KEYS[0], 9999)
    monkeypatch.undo()
    made.add(KEYS[0], 9999)
    assert made.size() == 501


def test_ids_may_come_in_any_order():
    made = LinearSearch("euclidean", 8)
    made.batch_add(KEYS[:3], [50, 2, 40])
    made.batch_add(KEYS[3:4], [7])
    assert made.batch_lookup(KEYS[:4], k=1)[0][:, 0].tolist() == [50, 2, 40, 7]
    with pytest.raises(ValueError, match="7 again"):
        made.add(KEYS[5], 7)


@pytest.mark.parametrize(
    ("k", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_k_must_be_a_positive_integer(k, error):
    with pytest.raises(error, match="`k` must be"):
        filled("linear").batch_lookup(QUERIES, k=k)


def test_a_nan_query_is_refused():
    with pytest.raises(ValueError, match=r"finite.*row 3"):
        filled("linear").batch_lookup(
            np.where(np.eye(8)[3], np.nan, 1.0)[:, None] + KEYS[:8]
        )


@pytest.mark.parametrize("engine", MAKE)
def test_save_and_load(engine, tmp_path):
    made = filled(engine, "cosine")
    made.save(tmp_path / "search")
    loaded = MAKE[engine]("cosine")
    loaded.batch_add(KEYS[:5], np.arange(5))
    loaded.load(tmp_path / "search")
    for ours, theirs in zip(
        made.batch_lookup(QUERIES), loaded.batch_lookup(QUERIES), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert getattr(loaded, "is_trained", None) == getattr(made, "is_trained", None)
    with pytest.raises(ValueError, match="0 again"):
        loaded.add(KEYS[0], 0)
    loaded.add(KEYS[0], 10_000)
    assert loaded.size() == 501


OTHERS = {
    "class": (lambda: FaissSearch("cosine", 8), "same search engine"),
    "size": (lambda: LinearSearch("cosine", 4), "same embedding size"),
    "distance": (lambda: LinearSearch("euclidean", 8), "same distance"),
}


@pytest.mark.parametrize(("other", "match"), OTHERS.values(), ids=OTHERS)
def test_another_engines_files_are_refused(other, match, tmp_path):
    filled("linear", "cosine").save(tmp_path)
    with pytest.raises(ValueError, match=match):
        other().load(tmp_path)


def test_rows_that_do_not_fit_the_ids_are_refused(tmp_path):
    made = filled("linear")
    made.write(tmp_path)
    np.save(tmp_path / "vectors.npy", KEYS[:499])
    with pytest.raises(ValueError, match=r"float32 \[500, 8\]. Received: float32 \[499"):
        LinearSearch("euclidean", 8).read(tmp_path)


@pytest.mark.parametrize("engine", MAKE)
def test_config_goes_through_json(engine):
    made = MAKE[engine]("inner_product")
    config = json.loads(json.dumps(search.serialize(made)))
    again = search.deserialize(config)
    assert again.get_config() == made.get_config() and type(again) is type(made)
    arguments = {"algo", "m", "nbits", "nlist", "nprobe"}
    arguments |= {"ef_search", "ef_construction", "exact_rows"}
    arguments = {"storage"} if engine == "linear" else arguments
    assert {"distance", "dim", "name", "verbose"} | arguments == set(made.get_config())


def test_get_takes_names_configs_and_objects():
    made = search.get("FAISS", distance="cosine", dim=16)
    assert isinstance(made, FaissSearch) and made.nlist == 1024
    assert search.get(made) is made
    assert isinstance(search.get(search.serialize(made)), FaissSearch)
    assert isinstance(search.get("LinearSearch", distance="l2", dim=2), LinearSearch)
    with pytest.raises(ValueError, match=r"Unknown search engine: 'linaer'.*'linear'"):
        search.get("linaer", distance="l2", dim=2)


BAD_FAISS = {
    "distance": ({"distance": "snr"}, "`LinearSearch` takes any distance"),
    "L1 in ivfpq": ({"distance": "manhattan"}, "`LinearSearch` takes any distance"),
    "subclass": ({"distance": FlippedEuclidean()}, "Received: distance=FlippedEu"),
    "algo": ({"algo": "hsnw"}, "`algo` must be one of flat, ivfpq.*factory string"),
    "m": ({"m": 3}, "`dim` must be a multiple of `m`"),
    "nbits": ({"nbits": 17}, "`nbits` must be at most 16"),
    "nprobe": ({"nprobe": 5, "nlist": 4}, "`nprobe` at most `nlist`"),
    "nlist": ({"nlist": 0}, "`nlist` must be at least 1"),
    "dim": ({"dim": 0}, "`dim` must be at least 1"),
}


@pytest.mark.parametrize(("arguments", "match"), BAD_FAISS.values(), ids=BAD_FAISS)
def test_faiss_refuses_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        FaissSearch(**{"distance": "cosine", "dim": 8, **arguments})


def test_more_probes_find_more():
    recall = []
    for nprobe in (1, 8):
        made = FaissSearch("euclidean", 8, m=4, nbits=3, nlist=8, nprobe=nprobe)
        made.batch_add(KEYS, np.arange(500))
        ids, _ = made.batch_lookup(QUERIES, k=5)
        exact = np.argsort(expected_distances("euclidean"), axis=1)[:, :5]
        recall.append(
            np.mean([np.isin(a, b).mean() for a, b in zip(ids, exact, strict=True)])
        )
    assert recall[1] > recall[0] + 0.1


def test_queries_for_which_lists_hold_too_little_are_answered_exactly():
    made = FaissSearch("euclidean", 8, m=4, nbits=3, nlist=40, nprobe=1, exact_rows=400)
    made.batch_add(KEYS, np.arange(500))
    ids, found = made.batch_lookup(QUERIES, k=50)
    assert made.is_trained and (ids >= 0).all()
    # Lists hold 12 rows, or so.
    order = np.argsort(expected_distances("euclidean"), axis=1)[:, :50]
    np.testing.assert_array_equal(ids, order)
    assert (np.diff(found) >= 0).all()


def test_training_is_told_where_asked(capsys):
    made = FaissSearch("euclidean", 8, m=4, nbits=3, nlist=4, verbose=1)
    made.batch_add(KEYS[:100], np.arange(100))
    assert capsys.readouterr().out == ""
    made.batch_add(KEYS[100:], np.arange(100, 500))
    assert "faiss: making an engine of 500 rows" in capsys.readouterr().out


@pytest.mark.parametrize("engine", ["linear", "ivfpq"])
def test_lookups_run_while_rows_are_added(engine):
    made = MAKE[engine]("euclidean")
    made.batch_add(KEYS[:100], np.arange(100))
    is_done, errors = threading.Event(), []

    def look():
        try:
            while not is_done.is_set():
                ids, found = made.batch_lookup(KEYS[:40], k=5)
                assert (ids >= 0).all() and not np.isnan(found).any()
                if engine == "linear":
                    assert ids[:, 0].tolist() == list(range(40))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for start, end in pairwise(range(100, 501, 4)):
        made.batch_add(KEYS[start:end], np.arange(start, end))
    is_done.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert made.size() == 500


def test_faiss_threshold_is_put_back():
    import faiss

    before = faiss.cvar.distance_compute_blas_threshold
    filled("linear").batch_lookup(QUERIES)
    assert faiss.cvar.distance_compute_blas_threshold == before > 1
