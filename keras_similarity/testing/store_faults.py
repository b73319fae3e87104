"""What can be wrong with a store: one check each."""

from __future__ import annotations

import datetime
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.stores.filter import field
from keras_similarity.testing.store_subject import CHECKS as CHECKS  # All that follow.
from keras_similarity.testing.store_subject import (
    DATA,
    LABELS,
    METADATA,
    POINTS,
    Make,
    check,
    differs,
    raises,
    same_rows,
)
from keras_similarity.types import NO_LABEL


@check("add")
def rows_come_back(make: Make) -> Iterator[str]:
    """Rows come back by id and by number, in the order that was asked for."""
    store = make()
    if store.size() or store.num_rows:
        yield f"a store that was just made holds {store.num_rows} rows: is it new?"
        return
    ids = store.batch_add(POINTS[:4], labels=[1, 2, 3, 4], data="abcd")
    ids += [store.add(POINTS[4], label=5, data="e"), store.add(POINTS[5:])]
    if ids != [0, 1, 2, 3, 4, 5]:
        yield f"without ids rows are called {ids}, not 0, 1, 2 ..."
        return
    yield from differs("size()", store.size(), 6)
    yield from differs("num_rows", store.num_rows, 6)
    yield from differs("dim", store.dim, 2)
    rows = np.array([5, 2, 2, 0])
    embeddings, data = store.records(rows)
    yield from differs("embeddings of rows 5, 2, 2, 0", embeddings, POINTS[rows])
    yield from differs("data of rows 5, 2, 2, 0", data, [None, "c", "c", "a"])
    if embeddings.dtype != np.float32:
        yield f"embeddings come back as {embeddings.dtype}, not float32"
    embeddings, data = store.records(rows[:0])
    if embeddings.shape != (0, 2) or data:
        yield f"records of no rows have the shape {embeddings.shape}, not (0, 2)"
    yield from differs("get(4)", store.get(4)[1:], (5, "e"))
    yield from differs("batch_add of nothing", store.batch_add(POINTS[:0]), [])
    many = np.random.default_rng(0).normal(size=(3000, 2)).astype("float32")
    store.batch_add(many)
    rows = np.random.default_rng(1).permutation(3000)[:1500]
    found = store.records(rows + 6)[0]
    yield from differs("embeddings of 1500 scattered rows", found, many[rows])


@check("ids")
def ids_are_kept(make: Make) -> Iterator[str]:
    """Ids, integers or strings, are told apart, count on and become free."""
    store, large = make(), [2**53 + 1, 2**53, -(2**63), -1]
    store.batch_add(POINTS[:4], ids=large)
    yield from differs("ids", store.ids(np.arange(4)).tolist(), large)
    rows = store.rows_of(np.array([-1, 2**53, 5, 2**53 + 1]))
    yield from differs("rows of ids, one of them unknown", rows.tolist(), [3, 1, -1, 0])
    yield from differs("the next id", store.add(POINTS[4]), 2**53 + 2)
    store.delete(2**53 + 2)
    yield from differs("the next id after a deletion", store.next_id, 2**53 + 3)
    store.add(POINTS[5], id=2**53 + 2)
    found = store.get(2**53 + 2)[0]
    yield from differs("a row that has a deleted row's id", found, POINTS[5])
    store, names = make(), ["b", "", "ä" * 300, "B", "1", "a'b\"\\"]
    store.batch_add(POINTS, ids=names)
    yield from differs("ids that are strings", store.ids(np.arange(6)).tolist(), names)
    rows = store.rows_of(np.array(["B", "b", "?", ""], object))
    yield from differs("rows of strings", rows.tolist(), [3, 0, -1, 1])


@check("labels")
def labels_come_back(make: Make) -> Iterator[str]:
    """Labels come back, missing ones too."""
    store = make()
    store.batch_add(POINTS, labels=LABELS)
    expected = [NO_LABEL if label is None else label for label in LABELS]
    labels = store.labels(np.arange(6))
    yield from differs("labels", labels.tolist(), expected)
    if labels.dtype != np.int64:
        yield f"labels come back as {labels.dtype}, not int64"
    yield from differs("batch_get's labels", store.batch_get(range(6))[1], LABELS)
    column = store.columns["label"]
    yield from differs('columns["label"]', column.to_list(), LABELS)


