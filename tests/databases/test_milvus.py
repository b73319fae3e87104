"""Tests of what only Milvus has: servers that end, kinds of index, partitions."""

import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from keras_similarity import search
from keras_similarity.databases import MilvusSearch, MilvusWriteError
from keras_similarity.indexer import Indexer, field

pytestmark = pytest.mark.keras_free

RANDOM = np.random.default_rng(3)
VECTORS = RANDOM.normal(size=(2000, 8)).astype("float32")


def recall(index, condition):
    """The share of the 10 nearest of the rows that may be found, by a loop."""
    labels = np.arange(2000) % 100
    most = 100 if condition is None else condition.value
    queries, hits = VECTORS[:50] + 0.1, 0
    found = index.batch_lookup(queries, k=10, filter=condition).ids
    for query, ids in zip(queries, found, strict=True):
        rows = np.flatnonzero(labels < most)
        true = rows[np.argsort(np.linalg.norm(VECTORS[rows] - query, axis=1))[:10]]
        hits += len(set(true.tolist()) & set(ids.tolist()))
    return hits / (10 * len(queries))


@pytest.mark.parametrize("kind", ["milvus-server"])
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(make, milvus_server):
    # Small requests: some are acknowledged before the kill, one or none is under way.
    index = make(dim=8, batch_bytes=4096, timeout=0.5)
    index.batch_add(VECTORS[:100], labels=np.arange(100))
    acknowledged, errors = list(range(100)), []

    def write():
        start = 100
        while not errors:
            ids = np.arange(start, start + 200)
            try:
                index.batch_add(VECTORS[ids % 2000], ids=ids, labels=ids)
            except MilvusWriteError as error:
                errors.append(error)
                acknowledged.extend(error.written_ids)
            except Exception as error:  # It was about to look which ids are taken.
                errors.append(error)
            else:
                acknowledged.extend(ids.tolist())
            start += 200

    thread = threading.Thread(target=write)
    thread.start()
    while len(acknowledged) < 700:
        assert thread.is_alive()
    milvus_server.kill()
    thread.join(timeout=60)
    (error,) = errors
    if isinstance(error, MilvusWriteError):  # Else nothing had been sent.
        assert error.unknown_ids and "`upsert` them" in str(error)

    # A client that has time waits for the server, which finds its rows again.
    config = {**index.search.get_config(), "timeout": 60.0}
    patient = Indexer(8, "euclidean", search=MilvusSearch.from_config(config))
    starting = threading.Timer(1.0, milvus_server.start)
    starting.start()
    try:
        patient.upsert(VECTORS[:300], ids=np.arange(10**6, 10**6 + 300))
    finally:  # Or an interrupt would leave a server that starts.
        starting.join()
    found = patient.search.fetch(np.array(acknowledged), ("label",))
    assert [row["label"] for row in found] == acknowledged
    there = set(patient.search.all_ids().tolist())
    new = set(range(10**6, 10**6 + 300))
    assert set(acknowledged) | new <= there
    assert there <= set(acknowledged) | new | set(getattr(error, "unknown_ids", ()))
    assert patient.size() == len(there)  # Nothing is there twice.
    patient.search.close()


@pytest.mark.parametrize("kind", ["milvus-lite", "milvus-server"])
@pytest.mark.parametrize(
    ("name", "build", "look"),
    [
        ("hnsw", {"M": 8, "efConstruction": 64}, {"ef": 100}),
        ("ivf_flat", {"nlist": 16}, {"nprobe": 8}),
        ("diskann", {}, {"search_list": 50}),
    ],
)
def test_kinds_of_index(make, name, build, look):
    index = make(dim=8, index=name, index_params=build, search_params=look)
    index.batch_add(VECTORS, labels=np.arange(2000) % 100)
    index.build_index()
    assert index.recall(sample=100, k=5) > 0.9
    (parameter,) = look
    everywhere = recall(index, None)
    for most in (50, 10, 1):
        assert recall(index, field("label") < most) >= everywhere - 0.02
    found = index.batch_lookup(VECTORS[:20] + 0.1, k=5)
    exact = index.distance(VECTORS[:20] + 0.1, VECTORS)
    exact = np.take_along_axis(exact, found.ids, 1)
    np.testing.assert_allclose(found.distances, exact, rtol=1e-4, atol=1e-5)
    # Another object goes by the index that is there, not by its own arguments.
    other = make(dim=8, name=index.search.collection)
    assert other.recall(sample=50, k=5) > 0.9
    if name == "diskann" and make.kind == "milvus-lite":  # Which has none.
        assert other.search.index == index.search.index == "flat"
        return
    assert (other.search.index, other.search.tunable().keys()) == (name, look.keys())
    tuning = index.tune(0.95, sample=50, k=5)
    assert tuning.is_reached and index.search.parameters() == tuning.chosen.parameters
    index.search.set_parameters(**{parameter: 400})
    assert index.search.search_params[parameter] == 400
    if make.kind == "milvus-server":
        described = index.search._call("describe_index", index_name="vector")
        assert described["index_type"].lower() == name
        assert all(described[key] == str(value) for key, value in build.items())


