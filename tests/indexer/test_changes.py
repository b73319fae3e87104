"""Tests of own ids, and of rows that are replaced, deleted and updated."""

import threading

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, field
from keras_similarity.search import LinearSearch
from keras_similarity.stores import MemoryStore, SQLiteStore

pytestmark = pytest.mark.keras_free

POINTS = np.arange(12, dtype="float32").reshape(6, 2)


def make_index(**kwargs):
    index = Indexer(embedding_size=2, distance="euclidean", **kwargs)
    index.batch_add(POINTS, labels=[0, 0, 1, 1, 2, 2], data=list("abcdef"))
    return index


def nearest(index, point, k=1, **kwargs):
    return index.batch_lookup([point], k=k, **kwargs).ids[0].tolist()


def test_strings_and_integers_are_ids():
    for ids, missing in ((["x", "y", "z"], None), ([10, 2**62 + 1, -5], -1)):
        index = Indexer(2, "euclidean")
        assert index.batch_add(POINTS[:3], ids=ids) == ids
        lookups = index.batch_lookup(POINTS[1:2], k=4)
        assert lookups.ids[0].tolist() == [ids[1], ids[0], ids[2], missing]
        assert [neighbor.id for neighbor in lookups[0]] == [ids[1], ids[0], ids[2]]
        assert lookups.to_data_frame()["id"].tolist() == [ids[1], ids[0], ids[2]]


def test_ids_count_on_from_the_largest():
    index = Indexer(2, "euclidean")
    assert index.add(POINTS[0], id=7) == 7
    assert index.batch_add(POINTS[1:3]) == [8, 9]
    index.delete(9)
    assert index.add(POINTS[3]) == 10  # An id that was deleted is not given again.


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 9], ValueError, "`ids` must be new. Received: 0 again"),
        ([9, 9], ValueError, "`ids` must be used once each"),
        ([9], ValueError, "`ids` must hold one id a row, 2 of them"),
        (["a", "b"], TypeError, "`ids` must be integers, as those before"),
        ([0.5, 1.5], TypeError, "`ids` must be integers, or strings"),
    ],
)
def test_wrong_ids_are_refused_and_change_nothing(ids, error, message):
    index = make_index()
    with pytest.raises(error, match=message):
        index.batch_add(POINTS[:2], ids=ids)
    assert index.size() == 6 and index.search.size() == 6
    assert index.batch_add(POINTS[:1]) == [6]


def test_strings_must_be_given():
    index = Indexer(2, "euclidean")
    index.add(POINTS[0], id="a")
    with pytest.raises(ValueError, match="`ids` must be given"):
        index.add(POINTS[1])


def test_what_is_deleted_is_not_found():
    index = make_index()
    assert index.delete([1, 3]) == 2
    assert index.size() == index.searchable() == 4
    assert nearest(index, POINTS[1], k=6) == [0, 2, 4, 5, -1, -1]
    assert index.to_data_frame().index.tolist() == [0, 2, 4, 5]
    for unknown in (1, [0, 99], "a"):
        with pytest.raises(IndexError, match="`ids` must be of what is there"):
            index.delete(unknown)
    assert index.size() == 4
    index.batch_add(POINTS[1:2], ids=[1])  # The id is free again.
    assert nearest(index, POINTS[1]) == [1]


@pytest.mark.parametrize("ids", [None, list("uvwxyz"), [30, 10, 20, 1, 0, 5]])
def test_a_frame_has_each_row_in_one_place(ids):
    index = Indexer(2, "euclidean")
    ids = index.batch_add(POINTS, ids=ids, data=list("abcdef"), labels=range(6))
    index.delete(ids[1])
    frame = index.to_data_frame()
    left = [0, 2, 3, 4, 5]
    assert frame.index.tolist() == [ids[row] for row in left]
    assert frame["data"].tolist() == [*"acdef"] and frame["labels"].tolist() == left
    assert np.stack(frame["embeddings"]).tolist() == POINTS[left].tolist()


def test_all_can_be_deleted():
    index = make_index()
    index.delete(np.arange(6))
    assert index.size() == 0
    assert index.single_lookup(POINTS[0]) == []
    with pytest.raises(IndexError, match="must not be empty"):
        index.evaluate_classification(POINTS, [0] * 6, [1.0])


def test_upsert_replaces_and_adds():
    index = make_index()
    index.upsert([[100.0, 100.0], [200.0, 200.0]], ids=[1, 50], labels=[5, 6])
    assert index.size() == 7
    neighbor = index.single_lookup([100.0, 100.0], k=1)[0]
    assert (neighbor.id, neighbor.label, neighbor.data) == (1, 5, None)
    assert nearest(index, [200.0, 200.0]) == [50]
    assert 1 not in nearest(index, POINTS[1], k=5)
    assert index.kv_store.get(1)[0].tolist() == [100.0, 100.0]


