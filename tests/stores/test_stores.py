"""Tests of what is kept beside the vectors."""

import enum
import json

import numpy as np
import pytest

from keras_similarity import stores
from keras_similarity.indexer import Indexer
from keras_similarity.stores import MemoryStore
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

EMBEDDINGS = np.arange(12, dtype="float32").reshape(6, 2)


def test_rows_come_back_by_id():
    store = MemoryStore()
    assert store.batch_add(EMBEDDINGS[:2], labels=[7, None], data=["a", {"b": 1}]) == [
        0,
        1,
    ]
    assert store.add(EMBEDDINGS[2], label=9, data=[1]) == 2
    assert store.add(EMBEDDINGS[3:4]) == 3
    assert store.batch_add(EMBEDDINGS[4:]) == [4, 5]
    assert store.size() == 6
    embedding, label, data = store.get(1)
    assert (embedding.tolist(), label, data) == ([2.0, 3.0], None, {"b": 1})
    embeddings, labels, data = store.batch_get([3, 2, 0, 2])
    assert [e.tolist() for e in embeddings] == [[6, 7], [4, 5], [0, 1], [4, 5]]
    assert labels == [None, 9, 7, 9] and type(labels[1]) is int
    assert data == [None, [1], "a", [1]]


def test_columns_come_back_by_id():
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, labels=np.array([[2**53 + 1]] * 6), data=range(6))
    store.add([0, 0])
    labels = store.labels(np.array([6, 0]))
    assert labels.dtype == np.int64 and labels.tolist() == [NO_LABEL, 2**53 + 1]
    embeddings, data = store.records(np.array([5, 0]))
    assert embeddings.dtype == np.float32 and embeddings.tolist() == [[10, 11], [0, 1]]
    assert data == [5, 0]
    assert store.records(np.empty(0, "int64"))[0].shape == (0, 2)


BAD = {
    "labels": ({"labels": [1, 2]}, ValueError, "`labels` must hold one label a row, 6"),
    "some labels": ({"labels": [1, None]}, ValueError, "one label a row, 6"),
    "float labels": ({"labels": [0.5] * 6}, TypeError, "`labels` must be integers"),
    "text labels": ({"labels": ["a"] * 6}, TypeError, "`labels` must be integers"),
    "reserved": ({"labels": [NO_LABEL] * 6}, ValueError, "stands for no label"),
    "data": ({"data": np.ones((5, 3))}, ValueError, "`data` must hold one item a row, 6"),
    "a number": ({"data": 3}, TypeError, "`data` must be an array or a list"),
    "width": ({"embeddings": np.ones((6, 3))}, ValueError, "must have 2 columns"),
    "nan": ({"embeddings": EMBEDDINGS * np.nan}, ValueError, "finite"),
}


@pytest.mark.parametrize(("arguments", "error", "match"), BAD.values(), ids=BAD)
def test_bad_rows_are_refused_before_anything_changes(arguments, error, match):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, labels=range(6), data="abcdef")
    with pytest.raises(error, match=match):
        store.batch_add(**{"embeddings": EMBEDDINGS, **arguments})
    assert store.size() == 6
    assert store.batch_add(EMBEDDINGS[:1]) == [6]
    assert store.get(6)[1:] == (None, None)


@pytest.mark.parametrize("idx", [6, -1])
def test_unknown_ids_are_refused(idx):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS)
    with pytest.raises(IndexError, match=f"must be of what is there. Received: {idx}"):
        store.get(idx)


@pytest.mark.parametrize(
    "ids", [np.array([2**63 + 5], "uint64"), [2**63], [2**70], 2**64]
)
def test_ids_above_int64_are_refused(ids):
    store = MemoryStore()
    with pytest.raises(ValueError, match="`ids` must fit into int64"):
        store.batch_add([[1.0]], ids=ids)
    assert store.size() == 0


def test_after_the_largest_id_none_is_counted():
    store = MemoryStore()
    store.add([1.0], id=2**63 - 1)
    with pytest.raises(ValueError, match="`ids` must be given"):
        store.add([1.0])


def test_replacing_needs_ids():
    with pytest.raises(ValueError, match="`ids` must say which rows are replaced"):
        MemoryStore().prepare([[1.0]], replacing=True)
    index = Indexer(1, distance="euclidean")
    index.add([1.0])
    with pytest.raises(ValueError, match="`ids` must say which rows are replaced"):
        index.upsert([[1.0]], ids=None)
    assert index.size() == 1