@pytest.mark.parametrize("kind", ["milvus-lite", "milvus-server"])
def test_rows_of_a_label_are_kept_together(make):
    index = make(dim=8, partition_by_label=True)
    index.batch_add(VECTORS[:60], labels=np.arange(60) % 3)
    index.update(0, label=2)  # From one partition to another: it is there once.
    index.upsert(VECTORS[1:2], ids=[1], labels=[0])
    assert index.size() == 60
    found = index.batch_lookup(VECTORS[:2], k=60, filter=field("label") == 2)
    assert 0 in found.ids[0] and np.isfinite(found.distances[0]).sum() == 21
    described = index.search._call("describe_collection")
    (label,) = [one for one in described["fields"] if one["name"] == "label"]
    assert label.get("is_partition_key")


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_limits_of_milvus_are_said_before_anything_is_written(make):
    index = make(dim=8)
    index.batch_add(VECTORS[:5])
    for arguments, message in (
        (dict(data=["x" * 60_000]), "`data` must take at most 65535 bytes"),
        (dict(metadata={"text": "x" * 70_000}), "`metadata` must take at most"),
        (dict(metadata={"price": float("inf")}), "must be finite"),
        (dict(metadata={"count": -(2**63)}), "must be above -9223372036854775808"),
    ):
        with pytest.raises(ValueError, match=message):
            index.batch_add(VECTORS[5:6], **arguments)
    assert index.size() == 5 and index.add(VECTORS[5]) == 5


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_more_neighbors_than_milvus_gives(make):
    index = make(dim=2)
    index.batch_add(RANDOM.normal(size=(16_400, 2)))
    assert (index.batch_lookup([[0.0, 0.0]], k=16_384).ids >= 0).all()
    with pytest.raises(ValueError, match="`k` must be at most 16384"):
        index.batch_lookup([[0.0, 0.0]], k=16_385)
    with pytest.raises(ValueError, match="a smaller distance"):
        index.range_lookup([[0.0, 0.0]], 1e6)
    index.delete(np.arange(100))
    assert (index.batch_lookup([[0.0, 0.0]], k=20_000).ids >= 0).sum() == 16_300


@pytest.mark.parametrize("kind", ["milvus-lite", "milvus-server"])
def test_ids_count_on_from_the_largest_of_a_collection_that_is_there(make):
    index = make(dim=8, name="counted")
    index.batch_add(VECTORS[:40])
    index.batch_add(VECTORS[:3], ids=[10**6, 5 * 10**17, 77])
    index.search.close()
    again = make(dim=8, name="counted")
    assert again.add(VECTORS[0]) == 5 * 10**17 + 1
    again.delete(5 * 10**17 + 1)
    again.search.close()
    assert make(dim=8, name="counted").add(VECTORS[0]) == 5 * 10**17 + 2


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_another_collection_is_refused(make, tmp_path):
    index = make(dim=8, name="first")
    index.batch_add(VECTORS[:5])
    index.save(tmp_path / "index")
    with pytest.raises(ValueError, match="holds those of size 8 under L2"):
        make(dim=4, name="first").size()
    with pytest.raises(ValueError, match="under the metric COSINE"):
        make(dim=8, distance="cosine", name="first").size()
    index.reset()
    for rows, state in ((0, "nothing there"), (3, "another table of that name there")):
        if rows:
            index.batch_add(VECTORS[:rows])
        with pytest.raises(ValueError, match=state):
            Indexer.load(tmp_path / "index", verbose=0)


