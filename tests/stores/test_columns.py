"""Tests of columns of metadata."""

import datetime

import numpy as np
import pandas as pd
import pytest

from keras_similarity.stores import MemoryStore

pytestmark = pytest.mark.keras_free

POINTS = np.eye(3, dtype="float32")
NOON = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
EAST = datetime.timezone(datetime.timedelta(hours=2))

VALUES = {
    "bool": [True, None, False],
    "int64": [2**60 + 1, None, -3],
    "float64": [1.5, None, 2],
    "string": ["a", None, ""],
    "binary": [b"a", None, b""],
    "timestamp": [NOON, None, datetime.datetime(2024, 1, 1, 15, tzinfo=EAST)],
}


@pytest.mark.parametrize("type_", VALUES)
def test_values_come_back_with_their_type(type_):
    store = MemoryStore()
    store.batch_add(POINTS, metadata={"x": VALUES[type_]})
    column = store.columns["x"]
    assert column.type == type_ and column.is_present.tolist() == [True, False, True]
    expected = list(VALUES[type_])
    if type_ == "timestamp":  # In UTC.
        expected = [
            datetime.datetime(2024, 1, 1, 12),
            None,
            datetime.datetime(2024, 1, 1, 13),
        ]
    assert column.to_list() == expected


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": np.array([1, 2, 3]), "y": "same"},
        [{"x": 1, "y": "same"}, {"x": 2, "y": "same"}, {"x": 3, "y": "same"}],
        pd.DataFrame({"x": [1, 2, 3], "y": "same"}),
    ],
    ids=["mapping", "rows", "frame"],
)
def test_metadata_may_come_in_three_forms(metadata):
    store = MemoryStore()
    store.batch_add(POINTS, metadata=metadata)
    assert store.columns["x"].to_list() == [1, 2, 3]
    assert store.columns["y"].to_list() == ["same"] * 3


def test_columns_may_come_late_and_stay_away():
    store = MemoryStore()
    store.batch_add(POINTS)
    store.batch_add(POINTS, metadata={"x": [1, 2, 3]})
    store.batch_add(POINTS, metadata={"y": [None, "b", None], "x": None})
    store.batch_add(POINTS, metadata={"z": None})  # Nobody knows its type.
    assert store.columns["x"].to_list() == [None] * 3 + [1, 2, 3] + [None] * 6
    assert store.columns["y"].to_list() == [None] * 7 + ["b"] + [None] * 4
    assert "z" not in store.columns


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"x": [1, 2]}, ValueError, r"`metadata\['x'\]` must hold one value a row, 3"),
        ({"x": [1, "a", 2]}, TypeError, "values of one type.*Received: int, str"),
        ({"x": [[1], [2], [3]]}, TypeError, "values of one type"),
        (
            {"known": ["a", "b", "c"]},
            TypeError,
            "of the type int64, as the values before",
        ),
        ({"known": np.array([0.5, 1, 2])}, TypeError, "of the type int64"),
        ({"label": [1, 2, 3]}, ValueError, "'label': that name is taken"),
        ({3: [1, 2, 3]}, TypeError, "must have names"),
        ([{"x": 1}], ValueError, "one mapping a row, 3"),
        ("text", TypeError, "a mapping of names"),
    ],
)
def test_wrong_metadata_is_refused_and_adds_nothing(metadata, error, message):
    store = MemoryStore()
    store.batch_add(POINTS, metadata={"known": [1, 2, 3]})
    with pytest.raises(error, match=message):
        store.batch_add(POINTS, metadata=metadata)
    assert store.size() == 3 and list(store.columns) == ["label", "known"]


def test_saved_and_loaded(tmp_path):
    store = MemoryStore()
    store.batch_add(POINTS, ids=["p", "q", "r"], metadata=VALUES)
    store.save(tmp_path / "store")
    loaded = MemoryStore()
    assert loaded.load(tmp_path / "store") == 3
    assert loaded.rows_of(np.array(["r", "?"], object)).tolist() == [2, -1]
    for name, column in store.columns.items():
        assert loaded.columns[name].type == column.type
        assert loaded.columns[name].to_list() == column.to_list()
