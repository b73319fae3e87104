"""Tests of measuring an engine's recall and of tuning it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_similarity.indexer import Indexer
from keras_similarity.search import (
    FaissSearch,
    LinearSearch,
    NMSLibSearch,
    UsearchSearch,
)

pytestmark = pytest.mark.keras_free

K = 10


def brute_force(rows, queries, own=None):
    """Row numbers of the nearest, in float64, a query's own row left out."""
    rows, queries = np.asarray(rows, "float64"), np.asarray(queries, "float64")
    squares = (rows**2).sum(axis=1) - 2 * queries @ rows.T
    if own is not None:
        squares[np.arange(len(own)), own] = np.inf
    return np.argsort(squares, axis=1, kind="stable")[:, :K]


def share_found(found, nearest):
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, nearest, strict=True)])


def digits(rng):
    images = load_digits().data
    moved = images[rng.integers(0, len(images), 6000)]
    return moved + rng.normal(scale=1.0, size=moved.shape)


def clustered(rng):
    centres = rng.normal(size=(50, 16))
    return centres[rng.integers(0, 50, 6000)] + 0.2 * rng.normal(size=(6000, 16))


def uniform(rng):
    return rng.uniform(size=(6000, 8))


DATA = {"digits": digits, "clustered": clustered, "uniform": uniform}


def faiss_index(rows, **arguments):
    """Many lists, few codes lost: what is missed lies in lists that are not searched."""
    dim = rows.shape[1]
    arguments = {"m": min(dim, 16), "nbits": 5, "nlist": 128, **arguments}
    index = Indexer(dim, "euclidean", FaissSearch("euclidean", dim, **arguments))
    index.batch_add(rows)
    assert index.search.is_trained
    return index


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_unseen_queries_have_the_recall_that_was_asked_for(data):
    values = data(np.random.default_rng(0)).astype("float32")
    rows, queries = values[:5400], values[5400:]
    index = faiss_index(rows)
    nearest = brute_force(rows, queries)
    for target in (0.9, 0.98):
        tuning = index.tune(target, k=K, sample=600)
        found = index.batch_lookup(queries, k=K).ids
        recall = share_found(found, nearest)
        assert tuning.is_reached and recall >= target - 0.01
        assert abs(index.recall(queries=queries, k=K) - recall) < 1e-3
        # Cheap: with the setting before it the recall was not sure to be high enough.
        *cheaper, chosen = tuning.settings
        assert chosen is tuning.chosen
        assert chosen.parameters == {"nprobe": index.search.nprobe}
        assert all(setting.expected < target for setting in cheaper)


def test_the_sample_finds_no_row_itself():
    rows = uniform(np.random.default_rng(0))[:2000].astype("float32")
    index = faiss_index(rows, nlist=32, nprobe=2)
    drawn = np.sort(np.random.default_rng(3).permutation(2000)[:200])
    found = index.batch_lookup(rows[drawn], k=K, exclude_self=drawn).ids
    expected = share_found(found, brute_force(rows, rows[drawn], own=drawn))
    assert 0.2 < expected < 0.95
    assert index.recall(sample=200, seed=3, k=K) == pytest.approx(expected, abs=2e-3)


def test_the_setting_is_saved(tmp_path):
    index = faiss_index(clustered(np.random.default_rng(0)))
    index.tune(0.95)
    assert index.search.nprobe > 1
    index.save(tmp_path)
    loaded = Indexer.load(tmp_path, verbose=0)
    assert loaded.search.nprobe == index.search.nprobe
    assert loaded.recall() == index.recall() >= 0.95


def test_a_target_out_of_reach_is_told(caplog):
    rows = uniform(np.random.default_rng(0))
    index = faiss_index(rows, m=1, nlist=64)  # Codes so coarse that they lose rows.
    tuning = index.tune(0.999)
    assert not tuning.is_reached and "No setting" in caplog.text
    assert tuning.chosen.recall == max(s.recall for s in tuning.settings) < 0.999
    assert index.search.nprobe == tuning.chosen.parameters["nprobe"]


def test_an_exact_engine_has_nothing_to_tune(caplog):
    index = Indexer(8, "inner_product")
    index.batch_add(uniform(np.random.default_rng(0))[:500])
    index.delete([0, 1, 2])
    tuning = index.tune(1.0)
    assert index.recall() == tuning.chosen.recall == 1.0 and tuning.is_reached
    assert "nothing to tune" in str(tuning) and not caplog.text


