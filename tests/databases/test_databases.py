"""All databases behave as the index in memory does: the same tests, the same answers."""

import threading

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, field

pytestmark = pytest.mark.keras_free

POINTS = np.arange(12, dtype="float32").reshape(6, 2)


def filled(make, **kwargs):
    index = make(**kwargs)
    ids = index.batch_add(POINTS, labels=[0, 0, 1, 1, 2, 2], data=list("abcdef"))
    assert ids == [0, 1, 2, 3, 4, 5]
    return index


def nearest(index, point, k=1, **kwargs):
    return index.batch_lookup([point], k=k, **kwargs).ids[0].tolist()


def test_ids_changes_and_errors(make):
    index = make()
    assert index.size() == 0 and index.single_lookup(POINTS[0]) == []
    assert index.batch_lookup(POINTS, k=3).ids.tolist() == [[-1] * 3] * 6
    assert index.range_lookup(POINTS, 9.0).ids.shape == (6, 0)

    ids = [10, 2**62 + 1, -5]
    assert index.batch_add(POINTS[:3], [1, None, 2], data=list("abc"), ids=ids) == ids
    lookups = index.batch_lookup([[1.9, 3.0]], k=4)
    assert lookups.ids[0].tolist() == [ids[1], ids[0], ids[2], -1]
    assert [(n.id, n.label, n.data) for n in lookups[0]] == [
        (ids[1], None, "b"),
        (10, 1, "a"),
        (-5, 2, "c"),
    ]
    assert np.isnan(lookups.distances[0, 3])
    expected = [0.1, np.hypot(1.9, 2), np.hypot(2.1, 2)]
    np.testing.assert_allclose(lookups.distances[0, :3], expected, rtol=1e-5)
    np.testing.assert_array_equal(lookups.embeddings[0, 0], POINTS[1])
    index.reset()

    filled(lambda: index)
    for ids, error, message in (
        ([0, 9], ValueError, "`ids` must be new. Received: 0 again"),
        ([9, 9], ValueError, "`ids` must be used once each"),
        ([9], ValueError, "`ids` must hold one id a row, 2 of them"),
        (["a", "b"], TypeError, "`ids` must be integers, as those before"),
        ([0.5, 1.5], TypeError, "`ids` must be integers, or strings"),
    ):
        with pytest.raises(error, match=message):
            index.batch_add(POINTS[:2], ids=ids)
    for bad in ([[np.nan, 0.0]], [[np.inf, 0.0]], [[1.0, 2.0, 3.0]]):
        with pytest.raises(ValueError, match="`predictions` must"):
            index.batch_add(bad)
        with pytest.raises(ValueError, match="`predictions` must"):
            index.batch_lookup(bad)
    for unknown in (77, [0, 99], "a"):
        with pytest.raises(IndexError, match="`ids` must be of what is there"):
            index.delete(unknown)
    for arguments, error in (
        (dict(predictions=POINTS[:1], ids=[1], labels=[0.5]), TypeError),
        (dict(predictions=POINTS[:2], ids=[1, 1]), ValueError),
        (dict(predictions=POINTS[:1], ids=[1], metadata={"id": [1]}), ValueError),
        (dict(predictions=POINTS[:1], ids=[1], data=[object()]), TypeError),
    ):
        if make.kind == "linear" and "data" in arguments:
            continue  # Memory holds any object, and refuses to save it.
        with pytest.raises(error):
            index.upsert(**arguments)
    assert index.size() == 6 and nearest(index, POINTS[1]) == [1]

    assert index.delete([1, 3]) == 2
    assert index.size() == index.searchable() == 4
    assert nearest(index, POINTS[1], k=6) in (
        [0, 2, 4, 5, -1, -1],
        [2, 0, 4, 5, -1, -1],
    )
    index.batch_add(POINTS[1:2], ids=[1])  # The id is free again.
    assert nearest(index, POINTS[1]) == [1]

    index.upsert([[100.0, 100.0], [200.0, 200.0]], ids=[1, 50], labels=[5, 6])
    assert index.size() == 6
    neighbor = index.single_lookup([100.0, 100.0], k=1)[0]
    assert (neighbor.id, neighbor.label, neighbor.data) == (1, 5, None)
    assert nearest(index, [200.0, 200.0]) == [50]
    assert index.kv_store.get(1)[0].tolist() == [100.0, 100.0]
    index.delete(50)
    assert index.add(POINTS[0]) == 51  # An id that was deleted is not given again.

    index.update([0, 2], label=9, metadata={"price": [1.5, None]})
    index.update(4, label=None, data=["new"])
    lookups = index.batch_lookup(POINTS[[2, 4]], k=1)
    assert (lookups[0][0].label, lookups[0][0].metadata) == (9, {"price": None})
    assert lookups[0][0].data == "c"
    assert (lookups[1][0].label, lookups[1][0].data) == (None, "new")
    assert nearest(index, POINTS[0], filter=field("price") == 1.5) == [0]
    with pytest.raises(IndexError):
        index.update([0, 77], label=3)
    with pytest.raises(TypeError, match="of the type float64"):
        index.update([0, 1], label=3, metadata={"price": ["cheap", 1.0]})
    assert index.to_data_frame().loc[0, "labels"] == 9

    index.delete([0, 1, 2, 4, 5, 51])
    assert index.size() == 0 and index.single_lookup(POINTS[0]) == []
    with pytest.raises(IndexError, match="must not be empty"):
        index.evaluate_classification(POINTS, [0] * 6, [1.0])


