"""Tests of stores whose rows live elsewhere: files, servers, other processes."""

import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from keras_similarity import stores
from keras_similarity.indexer import Indexer, field
from keras_similarity.stores import CachedStore, LanceStore, RedisStore, SQLiteStore

pytestmark = pytest.mark.keras_free

ROOT = Path(__file__).parents[2]
POINTS = np.arange(12, dtype="float32").reshape(6, 2)


@pytest.fixture(params=["sqlite", "cached", "redis", "lance"])
def make(request, tmp_path):
    """Makes an empty store, each in a place of its own."""
    if request.param == "redis":
        return request.getfixturevalue("make_redis")
    if request.param == "lance":
        pytest.importorskip("lancedb", reason="The extra [lance] is not installed.")
    numbers = itertools.count()
    return {
        "sqlite": lambda: SQLiteStore(tmp_path / f"{next(numbers)}.db"),
        "cached": lambda: CachedStore(path=tmp_path / f"cache {next(numbers)}"),
        "lance": lambda: LanceStore(tmp_path / f"lance {next(numbers)}"),
    }[request.param]


def again(store):
    return type(store).from_config(store.get_config())


def test_saved_by_reference_it_finds_its_rows(make, tmp_path):
    store = make()
    store.batch_add(POINTS, labels=range(6), data="abcdef")
    store.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.np*"))
    other = again(store)
    assert other.load(tmp_path / "saved") == 6 and other.get(5)[2] == "f"
    store.add(POINTS[0])
    assert other.load(tmp_path / "saved") == 7  # They are the same rows.
    with pytest.raises(
        ValueError, match=r"saved by reference, 6 of them. Received: none"
    ):
        make().load(tmp_path / "saved")


def test_a_copy_is_restored_only_where_no_rows_are(make, tmp_path):
    store = make()
    store.batch_add(POINTS, labels=range(6), data="abcdef")
    store.delete(2)
    store.save(tmp_path / "saved", copy=True)
    taken = make()
    taken.add([1.0, 1.0])
    with pytest.raises(ValueError, match="restored only where no rows are"):
        taken.load(tmp_path / "saved")
    assert taken.size() == 1
    empty = make()
    assert empty.load(tmp_path / "saved") == 5
    assert empty.num_rows == 6 and empty.version == store.version
    assert again(empty).get(5)[1:] == (5, "f")


def test_an_index_finds_its_rows_again(make, tmp_path):
    index = Indexer(2, distance="euclidean", kv_store=make())
    index.batch_add(POINTS, labels=range(6), metadata={"x": range(6)}, verbose=0)
    index.upsert([[50, 50]], ids=[1], labels=[9], metadata={"x": [9]})
    index.delete(0)
    index.save(tmp_path / "index")
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    assert type(loaded.kv_store) is type(index.kv_store)
    found = loaded.batch_lookup([[50, 51], [0, 1]], k=1, verbose=0)
    assert found.ids[:, 0].tolist() == [1, 2] and found.labels[:, 0].tolist() == [9, 2]
    near = loaded.single_lookup([50, 50], k=1, filter=field("x") < 9)
    assert near[0].id == 5 and near[0].metadata == {"x": 5}


def test_rows_added_between_prepare_and_commit_are_told(make):
    store = make()
    store.batch_add(POINTS)
    new = store.prepare(POINTS)
    again(store).add(POINTS[0])
    with pytest.raises(RuntimeError, match=r"Nothing was changed\. Call again"):
        store.commit(new)
    assert store.size() == 7
    store.commit(store.prepare(POINTS))
    assert again(store).size() == 13


def test_a_compaction_drops_nothing_that_another_has_added(make):
    store = make()
    store.batch_add(POINTS)
    store.delete([1])
    live = np.flatnonzero(store.is_live)
    again(store).add(POINTS[0])
    with pytest.raises(RuntimeError, match=r"Nothing was changed\. Call again"):
        store.keep(live)
    assert store.size() == 6 and store.num_rows == 7
    store.keep(np.flatnonzero(store.is_live))
    assert store.size() == store.num_rows == 6 and again(store).num_rows == 6


def test_no_password_is_saved_and_configs_make_the_same(make):
    store = make()
    store.batch_add(POINTS)
    config = stores.serialize(store)
    assert not {"password", "storage_options"} & set(config["config"])
    assert stores.deserialize(config).size() == 6


def test_writers_in_threads_and_objects_take_turns(make):
    one = make()
    others = [one, again(one), again(one)]

    def write(store):
        for _ in range(5):
            store.batch_add(POINTS[:2])

    threads = [threading.Thread(target=write, args=[store]) for store in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.size() for store in others] == [30, 30, 30]
    assert sorted(one.ids(np.arange(30)).tolist()) == list(range(30))
    assert np.array_equal(one.records(np.arange(30))[0], np.tile(POINTS[:2], (15, 1)))