def test_rows_that_replace_others_take_their_ids():
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, labels=range(6))
    new = store.prepare(EMBEDDINGS[:2], [8, 9], ids=[6, 1], replacing=True)
    store.commit(new)
    assert store.size() == 7 and store.num_rows == 8
    assert store.get(1)[1] == 9 and store.rows_of(np.array([1, 6])).tolist() == [7, 6]
    store.keep(np.flatnonzero(store.is_live))
    assert store.get(1)[1] == 9 and store.num_rows == 7
    with pytest.raises(ValueError, match="`rows` must ascend"):
        store.keep(np.array([1, 0]))


def test_rows_saved_by_an_older_version_are_read(tmp_path):
    arrays = {"embeddings": EMBEDDINGS, "labels": np.arange(6)}
    np.savez(tmp_path / "store.npz", **arrays)
    (tmp_path / "data.json").write_text(json.dumps({"none": 6}))
    store = MemoryStore()
    store.read(tmp_path, mmap=True)
    assert store.get(5)[0].tolist() == [10, 11] and store.get(5)[1:] == (5, None)


def test_a_mapped_store_changes_but_for_its_file(tmp_path):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, labels=range(6), data="abcdef")
    store.write(tmp_path)
    before = (tmp_path / "embeddings.npy").read_bytes()
    mapped = MemoryStore()
    mapped.read(tmp_path, mmap=True)
    in_file = mapped.reader().keywords["embeddings"]
    assert isinstance(in_file.base, np.memmap) and not in_file.flags.writeable
    mapped.delete([2])
    mapped.update([1], label=7, data=["z"])
    assert mapped.reader().keywords["embeddings"] is in_file
    assert mapped.batch_add(EMBEDDINGS + 1) == list(range(6, 12))
    rows = mapped.batch_get([0, 1, 11])
    assert [row.tolist() for row in rows[0]] == [[0, 1], [2, 3], [11, 12]]
    assert rows[1:] == ([0, 7, None], ["a", "z", None])
    assert type(rows[0][0]) is np.ndarray
    assert (tmp_path / "embeddings.npy").read_bytes() == before


def test_an_empty_store_is_mapped(tmp_path):
    MemoryStore().write(tmp_path)
    store = MemoryStore()
    store.read(tmp_path, mmap=True)
    assert store.batch_add(EMBEDDINGS) == list(range(6))


def test_the_callers_array_is_copied():
    store, images, vectors = MemoryStore(), np.ones((6, 4)), EMBEDDINGS.copy()
    store.batch_add(vectors, data=images)
    images[:], vectors[:] = 7, 7
    embedding, _, data = store.get(0)
    assert data.tolist() == [1] * 4 and embedding.tolist() == [0, 1]


def test_a_reader_keeps_its_rows():
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, data="abcdef")
    read = store.reader()
    store.reset()
    assert store.size() == 0
    store.batch_add(np.ones((9, 5)))
    embeddings, data = read(np.array([5]))
    assert embeddings.tolist() == [[10, 11]] and data == ["f"]


DATA = {
    "images": np.random.default_rng(0).integers(0, 255, (6, 3, 3), "uint8"),
    "none": None,
    "NumPy numbers": np.arange(6, dtype="int16"),
    "NumPy text": np.array(["a", "bb", "", "c", "d", "e"]),
    "dates": np.arange(6).astype("datetime64[D]"),
    "numbers": [1, 2.5, True, None, 2**70, float("inf")],
    "text": ["a", "b", "ä", "", "\ud800", "f"],
    "dicts": [
        {"a": 1, 2: (3, [4]), "tuple": {}},
        {},
        {"none": None},
        (),
        [],
        b"\x00\xff",
    ],
    "arrays in dicts": [{"x": np.arange(n, dtype="f2")} for n in range(6)],
    "ragged": [np.ones((n, 2), "f8") for n in range(6)],
    "dtypes": [np.zeros(2, "f4"), np.zeros(2, "i8"), np.float32(0.1), 0.1, 1j, None],
    "two dtypes": [np.zeros(2, "f4"), np.zeros(2, "i8")] * 3,
    "0-d arrays": [np.array(n) for n in range(6)],
    "mixed": [np.ones((2, 2), bool), "x", None, np.array(["u", "vv"]), np.int8(3), 4],
}


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, (np.ndarray, np.generic)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for ours, theirs in zip(one, other, strict=True):
            assert_same(ours, theirs)
    else:
        assert one == other


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_save_and_load_give_the_same_types_back(data, compression, tmp_path):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, labels=[1, None, 2**60, -5, 0, None], data=data)
    store.save(tmp_path / "store", compression=compression)
    loaded = MemoryStore()
    loaded.add([1, 2, 3])
    assert loaded.load(tmp_path / "store") == 6
    for ours, theirs in zip(
        store.batch_get(range(6)), loaded.batch_get(range(6)), strict=True
    ):
        assert_same(ours, theirs)
    assert loaded.add([1, 2]) == 6