ENGINES = {
    "graph": lambda: FaissSearch("euclidean", 16, algo="hnsw", m=8, ef_search=8),
    "lists": lambda: FaissSearch("euclidean", 16, algo="ivf", nlist=40, exact_rows=1600),
    "usearch": lambda: UsearchSearch("euclidean", 16, connectivity=4),
    "nmslib": lambda: NMSLibSearch("euclidean", 16, index_params={"M": 4}),
}


@pytest.mark.parametrize("engine", ENGINES, ids=ENGINES)
def test_other_engines_are_tuned(engine):
    if engine in ("usearch", "nmslib"):
        pytest.importorskip(engine)
    rows = np.random.default_rng(0).normal(size=(2500, 16)).astype("float32")
    index = Indexer(16, "euclidean", ENGINES[engine]())
    index.batch_add(rows[:2000])
    tuning = index.tune(0.95, sample=300)
    assert tuning.is_reached and len(tuning.settings) > 1
    assert index.recall(queries=rows[2000:]) >= 0.94
    # The setting is in force: the cheapest finds less.
    name = next(iter(tuning.chosen.parameters))
    assert getattr(index.search, name) == tuning.chosen.parameters[name]
    index.search.set_parameters(**{name: index.search.tunable()[name][0]})
    assert index.recall(queries=rows[2000:]) < 0.94


def test_the_table_shows_what_was_tried():
    index = faiss_index(uniform(np.random.default_rng(0)))
    tuning = index.tune(0.9)
    head, *rows = str(tuning).splitlines()
    assert head.split() == ["nprobe", "recall", "queries", "a", "second"]
    assert len(rows) == len(tuning.settings) and "chosen" in rows[-1]


def test_several_parameters_are_tried_together():
    class Lossy(LinearSearch):
        """Finds `width` of the nearest, unless it is `careful`."""

        width, careful = 1, False

        def tunable(self):
            return {"careful": [False, True], "width": [1, 5, 9, 10]}

        def _find(self, queries, k, allowed):
            rows, distances = super()._find(queries, k, allowed)
            return rows[:, : self.width + self.careful], distances[
                :, : self.width + self.careful
            ]

    index = Indexer(8, "euclidean", Lossy("euclidean", 8))
    index.batch_add(uniform(np.random.default_rng(0))[:300])
    tuning = index.tune(1.0, queries=uniform(np.random.default_rng(1))[:50])
    tried = [tuple(setting.parameters.values()) for setting in tuning.settings]
    assert tried == [(False, w) for w in (1, 5, 9, 10)] + [(True, w) for w in (1, 5, 9)]
    assert tuple(tuning.chosen.parameters.values()) in {(False, 10), (True, 9)}
    assert tuning.settings[1].recall == 0.5


def test_fewer_rows_than_k_ties_and_wrong_arguments():
    index = Indexer(2, "euclidean")
    with pytest.raises(IndexError, match="must not be empty"):
        index.recall()
    index.batch_add(np.ones((3, 2)))  # All as near as each other.
    assert index.recall(k=10) == index.recall(k=1) == 1.0
    with pytest.raises(ValueError, match="`recall` must be from 0 to 1"):
        index.tune(99)
    with pytest.raises(ValueError, match="must have 2 columns"):
        index.recall(queries=[[1.0]])
    with pytest.raises(ValueError, match="there are none"):
        index.search.set_parameters(nprobe=3)


def test_a_failure_leaves_the_setting_as_it_was(monkeypatch):
    index = faiss_index(uniform(np.random.default_rng(0)), nprobe=3)

    def fail(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(index.search, "_find", fail)
    with pytest.raises(MemoryError):
        index.tune(0.9)
    assert index.search.nprobe == 3


def test_a_graph_is_not_tuned_on_what_it_holds():
    """Its own rows are easier to find from: what suits them is too cheap for others."""
    values = np.random.default_rng(0).normal(size=(2500, 16)).astype("float32")
    rows, queries = values[:2000], values[2000:]
    search = FaissSearch("euclidean", 16, algo="hnsw", m=8, ef_search=16)
    index = Indexer(16, "euclidean", search)
    index.batch_add(rows)
    assert index.recall() > index.recall(queries=queries) + 0.02
    index.tune(0.9)
    assert index.recall(queries=queries) >= 0.89