NASTY = [
    "plain",
    'a"b',
    "it's",
    "back\\slash",
    "new\nline",
    "uni é 漢",
    "\\n",
    "",
    "\x01",
]
WHEN = np.array(["2024-01-02", "NaT", "2025-01-01T00:00:00.000001"], "datetime64[us]")


def test_strings_metadata_and_files(make, tmp_path):
    index = make(name="kept")
    metadata = {
        "name": ["x", None, "z"],
        "when": WHEN,
        "flag": [True, False, None],
        "raw": [b"\x00\xff", None, b""],
        "count": [2**60 + 1, None, 3],
        'odd name, it\'s "é" `': [1.5, None, -0.25],
    }
    index.batch_add(POINTS[:3], labels=[1, None, 2], ids=list("abc"), metadata=metadata)
    with pytest.raises(ValueError, match="`ids` must be given"):
        index.add(POINTS[1])
    index.batch_add(POINTS[[3] * len(NASTY)] + 50, ids=NASTY, metadata={"text": NASTY})
    for text in NASTY:
        assert nearest(index, [0, 0], k=2, filter=field("text") == text) == [text, None]
        assert index.kv_store.get(text)[0].tolist() == (POINTS[3] + 50).tolist()
    everything = index.batch_lookup([[0.0, 0.0]], k=20, filter=field("text").is_in(NASTY))
    assert sorted(everything.ids[0, : len(NASTY)].tolist()) == sorted(NASTY)
    assert index.delete(NASTY) == len(NASTY)
    index.delete("b")
    index.save(tmp_path / "index")
    if make.kind == "milvus-lite":
        index.search.close()
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    make.made.append(loaded)
    assert loaded.size() == 2
    neighbors = loaded.single_lookup(POINTS[0], k=3)
    assert [neighbor.id for neighbor in neighbors] == ["a", "c"]
    assert neighbors[0].metadata["raw"] == b"\x00\xff"
    assert neighbors[0].metadata["when"] == WHEN[0].item()
    assert neighbors[0].metadata["count"] == 2**60 + 1
    assert neighbors[0].metadata["flag"] is True
    assert neighbors[1].metadata["flag"] is None
    assert neighbors[1].metadata['odd name, it\'s "é" `'] == -0.25
    for condition, expected in (
        (field("when") > "2024-06-01", ["c"]),
        (field("when") <= WHEN[2].item(), ["a", "c"]),
        (field("count") == 2**60 + 1, ["a"]),
        (field("count") < 2**70, ["a", "c"]),
        (field("raw") > b"", ["a"]),
        (field("raw").is_in([b"", b"x"]), ["c"]),
        (field('odd name, it\'s "é" `') < 0, ["c"]),
        (field("flag").is_null(), ["c"]),
        (field("flag") < True, []),
        (~(field("flag") < True), ["a"]),
        (field("name").is_in([]), []),
        (~field("name").is_in([]), ["a", "c"]),
    ):
        found = nearest(loaded, POINTS[0], k=2, filter=condition)
        assert [id_ for id_ in found if id_ is not None] == expected, condition
    loaded.add(POINTS[1], id="b", metadata={"fresh": 1})
    assert loaded.size() == 3 and nearest(loaded, POINTS[1]) == ["b"]
    frame = loaded.batch_lookup(POINTS[1:2], k=1).to_data_frame()
    assert frame["id"].tolist() == ["b"] and frame["fresh"].tolist() == [1]


ROWS = 400
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(ROWS, 3)).astype("float32")
LABELS = [None if row % 7 == 0 else row % 5 for row in range(ROWS)]
COLUMNS = {
    "price": [None if row % 11 == 0 else float(row % 30) for row in range(ROWS)],
    "name": [None if row % 13 == 0 else "abc"[row % 3] for row in range(ROWS)],
    "flag": (RANDOM.random(ROWS) < 0.5).tolist(),
}
QUERIES = RANDOM.normal(size=(5, 3)).astype("float32")
CONDITIONS = {
    "label": field("label") == 3,
    "not label": field("label") != 3,
    "~label": ~(field("label") == 3),
    "in": field("label").is_in([1, 4]),
    "not in": ~field("label").is_in([1, 4]),
    "null": field("label").is_null(),
    "present": ~field("price").is_null(),
    "string order": field("name") > "a",
    "strings": field("name").is_in(["a", "c"]),
    "no strings": ~field("name").is_in(["a", "c"]),
    "flag": field("flag") != True,  # noqa: E712
    "not and": ~((field("price") < 10) & (field("name") == "a")),
    "not or": ~((field("price") < 3) | (field("name") == "a")),
    "numbers": field("price").is_in([1, 2.0, 1e300, float("nan")]),
    "none": field("price") > 100,
    "below all": ~(field("price") > float("-inf")),
    "not a number": ~(field("price") <= float("nan")),
    "all": field("price").is_null() | ~field("price").is_null(),
    "outside": field("label") < 2**65,
}


