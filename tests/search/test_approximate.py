"""Tests of what approximate engines share, with an engine that can be made to fail."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from keras_similarity.search import ApproximateSearch, LinearSearch
from keras_similarity.search.approximate import Built

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(600, 8)).astype("float32")
QUERIES = RNG.normal(size=(30, 8)).astype("float32")


class ListSearch(ApproximateSearch):
    """Its engine is a list of rows, searched exactly; or answers as it is told to."""

    answer = None
    error = None

    def _made(self, vectors):
        return list(vectors)

    def _extended(self, engine, vectors):
        engine.extend(vectors[:1])
        if self.error is not None:
            raise self.error
        engine.extend(vectors[1:])
        return engine

    def _candidates(self, engine, queries, count, allowed):
        if self.answer is not None:
            return self.answer(len(queries), count)
        costs = np.square(queries[:, None] - np.array(engine)).sum(axis=2)
        if allowed is not None:
            costs = np.where(allowed, costs, np.inf)
        rows = np.argsort(costs, axis=1)[:, :count]
        return np.where(np.isinf(np.take_along_axis(costs, rows, 1)), -1, rows)

    def _write_engine(self, engine, folder):
        np.save(folder / "list.npy", np.array(engine))

    def _read_engine(self, folder, mmap):
        rows = list(np.load(folder / "list.npy"))
        return Built(rows, len(rows))


@pytest.fixture(autouse=True)
def short_tails(monkeypatch):
    monkeypatch.setattr("keras_similarity.search.approximate._TAIL", 50)


def filled(rows=600, **options):
    made = ListSearch("euclidean", 8, exact_rows=300, **options)
    made.batch_add(KEYS[:rows], np.arange(rows))
    return made


def exact(k=5, rows=600, allowed=None):
    made = LinearSearch("euclidean", 8)
    made.batch_add(KEYS[:rows], np.arange(rows))
    return made.batch_lookup(QUERIES, k, allowed=allowed)


def assert_exact(made, **how):
    ids, found = made.batch_lookup(QUERIES, how.get("k", 5), allowed=how.get("allowed"))
    np.testing.assert_array_equal(ids, exact(rows=made.size(), **how)[0])
    np.testing.assert_array_equal(found, exact(rows=made.size(), **how)[1])


def test_there_is_an_engine_from_a_number_of_rows_on():
    made = filled(300)
    assert not made.is_trained
    assert_exact(made)
    made.add(KEYS[300], 300)
    assert made.is_trained and made._built.rows == 301
    assert_exact(made)


def test_newest_rows_are_searched_exactly_until_they_are_handed_over():
    made = filled(400)
    made.batch_add(KEYS[400:450], np.arange(400, 450))
    assert made._built.rows == 400
    assert_exact(made)
    assert_exact(made, allowed=np.arange(450) % 2 == 0)
    made.add(KEYS[450], 450)
    assert made._built.rows == len(made._built.engine) == 451
    assert_exact(made)


@pytest.mark.parametrize("can_filter", [True, False])
@pytest.mark.parametrize("share", [2, 3, 50])
def test_filters_are_kept_to(can_filter, share):
    made = filled()
    made.can_filter = can_filter
    assert_exact(made, allowed=np.arange(600) % share == 1)


ANSWERS = {
    "nothing": lambda queries, count: np.full((queries, count), -1),
    "no columns": lambda queries, count: np.empty((queries, 0), "int64"),
    "too few": lambda queries, count: np.tile(np.arange(3), (queries, 1)),
    "rows that are none": lambda queries, count: np.full((queries, count), 10**9),
    "negative rows": lambda queries, count: np.full((queries, count), -(2**40)),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("allowed", [None, np.arange(600) % 2 == 0])
def test_an_engine_that_finds_too_little_is_not_trusted(answer, allowed):
    made = filled()
    made.answer = answer
    assert_exact(made, allowed=allowed)


def test_an_engine_that_fails_is_dropped_and_made_anew():
    made = filled(400)
    made.error = MemoryError("full")
    with pytest.raises(MemoryError):
        made.batch_add(KEYS[400:], np.arange(400, 600))
    assert made.size() == 400 and not made.is_trained
    assert_exact(made)
    made.error = None
    made.batch_add(KEYS[400:], np.arange(400, 600))
    assert made._built.rows == 600
    assert_exact(made)


def test_lookups_go_on_while_an_engine_is_made():
    is_making, may_go_on = threading.Event(), threading.Event()

    class Slow(ListSearch):
        def _made(self, vectors):
            is_making.set()
            assert may_go_on.wait(10)
            return super()._made(vectors)

    made = Slow("euclidean", 8, exact_rows=300)
    adding = threading.Thread(target=made.batch_add, args=(KEYS, np.arange(600)))
    adding.start()
    assert is_making.wait(10)
    assert_exact(made)
    assert not made.is_trained
    may_go_on.set()
    adding.join()
    assert made.is_trained
    assert_exact(made)


def test_an_engine_that_is_outgrown_answers_until_another_is_made():
    trained = []

    class Growing(ListSearch):
        def _made(self, vectors):
            if self.is_trained:
                assert_exact(self)
            trained.append(len(vectors))
            return super()._made(vectors)

        def _is_outgrown(self, engine, rows):
            return rows >= 500

    made = Growing("euclidean", 8, exact_rows=300)
    made.batch_add(KEYS[:400], np.arange(400))
    made.batch_add(KEYS[400:], np.arange(400, 600))
    assert trained == [400, 600]
    assert_exact(made)


def test_a_saved_engine_may_lack_the_newest_rows_and_have_no_others(tmp_path):
    made = filled(400)
    made.batch_add(KEYS[400:430], np.arange(400, 430))
    made.write(tmp_path)
    for mmap in (False, True):
        loaded = ListSearch("euclidean", 8, exact_rows=300)
        loaded.read(tmp_path, mmap)
        assert loaded._built.rows == 400
        assert_exact(loaded)
    np.save(tmp_path / "list.npy", KEYS[:431])
    with pytest.raises(ValueError, match=r"at most 430 rows\. Received: 431"):
        ListSearch("euclidean", 8).read(tmp_path)


def test_mapped_vectors_are_copied_when_rows_are_added(tmp_path):
    made = filled(400)
    made.write(tmp_path)
    before = (tmp_path / "vectors.npy").read_bytes()
    loaded = ListSearch("euclidean", 8, exact_rows=300)
    loaded.read(tmp_path, mmap=True)
    assert isinstance(loaded._vectors.rows.base, np.memmap)
    loaded.batch_add(KEYS[400:], np.arange(400, 600))
    assert_exact(loaded)
    assert (tmp_path / "vectors.npy").read_bytes() == before


@pytest.mark.parametrize("exact_rows", [0, -3])
def test_exact_rows_must_be_positive(exact_rows):
    with pytest.raises(ValueError, match="`exact_rows` must be at least 1"):
        ListSearch("euclidean", 8, exact_rows=exact_rows)


@pytest.mark.parametrize("first", ["ours", "usearch"])
def test_faiss_and_usearch_in_one_process(first):
    """The C++ runtime of USearch, imported first, would end the process in faiss."""
    pytest.importorskip("usearch")
    lines = {
        "ours": "from keras_similarity.search import UsearchSearch as U; U('cosine', 4)",
        "usearch": "import usearch.index",
    }
    code = f"{lines[first]}\nfrom keras_similarity.search import FaissSearch\n" + (
        "try:\n    FaissSearch('cosine', 4, algo='hnsw')\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    is_refused = "`faiss` must be imported before `usearch`" in done.stdout
    assert is_refused == (first == "usearch" and sys.platform == "linux")