def test_compression_makes_files_smaller(tmp_path):
    store = MemoryStore()
    store.batch_add(np.zeros((1000, 50)), data=np.zeros((1000, 50)))
    sizes = []
    for compression in (True, False):
        store.save(tmp_path, compression=compression)
        sizes.append(sum(file.stat().st_size for file in tmp_path.rglob("*.npz")))
    assert sizes[0] < sizes[1] / 10


def test_an_empty_store_is_saved(tmp_path):
    MemoryStore().save(tmp_path)
    store = MemoryStore()
    assert store.load(tmp_path) == 0
    assert store.batch_add(EMBEDDINGS) == list(range(6))


class Colour(enum.IntEnum):
    RED = 1


UNSAVABLE = {
    "object": (object(), "a object, in row 3"),
    "enum": (Colour.RED, "a Colour, in row 3"),
    "object array": (np.array([{}, None]), "a ndarray of dtype object, in row 3"),
    "records": (np.zeros(2, "f4,i4"), "of dtype .*, in row 3"),
    "nested": ({"a": [{1, 2}]}, "a set, in row 3"),
}


@pytest.mark.parametrize(("item", "match"), UNSAVABLE.values(), ids=UNSAVABLE)
def test_what_cannot_be_saved_is_named(item, match, tmp_path):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, data=["a", "b", "c", item, "e", object()])
    with pytest.raises(TypeError, match=match):
        store.save(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_load_is_told_as_tensorflow_similarity_tells_it(tmp_path):
    with pytest.raises(ValueError, match="Index path doesn't exist"):
        MemoryStore().load(tmp_path / "missing")
    with pytest.raises(ValueError, match="Index file not found"):
        MemoryStore().load(tmp_path)


def test_files_that_do_not_fit_each_other_change_nothing(tmp_path):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS, data="abcdef")
    store.write(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps({"none": 5}))
    with pytest.raises(ValueError, match="6 embeddings, 6 labels, 5 data"):
        store.read(tmp_path)
    assert store.get(5)[2] == "f"


@pytest.mark.parametrize("num_records", [0, 2, 99])
def test_data_frame(num_records):
    store = MemoryStore()
    store.batch_add(EMBEDDINGS[:3], labels=[1, None, 3], data=np.ones((3, 2)))
    frame = store.to_data_frame(num_records)
    rows = 2 if num_records == 2 else 3
    assert list(frame.columns) == ["embeddings", "data", "labels"]
    assert [e.tolist() for e in frame["embeddings"]] == EMBEDDINGS[:rows].tolist()
    assert frame["data"][0].tolist() == [1, 1]
    assert frame["labels"].isna().tolist() == [False, True, False][:rows]
    assert frame["labels"][0] == 1


def test_data_frame_of_nothing_and_of_less_than_nothing():
    assert len(MemoryStore().to_data_frame()) == 0
    with pytest.raises(ValueError, match="`num_records` must be from 0"):
        MemoryStore().to_data_frame(-1)


def test_names_and_configs():
    store = stores.get("Memory", name="mine")
    assert isinstance(store, MemoryStore) and stores.get(store) is store
    config = json.loads(json.dumps(stores.serialize(store)))
    assert stores.deserialize(config).get_config() == {"name": "mine", "verbose": 0}
    with pytest.raises(ValueError, match="Unknown store: 'cache'"):
        stores.get("cache")
