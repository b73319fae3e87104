"""Lookups as columns and as lists of `Lookup`."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from keras_similarity.types import NO_ID, NO_LABEL, CalibrationResults, Lookup, Lookups

pytestmark = pytest.mark.keras_free

EMBEDDINGS = np.arange(12, dtype="float32").reshape(4, 3)
DATA = ["a", None, np.array([7, 8]), {"d": 1}]


def fetch(ids):
    return EMBEDDINGS[ids], [DATA[i] for i in ids]


@pytest.fixture
def lookups():
    """Three queries, two neighbours at most; the last found none."""
    return Lookups(
        ids=np.array([[2, 0], [3, NO_ID], [NO_ID, NO_ID]]),
        distances=np.array([[0.25, 0.5], [0.75, np.nan], [np.nan, np.nan]], "float32"),
        labels=np.array([[5, NO_LABEL], [6, NO_LABEL], [NO_LABEL, NO_LABEL]]),
        records=fetch,
    )


def test_a_row_reads_as_a_list_of_lookups(lookups):
    first, second = lookups[0]
    assert (first.rank, first.distance, first.label) == (1, 0.25, 5)
    assert (second.rank, second.distance, second.label) == (2, 0.5, None)
    np.testing.assert_array_equal(first.embedding, [6, 7, 8])
    assert second.data == "a"
    assert isinstance(first.distance, float)
    assert isinstance(first.label, int)


def test_it_reads_as_a_list_of_lists(lookups):
    assert len(lookups) == 3
    assert [len(row) for row in lookups] == [2, 1, 0]
    assert lookups[-1] == []
    assert lookups[-2][0].data == {"d": 1}
    assert lookups == [lookups[0], lookups[1], lookups[2]]
    assert lookups != [lookups[0]]
    with pytest.raises(IndexError):
        lookups[3]


def test_a_slice_is_lookups_again(lookups):
    part = lookups[1:]
    assert isinstance(part, Lookups)
    assert part == [lookups[1], []]


def test_embeddings_come_as_one_array_with_zeros_where_nothing_was_found(lookups):
    expected = np.zeros((3, 2, 3))
    expected[0, 0], expected[0, 1], expected[1, 0] = EMBEDDINGS[[2, 0, 3]]
    np.testing.assert_array_equal(lookups.embeddings, expected)


def test_data_come_row_by_row(lookups):
    first, second, third = lookups.data
    np.testing.assert_array_equal(first[0], [7, 8])
    assert first[1:] == ["a"]
    assert second == [{"d": 1}]
    assert third == []


def test_data_frame_has_a_row_for_each_neighbour(lookups):
    frame = lookups.to_data_frame()
    assert frame.columns.tolist() == ["query", "rank", "id", "distance", "label"]
    assert frame["query"].tolist() == [0, 0, 1]
    assert frame["rank"].tolist() == [1, 2, 1]
    assert frame["id"].tolist() == [2, 0, 3]
    assert frame["distance"].tolist() == [0.25, 0.5, 0.75]
    assert frame["label"].isna().tolist() == [False, True, False]
    assert frame["label"].dropna().tolist() == [5, 6]


def test_reading_columns_fetches_no_records(lookups):
    def refuse(ids):
        raise RuntimeError("fetched")

    columns = Lookups(lookups.ids, lookups.distances, lookups.labels, refuse)
    assert columns.is_found.tolist() == [[True, True], [True, False], [False, False]]
    assert len(columns.to_data_frame()) == 3
    assert "3 queries, 2 neighbours" in repr(columns)
    with pytest.raises(RuntimeError, match="fetched"):
        columns[0]


def test_an_arrow_table_has_a_row_for_each_neighbour(lookups):
    pytest.importorskip("pyarrow")
    table = lookups.to_arrow()
    assert table.column_names == ["query", "rank", "id", "distance", "label"]
    assert table.to_pydict() == {
        "query": [0, 0, 1],
        "rank": [1, 2, 1],
        "id": [2, 0, 3],
        "distance": [0.25, 0.5, 0.75],
        "label": [5, None, 6],
    }
    assert [str(kind) for kind in table.schema.types[2:]] == ["int64", "float", "int64"]


def test_arrow_holds_strings_and_metadata():
    pytest.importorskip("pyarrow")
    columns = {"price": [1.5, None], "when": ["a", "b"]}
    lookups = Lookups(
        ids=np.array([["x", "y", None]], object),
        distances=np.array([[0.5, 1.0, np.nan]], "float32"),
        labels=np.array([[1, 2, NO_LABEL]]),
        records=fetch,
        rows=np.array([[0, 1, NO_ID]]),
        metadata_of=lambda rows: columns,
        offset=10,
    )
    table = lookups.to_arrow()
    assert table["id"].to_pylist() == ["x", "y"] and table["rank"].to_pylist() == [11, 12]
    assert table["price"].to_pylist() == [1.5, None]
    assert table["price"].null_count == 1
    assert table.to_pandas()["when"].tolist() == ["a", "b"]
    assert lookups[:1].to_arrow() == table


def test_arrow_without_pyarrow_says_what_to_install(lookups, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"keras-similarity\[arrow\]"):
        lookups.to_arrow()


def test_it_prints_its_first_neighbours(lookups):
    lines = [line.split() for line in str(lookups).splitlines()]
    assert lines[1:] == [
        ["query", "rank", "id", "distance", "label"],
        ["0", "1", "2", "0.25", "5"],
        ["0", "2", "0", "0.5"],
        ["1", "1", "3", "0.75", "6"],
    ]
    many = Lookups(
        ids=np.zeros((50, 3), "int64"),
        distances=np.zeros((50, 3), "float32"),
        labels=np.zeros((50, 3), "int64"),
        records=fetch,
    )
    assert len(str(many).splitlines()) == 12 and "150 found, the first 10" in str(many)
    assert len(str(lookups[2:]).splitlines()) == 1


def test_a_notebook_shows_a_table_of_it():
    lookups = Lookups(
        ids=np.array([["<b>"]], object),
        distances=np.array([[0.5]], "float32"),
        labels=np.array([[3]]),
        records=fetch,
        rows=np.array([[0]]),
    )
    table = ElementTree.fromstring(lookups._repr_html_())
    cells = [cell.text for cell in table.iter("td")]
    assert cells == ["0", "1", "<b>", "0.5", "3"]
    assert [cell.text for cell in table.iter("th")][2] == "id"


def test_lookups_are_equal_by_value():
    first = Lookup(1, 0.5, 3, np.ones(2), np.arange(3))
    assert first == Lookup(1, 0.5, 3, np.ones(2), np.arange(3))
    assert first != Lookup(1, 0.5, 3, np.zeros(2), np.arange(3))
    assert first != Lookup(1, 0.5, 3, np.ones(2), np.arange(4))
    assert first != Lookup(2, 0.5, 3, np.ones(2), np.arange(3))
    assert first != "another thing"


def test_calibration_results_hold_cutpoints_and_thresholds():
    results = CalibrationResults(
        cutpoints={"optimal": {"name": "optimal", "distance": 0.1}},
        thresholds={"distance": [0.1]},
    )
    assert results.cutpoints["optimal"]["distance"] == 0.1
    assert results.thresholds["distance"] == [0.1]
