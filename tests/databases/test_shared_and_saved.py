"""Databases that several objects and processes use, and indexes saved with them."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, field

pytestmark = pytest.mark.keras_free

ROOT = Path(__file__).resolve().parents[2]
ROWS = np.random.default_rng(5).normal(size=(60, 4)).astype("float32")
EACH = pytest.mark.parametrize("kind", ["lance", "milvus-lite", "milvus-server"])
QUICK = pytest.mark.parametrize("kind", ["lance", "milvus-lite"])


@EACH
def test_two_objects_count_ids_as_one(make):
    one, other = make(dim=4, name="counted_by_two"), make(dim=4, name="counted_by_two")
    assert one.batch_add(ROWS[:3]) == [0, 1, 2]
    assert [other.add(ROWS[3]), one.add(ROWS[4]), other.add(ROWS[5])] == [3, 4, 5]
    assert sorted(one.search.all_ids().tolist()) == list(range(6)) and one.size() == 6


@QUICK
def test_another_object_may_begin_anew(make):
    one, other = make(dim=4, name="begun_anew"), make(dim=4, name="begun_anew")
    one.batch_add(ROWS[:3], ids=list("abc"), metadata={"price": [1, 2, 3]})
    assert other.size() == 3
    one.reset()
    assert other.size() == 0 and (other.batch_lookup(ROWS[:1], k=1).ids == -1).all()
    other.batch_add(ROWS[:2], metadata={"price": ["cheap", "dear"]})
    assert one.size() == 2
    assert one.batch_lookup(ROWS[:1], k=1, filter=field("price") == "dear").ids == [[1]]


@EACH
def test_vectors_without_a_direction_are_refused_under_cosine(make):
    index = make(dim=4, distance="cosine")
    for short in (0.0, 1e-25):
        with pytest.raises(ValueError, match="must not be 0 under the cosine distance"):
            index.batch_add(np.full((1, 4), short))
    if make.kind != "milvus-server":  # Refused all the same, but the index takes seconds.
        index.batch_add(ROWS[:3])
        with pytest.raises(ValueError, match="must not be 0 under the cosine distance"):
            index.batch_lookup(np.zeros((1, 4)))


@QUICK
def test_an_index_saved_while_it_was_empty_finds_what_came_since(make, tmp_path):
    index = make(dim=4, name="empty_at_first")
    index.save(tmp_path / "index")
    index.batch_add(ROWS[:5])
    loaded = again(make, index, tmp_path / "index")
    assert loaded.size() == 5 and loaded.add(ROWS[5]) == 5


@QUICK
def test_a_copy_comes_back_where_no_rows_are(make, tmp_path):
    index = make(dim=4, name="copied")
    when = np.array(["2024-05-06T07:08:09"] * 60, "datetime64[us]")
    when[3] = np.datetime64("NaT")
    index.batch_add(
        ROWS,
        labels=[None, *range(1, 60)],
        data=[{"n": row} for row in range(60)],
        ids=[f'row "{row}"' for row in range(60)],
        metadata={"when": when, "raw": [b"\x00", *[None] * 59]},
    )
    index.save(tmp_path / "index", copy_store=True)
    index.delete('row "0"')
    assert again(make, index, tmp_path / "index").size() == 59  # Where they were.
    index = make.made[-1]
    index.reset()
    loaded = again(make, index, tmp_path / "index")
    assert loaded.size() == 60
    first, third = (loaded.single_lookup(ROWS[row], k=1)[0] for row in (0, 3))
    assert (first.id, first.label, first.data) == ('row "0"', None, {"n": 0})
    assert first.metadata == {"when": when[0].item(), "raw": b"\x00"}
    assert (third.label, third.metadata["when"]) == (3, None)
    loaded.add(ROWS[0], id="new")
    assert again(make, loaded, tmp_path / "index").size() == 61  # It is the same table.
    make.made[-1].reset()
    make.made[-1].batch_add(ROWS[:2])
    with pytest.raises(ValueError, match=r"another table .* Move it away"):
        again(make, make.made[-1], tmp_path / "index")


@QUICK
def test_a_copy_that_cannot_be_brought_back_leaves_nothing(make, tmp_path, monkeypatch):
    index = make(dim=4, name="cut_short")
    index.batch_add(ROWS)
    index.save(tmp_path / "index", copy_store=True)
    index.reset()
    monkeypatch.setattr("keras_similarity.databases.reference._BLOCK", 20)
    write, calls = type(index.search)._write_rows, []

    def fail_at_last(self, rows, replacing):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("The disk is full.")
        write(self, rows, replacing)

    monkeypatch.setattr(type(index.search), "_write_rows", fail_at_last)
    with pytest.raises(OSError, match="disk is full"):
        again(make, index, tmp_path / "index")
    monkeypatch.undo()
    assert again(make, index, tmp_path / "index").size() == 60


@EACH
def test_all_ids_whatever_is_in_them(make, monkeypatch):
    monkeypatch.setattr("keras_similarity.databases.milvus._IDS", 3)
    ids = ['a"b', "back\\slash", 'z"', '"', "x\\", "plain", "new\nline", ""]
    index = make(dim=4)
    index.batch_add(ROWS[:8], ids=ids)
    assert sorted(index.search.all_ids().tolist()) == sorted(ids)
    if make.kind == "milvus-server":
        return  # Where each time takes seconds.
    assert len(index.search.all_ids(5)) == 5 and len(index.to_data_frame(2)) == 2
    assert index.recall(sample=5, k=2) == 1.0


WRITER = """
import sys
import numpy as np
from keras_similarity.databases import LanceSearch, MilvusSearch
from keras_similarity.indexer import Indexer
kind, place = sys.argv[1:]
search = (LanceSearch if kind == "lance" else MilvusSearch)("euclidean", 4, place)
index = Indexer(4, "euclidean", search=search)
for turn in range(10_000):
    ids = list(range(20 * turn, 20 * turn + 20))
    index.batch_add(np.full((20, 4), turn), labels=ids, ids=ids)
    if turn:
        index.delete(ids[0] - 20)
        index.update(ids[1] - 20, label=-1)
    print(turn, flush=True)
"""


@QUICK
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(kind, make, tmp_path):
    place = str(tmp_path / "killed.db")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, kind, place],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    done = -1
    for line in child.stdout:
        done = int(line)
        if done == 8:
            child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL and done >= 8
    from keras_similarity.databases import LanceSearch, MilvusSearch

    search = (LanceSearch if kind == "lance" else MilvusSearch)("euclidean", 4, place)
    there = set(search.all_ids().tolist())
    deleted = {20 * turn for turn in range(done)}
    written = set(range(20 * done + 20)) - deleted
    assert written <= there and not deleted & there
    assert there - written <= set(range(20 * done + 20, 20 * done + 40))  # On its way.
    updated = np.array([20 * turn + 1 for turn in range(done)])
    assert {row["label"] for row in search.fetch(updated)} == {-1}
    vectors = search.fetch(np.array([20 * done + 5]), ("vector",))[0]["vector"]
    assert vectors.tolist() == [done] * 4
    search.close()


def again(make, index, path):
    """The index that is saved there, in place of one, which lets go of its file."""
    index.search.close()
    loaded = Indexer.load(path, verbose=0)
    make.made.append(loaded)
    return loaded