# SQLite.


@pytest.mark.parametrize("path", [None, "", ":memory:", "s3://bucket/x.db", "/"])
def test_sqlite_wants_a_local_file(path):
    with pytest.raises(ValueError, match="`path` must"):
        SQLiteStore(path)
    with pytest.raises(ValueError, match=r"SQLiteStore\(\"products.db\"\)"):
        stores.get("sqlite")


def test_sqlite_makes_its_file_with_the_first_row(tmp_path):
    path = tmp_path / "rows.db"
    store = SQLiteStore(path)
    assert store.size() == 0 and len(store.to_data_frame()) == 0 and store.dim is None
    store.reset()
    assert not store.columns["label"].to_list() and store.version is None
    store.close()
    assert store.add([1.0]) == 0 and path.exists()
    store.close()
    assert store.size() == 1


def test_sqlite_says_where_it_can_make_no_file(tmp_path):
    path = tmp_path / "missing" / "rows.db"
    with pytest.raises(OSError, match=r"`path` must be a file .*rows\.db"):
        SQLiteStore(path).add([1.0])


def test_sqlite_takes_no_other_file(tmp_path):
    path = tmp_path / "text.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ValueError, match="damaged or something else"):
        SQLiteStore(path).size()
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (x)")
    connection.close()
    for call in (SQLiteStore(path).size, lambda: SQLiteStore(path).add([1.0])):
        with pytest.raises(ValueError, match="the database of something else"):
            call()


def test_sqlite_refuses_a_newer_format(tmp_path):
    store = SQLiteStore(tmp_path / "rows.db")
    store.add([1.0])
    store._connection("writer").execute("PRAGMA user_version=2")
    with pytest.raises(ValueError, match="newer version"):
        SQLiteStore(tmp_path / "rows.db").size()