def reference():
    index = Indexer(3, "euclidean")
    index.batch_add(VECTORS, labels=LABELS, metadata=COLUMNS)
    return index


def assert_same(found, expected):
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["lance", "milvus-lite", "milvus-server"])
def test_lookups_are_those_of_the_index_in_memory(make):
    index, true = make(dim=3), reference()
    index.batch_add(VECTORS, labels=LABELS, metadata=COLUMNS)
    for condition in CONDITIONS.values():
        arguments = dict(k=6, filter=condition)
        assert_same(
            index.batch_lookup(QUERIES, **arguments),
            true.batch_lookup(QUERIES, **arguments),
        )
    rows = np.array([3, 4, 399])
    for queries, arguments in (
        (VECTORS[rows], dict(k=5, exclude_self=rows)),
        (VECTORS[rows], dict(k=5, exclude_self=[1000, 1001, 1002])),
        (QUERIES, dict(k=8, max_per_label=1)),
        (QUERIES, dict(k=3, offset=4)),
        (QUERIES, dict(k=ROWS + 5)),
        (
            VECTORS[rows],
            dict(k=3, filter=field("price") < 15, exclude_self=rows, max_per_label=2),
        ),
    ):
        assert_same(
            index.batch_lookup(queries, **arguments),
            true.batch_lookup(queries, **arguments),
        )
    for limit in (-10.0, 0.3, 1.5, 100.0):
        condition = ~(field("label") == 1)
        assert_same(
            index.range_lookup(QUERIES, limit, filter=condition),
            true.range_lookup(QUERIES, limit, filter=condition),
        )
    found = index.batch_lookup(QUERIES, k=2)
    assert found.metadata == true.batch_lookup(QUERIES, k=2).metadata
    for make_wrong, error, message in (
        (lambda: field("cost") < 3, ValueError, "Received: 'cost'"),
        (lambda: field("price") < "3", TypeError, "type float64 cannot be compared"),
        (lambda: field("name").is_in([1]), TypeError, "type string cannot"),
        (lambda: "price < 3", TypeError, "`filter` must be a condition"),
    ):
        with pytest.raises(error, match=message):
            index.batch_lookup(QUERIES, filter=make_wrong())
    assert index.recall(sample=50) == 1.0


@pytest.mark.parametrize("kind", ["lance", "milvus-lite", "milvus-server"])
@pytest.mark.parametrize("distance", ["cosine", "inner_product", "squared_euclidean"])
def test_distances_are_those_of_the_distance(make, distance):
    index, true = make(dim=3, distance=distance), Indexer(3, distance)
    for each in (index, true):
        each.batch_add(VECTORS[:50], labels=np.arange(50))
    found = index.batch_lookup(QUERIES, k=7)
    assert_same(found, true.batch_lookup(QUERIES, k=7))
    exact = index.distance(QUERIES, VECTORS[:50])
    np.testing.assert_allclose(
        found.distances, np.take_along_axis(exact, found.ids, 1), rtol=1e-5, atol=1e-6
    )
    limit = float(np.median(exact))
    assert_same(index.range_lookup(QUERIES, limit), true.range_lookup(QUERIES, limit))


def test_calibrated_and_loaded(make, tmp_path):
    index = make(dim=3, name="calibrated")
    index.batch_add(VECTORS[:60], labels=np.arange(60) % 3)
    index.calibrate(VECTORS[60:90], np.arange(30) % 3, verbose=0)
    index.save(tmp_path / "index")
    expected = index.match(QUERIES)
    if make.kind == "milvus-lite":
        index.search.close()
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    make.made.append(loaded)
    assert loaded.is_calibrated and loaded.match(QUERIES) == expected
    assert loaded.add(VECTORS[0]) == 60


def test_lookups_run_while_rows_change(make):
    index = filled(make)
    stop, seen, problems = threading.Event(), [], []

    def look():
        while not stop.is_set():
            try:
                lookups = index.batch_lookup([[100.0, 0.0], [0.0, 0.0]], k=2)
                seen.append(lookups.labels[0, 0])
            except Exception as error:
                problems.append(error)
                return

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        index.upsert([[100.0, 0.0]], ids=[100], labels=[turn])
        index.add(POINTS[0] + turn)
        index.delete(100)
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems and seen and index.size() == 18