def test_an_upsert_that_fails_changes_nothing():
    index = make_index()
    for arguments, error in (
        (dict(predictions=[[np.nan, 0.0]], ids=[1]), ValueError),
        (dict(predictions=POINTS[:1], ids=[1], labels=[0.5]), TypeError),
        (dict(predictions=POINTS[:2], ids=[1, 1]), ValueError),
        (dict(predictions=POINTS[:1], ids=[1], metadata={"id": [1]}), ValueError),
    ):
        with pytest.raises(error):
            index.upsert(**arguments)
        assert index.size() == index.search.size() == 6
        assert nearest(index, POINTS[1]) == [1]


class FailingStore(MemoryStore):
    """Takes no more rows from some time on, as a disk that is full."""

    is_full = False
    is_gone = False

    def commit(self, new):
        if self.is_full:
            raise OSError("disk full")
        super().commit(new)

    def reader(self):
        if self.is_gone:
            raise OSError("no connection")
        return super().reader()


@pytest.mark.parametrize("is_gone", [False, True], ids=["full", "gone"])
def test_a_store_that_fails_leaves_search_and_store_in_step(is_gone, caplog):
    store = FailingStore()
    index = make_index(kv_store=store)
    store.is_full, store.is_gone = True, is_gone
    for change in (
        lambda: index.upsert(POINTS[:1] + 50, ids=[1]),
        lambda: index.batch_add(POINTS + 50),
    ):
        with pytest.raises(OSError, match=r"disk full|no connection"):
            change()
    store.is_gone = False
    assert index.size() == index.searchable() == 6
    assert nearest(index, POINTS[1], k=2) == [1, 0]
    assert nearest(index, POINTS[0] + 50, k=1) == [5]
    assert ("could not be put right yet" in caplog.text) == is_gone
    store.is_full = False
    index.upsert(POINTS[:1] + 50, ids=[1])  # Puts right what was not yet.
    assert nearest(index, POINTS[0] + 50, k=1) == [1]
    assert index.batch_add(POINTS[:1] + 70) == [6]
    assert nearest(index, POINTS[0] + 70, k=1) == [6]
    assert index.search.size() == store.num_rows == 8


def test_a_search_that_fails_leaves_no_row():
    class Full(LinearSearch):
        def _add(self, embeddings):
            if self.size() > 6:
                raise MemoryError
            super()._add(embeddings)

    index = make_index(search=Full("euclidean", 2))
    for change in (
        lambda: index.batch_add(POINTS[:1] + 50, ids=[77]),
        lambda: index.upsert(POINTS[:1] + 50, ids=[1]),
    ):
        with pytest.raises(MemoryError):
            change()
        assert index.size() == index.searchable() == 6
        assert nearest(index, POINTS[1], k=1) == [1]


def test_a_failing_add_leaves_the_rows_of_others(tmp_path):
    class Racing(LinearSearch):
        def _add(self, embeddings):
            if self.size() > 6:
                SQLiteStore(tmp_path / "rows.db").batch_add(POINTS[:2], ids=[777, 778])
                raise MemoryError
            super()._add(embeddings)

    store = SQLiteStore(tmp_path / "rows.db")
    index = make_index(search=Racing("euclidean", 2), kv_store=store)
    with pytest.raises(MemoryError):
        index.batch_add(POINTS[:1] + 50, ids=[99])
    assert (
        store.rows_of(np.array([777, 778])).min() >= 0
        and store.rows_of(np.array([99]))[0] == -1
    )


def test_what_float16_cannot_hold_is_refused_before_it_is_stored(tmp_path):
    def opened():
        search = LinearSearch("euclidean", 2, storage="float16")
        return Indexer(2, "euclidean", search, kv_store=SQLiteStore(tmp_path / "r.db"))

    index = opened()
    index.batch_add(POINTS)
    with pytest.raises(ValueError, match="infinite in float16"):
        index.batch_add([[1e5, 0.0]])
    assert index.batch_add(POINTS[:1] + 20) == [6]
    assert opened().size() == 7


def test_a_delete_stands_if_the_index_cannot_be_made_smaller(monkeypatch, caplog):
    class Frozen(MemoryStore):
        is_frozen = True

        def _keep(self, rows):
            if self.is_frozen:
                raise OSError("disk full")
            super()._keep(rows)

    monkeypatch.setattr("keras_similarity.indexer.contents._MANY_DELETED", 2)
    index = make_index(kv_store=Frozen())
    assert index.delete([0, 1, 2, 3]) == 4
    assert index.size() == 2 and "could not be made smaller yet" in caplog.text
    assert nearest(index, POINTS[0]) == [4]
    index.kv_store.is_frozen = False
    assert index.delete(4) == 1
    assert index.kv_store.num_rows == index.search.size() == 1


