"""Tests of what is special about USearch and NMSLIB."""

import sys

import numpy as np
import pytest

from keras_similarity import search
from keras_similarity.search import NMSLibSearch, UsearchSearch
from tests.search.engines import needs

pytestmark = pytest.mark.keras_free

KEYS = np.random.default_rng(0).normal(size=(1500, 16)).astype("float32")


def filled(made):
    made.batch_add(KEYS, np.arange(1500))
    return made


@needs("usearch")
def test_a_batch_of_one_and_short_answers_of_usearch():
    made = filled(UsearchSearch("cosine", 16))
    engine = made._built.engine
    for queries in (KEYS[:1], KEYS[:3]):
        rows = made._candidates(engine, queries, 2000, None)
        assert rows.shape[0] == len(queries) and (rows[:, 0] == range(len(rows))).all()
        assert (np.unique(rows[0][rows[0] >= 0], return_counts=True)[1] == 1).all()


@needs("usearch")
def test_half_precision_takes_half_of_the_memory(tmp_path):
    sizes = {}
    for dtype in ("float32", "float16", "int8"):
        folder = tmp_path / dtype
        folder.mkdir()
        filled(UsearchSearch("cosine", 16, dtype=dtype)).write(folder)
        sizes[dtype] = (folder / "engine.usearch").stat().st_size
    assert sizes["float32"] - sizes["float16"] >= 1500 * 16 * 2
    assert sizes["float16"] - sizes["int8"] >= 1500 * 16


@needs("usearch")
def test_expansion_search_may_be_changed():
    made = filled(UsearchSearch("euclidean", 16, connectivity=4, expansion_search=1))
    found = []
    for expansion in (1, 500):
        made.expansion_search = expansion
        rows = made._candidates(made._built.engine, KEYS + 0.1, 1, None)
        found.append((rows[:, 0] == np.arange(1500)).mean())
    assert found[0] < found[1] - 0.1 and found[1] > 0.95


USEARCH = {
    "dtype": ({"dtype": "f32"}, "`dtype` must be one of float32, float16"),
    "distance": ({"distance": "l1"}, "`LinearSearch` takes any distance"),
    "int8": ({"distance": "l2", "dtype": "int8"}, "CosineDistance with dtype='int8'"),
    "connectivity": ({"connectivity": 0}, "`connectivity` must be at least 1"),
}


@pytest.mark.parametrize(("arguments", "match"), USEARCH.values(), ids=USEARCH)
def test_usearch_refuses_what_it_cannot_do(arguments, match):
    with pytest.raises(ValueError, match=match):
        UsearchSearch(**{"distance": "cosine", "dim": 16, **arguments})


@needs("usearch")
def test_usearch_refuses_what_float16_cannot_hold():
    made = filled(UsearchSearch("euclidean", 16))
    with pytest.raises(ValueError, match=r"within 65,504 of 0.*value of 70000"):
        made.batch_add(KEYS[:1] * 0 + 7e4, [1500])
    with pytest.raises(ValueError, match=r"within 65,504 of 0"):
        made.lookup(KEYS[0] * 0 - 7e4)
    assert made.size() == 1500


@needs("usearch")
def test_a_graph_of_another_dtype_is_refused(tmp_path):
    filled(UsearchSearch("cosine", 16, dtype="bfloat16")).write(tmp_path)
    with pytest.raises(ValueError, match=r"16, 'Cos', 'F32'\). Received: .*'BF16'"):
        UsearchSearch("cosine", 16, dtype="float32").read(tmp_path)


@needs("usearch")
def test_a_mapped_graph_can_be_extended(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_similarity.search.approximate._TAIL", 10)
    filled(UsearchSearch("cosine", 16)).write(tmp_path)
    before = (tmp_path / "engine.usearch").read_bytes()
    made = UsearchSearch("cosine", 16)
    made.read(tmp_path, mmap=True)
    made.batch_add(-KEYS[:100], np.arange(1500, 1600))
    assert made._built.rows == 1600
    assert (made.batch_lookup(-KEYS[:100], 1)[0][:, 0] >= 1500).all()
    assert (tmp_path / "engine.usearch").read_bytes() == before


@needs("nmslib")
def test_nmslib_takes_tensorflow_similaritys_arguments():
    made = search.get(
        "nmslib",
        distance="cosine",
        dim=16,
        method="hnsw",
        space_params=None,
        data_type=0,
        dtype=0,
        index_params={"M": 20, "efConstruction": 200},
        query_params={"efSearch": 300},
    )
    filled(made)
    assert (made.batch_lookup(KEYS[:50], 1)[0][:, 0] == np.arange(50)).all()


@needs("nmslib")
def test_nmslib_makes_another_graph_when_there_are_half_as_many_new_rows(monkeypatch):
    monkeypatch.setattr("keras_similarity.search.approximate._TAIL", 10)
    made = filled(NMSLibSearch("euclidean", 16))
    made.batch_add(KEYS[:700] + 5, np.arange(1500, 2200))
    assert len(made._built.engine) == 1500
    made.batch_add(KEYS[700:800] + 5, np.arange(2200, 2300))
    assert len(made._built.engine) == 2300
    assert (made.batch_lookup(KEYS[:800] + 5, 1)[0][:, 0] >= 1500).mean() > 0.95


def test_nmslib_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="`LinearSearch` takes any distance"):
        NMSLibSearch("snr", 16)
    with pytest.raises(ValueError, match="must be 0, dense vectors of float32"):
        NMSLibSearch("cosine", 16, dtype=1)


@needs("nmslib")
def test_a_graph_of_more_rows_than_there_are_is_refused(tmp_path):
    filled(NMSLibSearch("cosine", 16)).write(tmp_path)
    np.save(tmp_path / "engine-rows.npy", 1501)
    with pytest.raises(ValueError, match=r"from 1 to 1500 rows\. Received: 1501"):
        NMSLibSearch("cosine", 16).read(tmp_path)


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [(UsearchSearch, "usearch.index", "usearch"), (NMSLibSearch, "nmslib", "nmslib")],
)
def test_a_missing_package_is_named(make, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"keras-similarity\[{extra}\]"):
        make("cosine", 16)