def test_sqlite_writes_through_to_the_disk(tmp_path):
    store = SQLiteStore(tmp_path / "rows.db")
    store.add([1.0])
    writer = store._connection("writer")
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_second_sqlite_writer_waits_and_then_says_so(tmp_path):
    store = SQLiteStore(tmp_path / "rows.db")
    store.batch_add(POINTS)
    with sqlite3.connect(tmp_path / "rows.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        impatient = SQLiteStore(tmp_path / "rows.db", timeout=0.1)
        assert impatient.get(5)[0].tolist() == [10, 11]  # Reading goes on.
        with pytest.raises(TimeoutError, match=r"writing to .* for 0.1 s"):
            impatient.add([1, 2])
        other.execute("ROLLBACK")
    other.close()
    assert impatient.add([1, 2]) == 6


def test_writers_in_two_processes_take_turns(tmp_path):
    path = tmp_path / "rows.db"
    code = (
        "import sys; from keras_similarity.stores import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "for n in range(30): store.batch_add([[n, 0]], labels=[n])"
    )
    command = [sys.executable, "-c", code, str(path)]
    env = {**os.environ, "KSIM_KERAS": "0", "PYTHONPATH": str(ROOT)}
    writers = [subprocess.Popen(command, env=env) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = SQLiteStore(path)
    assert sorted(store.ids(np.arange(60)).tolist()) == list(range(60))
    embeddings, _ = store.records(np.arange(60))
    assert embeddings[:, 0].tolist() == store.labels(np.arange(60)).tolist()
    assert sorted(embeddings[:, 0].tolist()) == sorted([*range(30)] * 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no fork here.")
def test_a_store_may_be_taken_into_a_fork(tmp_path):
    store = SQLiteStore(tmp_path / "rows.db")
    store.batch_add(POINTS)
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if store.add([7, 7]) == 6 and store.size() == 7 else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert store.size() == 7 and store.get(6)[0].tolist() == [7, 7]
    assert store.add([8, 8]) == 7


def test_a_reader_of_dropped_rows_says_so(tmp_path):
    store = SQLiteStore(tmp_path / "rows.db")
    store.batch_add(POINTS)
    read = store.reader()
    store.delete([1])
    assert read(np.array([1]))[0].tolist() == [[2, 3]]
    store.keep(np.flatnonzero(store.is_live))
    assert read(np.array([5, 0]))[0].tolist() == [[10, 11], [0, 1]]
    with pytest.raises(RuntimeError, match="1 of the rows asked for are no more in"):
        read(np.array([5, 1]))


# Cached.


def test_a_cache_stays_within_its_bytes(tmp_path):
    store = CachedStore(path=tmp_path, max_bytes=10_000)
    store.batch_add(np.ones((1000, 4)), data=[b"x" * 100] * 1000)
    store.records(np.arange(1000))
    kept = [len(vector) + len(data) for _, vector, data in store._cache.values()]
    assert len(kept) > 5 and sum(kept) <= store._cached_bytes <= 10_000
    last = next(reversed(store._cache))
    with sqlite3.connect(store.path) as other:  # What is cached is not read again.
        other.execute("DELETE FROM contents WHERE row = ?", (last,))
    other.close()
    assert store.records(np.array([last]))[1] == [b"x" * 100]


def test_a_cache_forgets_what_another_changes(tmp_path):
    store = CachedStore(path=tmp_path)
    store.batch_add(POINTS, data="abcdef")
    assert store.get(3)[2] == "d"
    again(store).update(3, data=["new"])
    assert store.get(3)[2] == "new"


def test_a_cache_without_a_path_goes_with_the_object(tmp_path):
    store = CachedStore(num_items=0, shard_size=10)
    store.batch_add(POINTS, data="abcdef")
    folder = store.folder
    store.save(tmp_path)
    loaded = stores.get("cached")
    assert loaded.load(tmp_path) == 6 and loaded.get(5)[2] == "f"
    assert os.path.isdir(folder) and not store.is_external
    store.close()
    del store
    assert not os.path.exists(folder)


def test_a_cache_holds_as_many_rows_as_are_said(tmp_path):
    CachedStore(path=tmp_path).batch_add(POINTS)
    assert CachedStore(path=tmp_path, num_items=6).size() == 6
    with pytest.raises(ValueError, match="`num_items` must be the number of rows"):
        CachedStore(path=tmp_path, num_items=5)


# Redis.


def test_redis_leaves_what_is_not_its_own(make_redis):
    store, other = make_redis(), make_redis()
    store._client.set("mine", "kept")
    other.batch_add(POINTS)
    store.batch_add(POINTS)
    store.reset()
    assert store._client.get("mine") == b"kept" and other.size() == 6


def test_what_a_killed_redis_writer_left_is_not_seen(make_redis):
    store = make_redis()
    store.batch_add(POINTS, data="abcdef")
    # As far as a call of 9 rows had come.
    for part, content in [("rows", "[99, 1, true]"), ("vectors", b"12345678")]:
        leftover = dict.fromkeys(range(6, 15), content)
        store._client.hset(store._key(part), mapping=leftover)
    store._client.hset(store._key("data"), mapping=dict.fromkeys(range(6, 15), "junk"))
    other = again(store)
    assert other.size() == 6
    other.batch_add(POINTS[:2])
    assert store.size() == 8 and again(store).size() == 8
    assert store.batch_get([6, 7])[2] == [None, None]


def test_a_redis_writer_whose_turn_has_passed_changes_nothing(make_redis):
    store = make_redis()
    store.batch_add(POINTS)
    with pytest.raises(RuntimeError, match="Nothing was changed"), store._exclusively():
        store._client.set(store._key("lock"), "another")
        store._hide(np.array([0]))
    store._client.delete(store._key("lock"))
    assert store.size() == 6 and again(store).size() == 6


def test_a_redis_writer_waits_for_another(make_redis):
    store = make_redis(timeout=0.1)
    store._client.set(store._key("lock"), "another")
    with pytest.raises(TimeoutError, match="has been writing to redis://"):
        store.add([1.0])


def test_a_missing_redis_server_is_told():
    pytest.importorskip("redis", reason="The extra [redis] is not installed.")
    with pytest.raises(ConnectionError, match=r"must answer at 127\.0\.0\.1:1"):
        RedisStore("127.0.0.1", 1).size()


def test_no_secret_is_in_the_config():
    pytest.importorskip("redis", reason="The extra [redis] is not installed.")
    store = RedisStore(username="me", password="hidden")
    assert store.get_config()["username"] == "me"
    assert "hidden" not in f"{store.get_config()} {store.location}"


# Lance.


def test_lance_puts_its_pieces_together(tmp_path):
    pytest.importorskip("lancedb", reason="The extra [lance] is not installed.")
    with pytest.raises(ValueError, match=r"LanceStore\(\"products.lance\"\)"):
        stores.get("lance")
    store = LanceStore(tmp_path)
    for point in POINTS:
        store.add(point)
    before = store._lance_table().stats()["fragment_stats"]["num_fragments"]
    store.optimize()
    assert before > 5
    assert store._lance_table().stats()["fragment_stats"]["num_fragments"] == 1
    assert np.array_equal(again(store).records(np.arange(6))[0], POINTS)


@pytest.mark.parametrize("extra", ["redis", "lance"])
def test_a_missing_package_names_its_extra(extra, monkeypatch):
    monkeypatch.setitem(sys.modules, {"lance": "lancedb"}.get(extra, extra), None)
    with pytest.raises(ImportError, match=rf'pip install "keras-similarity\[{extra}\]"'):
        stores.get(extra, **({"path": "x"} if extra == "lance" else {}))