def test_label_data_and_metadata_can_be_updated():
    index = make_index()
    index.update([0, 1], label=9, metadata={"price": [1.5, None]})
    index.update(2, label=None, data=["new"])
    lookups = index.batch_lookup(POINTS[:3], k=1)
    assert lookups[0][0].label == 9 and lookups[0][0].metadata == {"price": 1.5}
    assert lookups[1][0].metadata == {"price": None} and lookups[1][0].data == "b"
    assert lookups[2][0].label is None and lookups[2][0].data == "new"
    with pytest.raises(IndexError):
        index.update([0, 77], label=3)
    with pytest.raises(TypeError, match="of the type float64"):
        index.update([0, 1], label=3, metadata={"price": ["cheap", 1.0]})
    assert index.batch_lookup(POINTS[:1], k=1).labels.tolist() == [[9]]


def test_a_lookup_keeps_what_it_found():
    index = make_index()
    lookups = index.batch_lookup(POINTS[:1], k=2)
    index.update(0, data=["other"], metadata={"price": 3.0})
    index.delete(1)
    index.compact()
    assert [neighbor.data for neighbor in lookups[0]] == ["a", "b"]
    assert lookups.metadata == {}


def test_compacting_changes_no_answer():
    index = make_index()
    index.delete([0, 2])
    before = index.batch_lookup(POINTS, k=4)
    index.compact()
    assert index.search.size() == index.kv_store.num_rows == 4
    after = index.batch_lookup(POINTS, k=4)
    assert after.ids.tolist() == before.ids.tolist()
    assert after.labels.tolist() == before.labels.tolist()
    assert index.add(POINTS[0]) == 6


def test_many_deletions_are_compacted_by_themselves():
    random = np.random.default_rng(0)
    index = Indexer(4, "cosine")
    index.batch_add(random.normal(size=(3000, 4)))
    for start in range(0, 2000, 100):
        index.delete(np.arange(start, start + 100))
    assert index.size() == 1000 and index.search.size() < 1500


def test_saved_and_loaded_with_all_of_it(tmp_path):
    index = Indexer(2, "euclidean")
    when = np.array(["2024-01-02", "NaT", "2025-01-01"], "datetime64[us]")
    metadata = {
        "name": ["x", None, "z"],
        "when": when,
        "flag": [True, False, None],
        "raw": [b"\x00\xff", None, b""],
        "count": [1, None, 3],
    }
    index.batch_add(POINTS[:3], labels=[1, None, 2], ids=list("abc"), metadata=metadata)
    index.delete("b")
    index.save(tmp_path / "index")
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    for each in (index, loaded):
        assert each.size() == 2
        neighbors = each.single_lookup(POINTS[0], k=3)
        assert [neighbor.id for neighbor in neighbors] == ["a", "c"]
        assert neighbors[0].metadata["raw"] == b"\x00\xff"
        assert neighbors[1].metadata["flag"] is None
        assert neighbors[1].metadata["count"] == 3
        assert nearest(each, POINTS[0], filter=field("when") > "2024-06-01") == ["c"]
    loaded.add(POINTS[1], id="b")
    assert loaded.size() == 3


def test_next_ids_survive_a_save(tmp_path):
    index = make_index()
    index.delete(5)
    index.save(tmp_path / "index")
    assert Indexer.load(tmp_path / "index", verbose=0).add(POINTS[0]) == 6


def test_each_lookup_sees_one_version():
    # Each upsert moves both rows to the other side: a lookup of both versions, or of
    # none, would find 1 or 3 there.
    index = Indexer(2, "euclidean")
    index.batch_add([[0.0, 0.0], [0.0, 1.0]], ids=[0, 1])
    stop, seen = threading.Event(), []

    def look():
        while not stop.is_set():
            ids = index.batch_lookup([[0.0, 0.0]], k=4).ids[0]
            distances = index.batch_lookup([[0.0, 0.0]], k=4).distances[0]
            near = np.count_nonzero(distances < 50)
            seen.append((sorted(ids[ids >= 0].tolist()), near))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        side = 100.0 * (turn % 2)
        index.upsert([[side, 0.0], [side, 1.0]], ids=[0, 1])
    stop.set()
    for thread in threads:
        thread.join()
    assert seen and all(ids == [0, 1] and near in (0, 2) for ids, near in seen)


def test_a_summary_counts_what_waits_beside_what_is_deleted():
    index = make_index()
    index.delete([0, 1])
    assert "examples:       4\n" in index.summary()
    index.batch_add(POINTS[:3], build=False)
    assert "examples:       7 (3 not built yet)" in index.summary()