@pytest.mark.parametrize("kind", ["milvus-server"])
def test_what_is_written_depends_on_all_before_whatever_lookups_see(make):
    index = make(dim=8, consistency_level="Eventually")
    index.batch_add(VECTORS[:3], ids=[1, 2, 3], labels=[1, 2, 3])
    with pytest.raises(ValueError, match="`ids` must be new"):
        index.batch_add(VECTORS[:3], ids=[1, 2, 3])
    index.update(1, label=10)
    index.update(1, metadata={"price": 5})
    assert index.kv_store.get(1)[1] == 10
    assert index.add(VECTORS[4]) == 4 and index.add(VECTORS[5]) == 5
    index.search.consistency_level = "Strong"
    assert index.size() == 5
    # More queries than Milvus takes at once.
    queries = np.resize(VECTORS, (16_400, 8))
    assert (index.batch_lookup(queries, k=1).ids >= 1).all()


@pytest.mark.parametrize("kind", ["milvus-server"])
def test_a_server_that_hangs_is_given_up(make, milvus_server):
    index = make(dim=8, timeout=1.0)
    index.batch_add(VECTORS[:10])
    start = time.monotonic()
    with milvus_server.hanging(), pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
        index.size()
    connection = index.search._connection
    row = {"id": 50, "vector": VECTORS[0], "label": 1, "data": "", "metadata": {}}
    with milvus_server.hanging(), pytest.raises(MilvusWriteError) as raised:
        index.search._write_rows([row], replacing=False)
    assert raised.value.unknown_ids == [50] and raised.value.written_ids == []
    assert time.monotonic() - start < 20
    assert connection.call("has_collection", index.search.collection)  # It goes on.


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_lookups_of_many_queries_take_bounded_memory(make, monkeypatch):
    index = make(dim=64)
    rows = RANDOM.normal(size=(1200, 64)).astype("float32")
    index.batch_add(rows)
    monkeypatch.setattr("keras_similarity.databases.milvus._DIFFERENCES", 2**23)
    tracemalloc.start()
    found = index.batch_lookup(rows, k=1)  # At once they would take 370 MB.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.ids[:, 0] == np.arange(1200)).all() and peak < 150 * 2**20


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_a_file_is_for_one_process(make):
    index = make(dim=8)
    index.batch_add(VECTORS[:3])
    code = f"""
from keras_similarity.databases import MilvusSearch
MilvusSearch("euclidean", 8, {index.search.uri!r}, collection="other").size()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "RuntimeError: `uri` must be the path of a file" in ran.stderr
    assert "that no other process has open" in ran.stderr
    assert index.size() == 3


@pytest.mark.parametrize("kind", ["milvus-lite"])
def test_a_collection_whose_maker_ended_before_it_had_an_index(make):
    index = make(dim=8)
    search = index.search
    created = search._connection.call

    def without_index(method, *args, **kwargs):
        if method == "create_collection":
            del kwargs["index_params"]
        return created(method, *args, **kwargs)

    search._connection.call = without_index
    search._create(False, {}, "0" * 32)
    search._connection.call = created
    again = make(dim=8, name=search.collection, index="hnsw")
    again.batch_add(VECTORS[:10])
    assert again.batch_lookup(VECTORS[:10], k=1).ids[:, 0].tolist() == list(range(10))


def test_arguments():
    pytest.importorskip("pymilvus")
    for arguments, message in (
        (dict(distance="manhattan"), "`distance` must be one of CosineDistance"),
        (dict(index="tree"), "`index` must be one of flat, hnsw"),
        (dict(consistency_level="some"), "`consistency_level` must be one of Strong"),
        (dict(uri="http://me:secret@host:1"), "`uri` must hold no password"),
        (dict(uri="folder/rows"), "`uri` must be an address such as 'http://host"),
        (dict(batch_bytes=0), "`batch_bytes` must be at least 1"),
        (dict(timeout=0.0), "`timeout` must be above 0"),
        (dict(collection="my-index"), "`collection` must be a name of letters"),
    ):
        with pytest.raises(ValueError, match=message):
            MilvusSearch(**{"distance": "cosine", "dim": 3, **arguments})
    made = search.get("milvus", distance="cosine", dim=3, token="secret")
    assert isinstance(made, MilvusSearch) and "secret" not in str(made.get_config())
    with pytest.raises(ValueError, match="`kv_store` must not be given: MilvusSearch"):
        Indexer(3, "cosine", search=made, kv_store="sqlite")
    assert Indexer(3, "cosine", search=made).kv_store is made


def test_a_server_that_is_not_there(tmp_path):
    pytest.importorskip("pymilvus")
    with_nobody = MilvusSearch("cosine", 3, "http://127.0.0.1:1", timeout=0.3)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        with_nobody.size()