@check("data")
def data_comes_back(make: Make) -> Iterator[str]:
    """Data of all kinds comes back with its types, and is a copy of the caller's."""
    store = make()
    store.batch_add(POINTS, data=DATA)
    yield from differs("data", store.records(np.arange(6))[1], DATA)
    store, images = make(), np.arange(24, dtype="uint8").reshape(6, 2, 2)
    before = images.copy()
    store.batch_add(POINTS, data=images)
    images[:] = 0
    found = store.records(np.arange(6))[1]
    yield from differs("data, after the caller changed the array", found, list(before))


@check("metadata")
def metadata_comes_back(make: Make) -> Iterator[str]:
    """Columns of the six types come back, with missing values, NaN and late columns."""
    store = make()
    store.batch_add(POINTS, metadata=METADATA)
    store.batch_add(POINTS, metadata={"late": 1, "price": None})
    store.batch_add(POINTS[:1])
    types = ["bool", "int64", "float64", "string", "binary", "timestamp"]
    for (name, values), type_ in zip(METADATA.items(), types, strict=True):
        column = store.columns[name]
        if column.type != type_:
            yield f"a column of {type_} comes back as {column.type}"
        found = column.to_list()
        yield from differs(f"a column of {type_}", found, values + [None] * 7)
    late = store.columns["late"].to_list()
    yield from differs("a column that came late", late, [None] * 6 + [1] * 6 + [None])
    some = store.metadata(np.array([3, 0]))["name of it"].to_list()
    yield from differs("metadata of rows 3 and 0", some, ["ä", "a"])


@check("filter")
def filters_find_rows(make: Make) -> Iterator[str]:
    """Conditions find the rows of which they are true."""
    store = make()
    store.batch_add(POINTS, labels=LABELS, metadata=METADATA)
    cases = {
        'field("label") == 7': (field("label") == 7, [0, 5]),
        'field("label").is_null()': (field("label").is_null(), [1]),
        'field("Price") >= 1': (field("Price") >= 1, [0, 4, 5]),
        '~(field("price") < 2)': (~(field("price") < 2), [2, 3, 5]),
        'field("name of it").is_in(["ä", ""])': (
            field("name of it").is_in(["ä", ""]),
            [2, 3],
        ),
        'field("when") < datetime(2000, 1, 1)': (
            field("when") < datetime.datetime(2000, 1, 1),
            [3],
        ),
    }
    for text, (condition, rows) in cases.items():
        found = np.flatnonzero(store.matching(condition)).tolist()
        yield from differs(f"rows of {text}", found, rows)


@check("delete")
def deleted_rows_are_gone(make: Make) -> Iterator[str]:
    """Deleted rows are hidden; `keep` drops them and numbers the rest anew."""
    store = make()
    store.batch_add(POINTS, labels=LABELS, data=DATA, metadata=METADATA)
    store.delete([1, 4])
    yield from differs("size() after deleting 2 of 6", store.size(), 4)
    yield from differs("num_rows after deleting", store.num_rows, 6)
    is_live = store.is_live.tolist()
    yield from differs("is_live", is_live, [True, False, True, True, False, True])
    rows = store.rows_of(np.arange(6)).tolist()
    yield from differs("rows of ids, two deleted", rows, [0, -1, 2, 3, -1, 5])
    if not raises(IndexError, lambda: store.get(4)):
        yield "`get` of a deleted id is no IndexError"
    store.hide(np.array([4, 5]))  # One of them is hidden already.
    store.keep(np.flatnonzero(store.is_live))
    yield from differs("num_rows after keep", store.num_rows, 3)
    yield from differs("ids after keep", store.ids(np.arange(3)).tolist(), [0, 2, 3])
    kept = [DATA[row] for row in (0, 2, 3)]
    yield from differs("data after keep", store.batch_get([0, 2, 3])[2], kept)
    price = store.columns["Price"].to_list()
    yield from differs("metadata after keep", price, [2**60 + 1, -3, 0])
    yield from differs("the next id after keep", store.add(POINTS[0]), 6)


@check("update")
def updates_change_what_they_name(make: Make) -> Iterator[str]:
    """Label, data and metadata change, and nothing else does."""
    store = make()
    store.batch_add(POINTS, labels=LABELS, data=DATA, metadata=METADATA)
    store.update([4, 0], label=[None, 9])
    store.update(2, data=["new"], metadata={"price": 8.0, "extra": "x"})
    store.update([3, 0], metadata=[{"flag": None}, {"flag": False}])
    labels = [9, None, 2**62 + 1, -5, None, 7]
    yield from differs("labels after an update", store.batch_get(range(6))[1], labels)
    data = store.records(np.arange(6))[1]
    yield from differs("data after an update", data, [*DATA[:2], "new", *DATA[3:]])
    price = store.columns["price"].to_list()
    expected = [1.5, None, 8.0, float("inf"), -0.0, 2.0]
    yield from differs("a column after an update", price, expected)
    flags = store.columns["flag"].to_list()
    yield from differs("flags", flags, [False, None, False, None, None, False])
    extra = store.columns["extra"].to_list()
    yield from differs(
        "a column that an update made", extra, [None] * 2 + ["x"] + [None] * 3
    )
    found = store.records(np.arange(6))[0]
    yield from differs("embeddings after an update", found, POINTS)


@check("upsert")
def rows_are_replaced(make: Make) -> Iterator[str]:
    """`prepare` with `replacing` and `commit` put rows in place of others."""
    store = make()
    store.batch_add(POINTS, ids=list("abcdef"), labels=LABELS, data=DATA)
    new = store.prepare(POINTS[:2] + 50, [1, 2], ids=["b", "g"], replacing=True)
    if store.size() != 6 or store.num_rows != 6:
        yield "`prepare` changes something"
    store.commit(new)
    yield from differs("size() after one was replaced, one added", store.size(), 7)
    rows = store.rows_of(np.array(["b", "g", "a"], object)).tolist()
    yield from differs("rows of the new ids", rows, [6, 7, 0])
    if store.is_live[1]:
        yield "the row that was replaced is still there"
    embedding, label, data = store.get("b")
    yield from differs("the new row", (label, data), (1, None))
    yield from differs("the new embedding", embedding, POINTS[0] + 50)


@check("reset")
def reset_forgets(make: Make) -> Iterator[str]:
    """After `reset` nothing is left, and rows of another size may come."""
    store = make()
    store.batch_add(POINTS, ids=list("abcdef"), metadata=METADATA)
    store.reset()
    yield from differs("size() after reset", (store.size(), store.num_rows), (0, 0))
    yield from differs("columns after reset", list(store.columns), ["label"])
    ids = store.batch_add(np.ones((2, 5)), metadata={"price": ["now", "text"]})
    yield from differs("ids after reset", ids, [0, 1])
    yield from differs("dim after reset", store.dim, 5)


@check("errors")
def errors_change_nothing(make: Make) -> Iterator[str]:
    """What is refused changes nothing."""
    store = make()
    store.batch_add(POINTS, labels=LABELS, data="abcdef", metadata=METADATA)
    calls: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
        "a taken id": (ValueError, lambda: store.batch_add(POINTS[:2], ids=[6, 3])),
        "an id twice": (ValueError, lambda: store.batch_add(POINTS[:2], ids=[7, 7])),
        "an id above int64": (ValueError, lambda: store.add([0, 0], id=2**63 + 5)),
        "a string id after integers": (TypeError, lambda: store.add([0, 0], id="a")),
        "another embedding size": (ValueError, lambda: store.add([1, 2, 3])),
        "a NaN": (ValueError, lambda: store.add([np.nan, 1])),
        "a short list of labels": (
            ValueError,
            lambda: store.batch_add(POINTS, labels=[1]),
        ),
        "metadata of another type": (
            TypeError,
            lambda: store.add([0, 0], metadata={"price": "text", "new": 1}),
        ),
        "deleting an unknown id": (IndexError, lambda: store.delete([0, 99])),
        "updating an unknown id": (
            IndexError,
            lambda: store.update([0, 99], label=1),
        ),
        "an update of another type": (
            TypeError,
            lambda: store.update(0, label=1, metadata={"Price": 0.5}),
        ),
    }
    for what, (error, call) in calls.items():
        if not raises(error, call):
            yield f"{what} is no {error.__name__}"
    after = (store.size(), store.num_rows, store.batch_get(range(6))[1])
    yield from differs("size, rows and labels after errors", after, (6, 6, LABELS))
    yield from differs("columns after errors", set(store.columns), {"label", *METADATA})
    yield from differs("the next id after errors", store.add([0, 0]), 6)


@check("readers")
def readers_keep_their_version(make: Make) -> Iterator[str]:
    """What was taken before a change answers as it was then."""
    store = make()
    store.batch_add(POINTS, labels=LABELS, data="abcdef", metadata=METADATA)
    read, read_metadata = store.reader(), store.metadata_reader()
    columns, is_live = store.columns, store.is_live
    store.update([2], label=0, metadata={"Price": 9})
    store.delete([1])
    store.batch_add(POINTS + 50, metadata={"Price": 9})
    yield from differs("embeddings of a reader", read(np.arange(6))[0], POINTS)
    taken = columns["Price"].to_list(), columns["label"].to_list(), is_live.tolist()
    expected = METADATA["Price"], LABELS, [True] * 6
    yield from differs("columns taken before a change", taken, expected)
    price = read_metadata(np.array([2]))["Price"]
    yield from differs("metadata of a reader", price, [-3])
    store.keep(np.flatnonzero(store.is_live))
    rows = np.array([0, 5])
    yield from differs("a reader after keep", read(rows)[0], POINTS[rows])
    store.reset()
    store.batch_add(np.full((6, 2), 77))
    try:
        found = read(rows)[0]
    except RuntimeError as error:
        if not store.is_external:
            yield f"a reader taken before a reset raises ({error})"
        return
    yield from differs("a reader after a reset", found, POINTS[rows])


@check("save")
def saved_and_loaded_it_is_the_same(make: Make) -> Iterator[str]:
    """Saved (by copy) and loaded, a store is the same, and goes on."""
    store = make()
    store.batch_add(
        POINTS, ids=[3, 9, 4, 1, 5, 8], labels=LABELS, data=DATA, metadata=METADATA
    )
    store.delete(9)
    with tempfile.TemporaryDirectory() as folder:
        store.save(folder, copy=True)
        loaded = make()
        size = loaded.load(folder)
    yield from differs("the size that `load` returns", size, 5)
    yield from same_rows(store, loaded)
    yield from differs("the next id after loading", loaded.add(POINTS[0]), 10)
    empty = make()
    with tempfile.TemporaryDirectory() as folder:
        make().save(folder, copy=True)
        yield from differs("the size of an empty store", empty.load(folder), 0)


@check("reopen")
def opened_again_it_is_the_same(make: Make) -> Iterator[str]:
    """A store that lives elsewhere is there again, made from its config."""
    store = make()
    if not store.is_external:
        return
    store.batch_add(POINTS, labels=LABELS, data=DATA, metadata=METADATA)
    other = type(store).from_config(store.get_config())
    yield from differs("rows of a second object", other.size(), 6)
    store.delete(5)
    store.update(2, label=1, data=["new"], metadata={"price": 0.5, "extra": "x"})
    store.batch_add(POINTS[:2])
    yield from differs("rows a second object sees later", other.size(), 7)
    yield from same_rows(store, other)
    other.add(POINTS[0])
    yield from differs("rows the first object sees", store.size(), 8)
    version = store.version
    yield from differs("the version of both", other.version, version)
    store.keep(np.flatnonzero(store.is_live))
    yield from differs("rows after keep, seen elsewhere", other.size(), 8)
    found = other.records(np.array([2]))
    yield from differs("row 2, seen from before a keep", found[1], ["new"])
    if version in (store.version, other.version):
        yield "`keep` leaves the version as it was"
    yield from same_rows(store, type(store).from_config(store.get_config()))
    store.reset()
    yield from differs("rows after a reset, seen elsewhere", other.size(), 0)


@check("threads")
def threads_see_whole_rows(make: Make) -> Iterator[str]:
    """While one thread adds, others find whole rows."""
    store, problems, is_done = make(), [], threading.Event()
    store.batch_add(POINTS, labels=range(6))

    def look() -> None:
        while not is_done.is_set():
            try:
                rows = np.arange(store.num_rows)
                embeddings, _ = store.records(rows)
                labels = store.labels(rows)
                if (embeddings[:, 0] != 2 * labels).any():
                    problems.append("rows with the label of another")
            except Exception as error:
                problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for start in range(6, 66, 6):
            labels = np.arange(start, start + 6)
            store.batch_add(POINTS + 2 * start, labels=labels)
    finally:
        is_done.set()
        for thread in threads:
            thread.join()
    if problems:
        yield f"readers beside a writer find {problems[0]}"


@check("config")
def config_makes_such_a_store(make: Make) -> Iterator[str]:
    """`get_config`, through JSON, makes such a store."""
    config = json.loads(json.dumps(make().get_config()))
    again = type(make()).from_config(config).get_config()
    yield from differs("the config of a store made from it", again, config)
