"""Tests of indexes whose rows live elsewhere: referred to, and caught up with."""

import numpy as np
import pytest

from keras_similarity.indexer import Indexer
from keras_similarity.stores import SQLiteStore

pytestmark = pytest.mark.keras_free

ROWS = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


@pytest.fixture
def index(tmp_path):
    index = Indexer(4, "euclidean", kv_store=SQLiteStore(str(tmp_path / "rows.sqlite")))
    index.batch_add(ROWS[:20], labels=np.arange(20))
    index.save(tmp_path / "index")
    return index


def label_at(index, row):
    return index.batch_lookup(row[None], k=1).labels.item()


def test_a_filled_store_is_searched_at_once(index, tmp_path):
    other = Indexer(4, "euclidean", kv_store=SQLiteStore(str(tmp_path / "rows.sqlite")))
    assert other.searchable() == 20 and label_at(other, ROWS[7]) == 7


def test_a_loaded_index_catches_up_with_its_store(index, tmp_path):
    saved = list((tmp_path / "index").rglob("embeddings.npy"))
    assert not saved  # The rows are where they were.
    index.batch_add(ROWS[20:], labels=np.arange(20, 40))
    index.delete([3])
    index.update([5], label=55)
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    assert loaded.size() == loaded.searchable() == 39
    assert [label_at(loaded, ROWS[row]) for row in (0, 5, 30)] == [0, 55, 30]
    assert label_at(loaded, ROWS[3]) != 3


def test_rows_that_were_numbered_anew_are_searched_anew(index, tmp_path, caplog):
    index.delete([0, 1, 2])
    index.compact()
    index.batch_add(ROWS[20:30], labels=np.arange(20, 30))
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    assert "numbered anew" in caplog.text
    assert loaded.size() == loaded.search.size() == 27
    assert [label_at(loaded, ROWS[row]) for row in (3, 19, 29)] == [3, 19, 29]


def test_a_copy_of_the_store_goes_along_where_asked(index, tmp_path):
    index.save(tmp_path / "copy", copy_store=True)
    assert list((tmp_path / "copy").rglob("embeddings.npy"))
    del index
    for file in tmp_path.glob("rows.sqlite*"):
        file.unlink()
    loaded = Indexer.load(tmp_path / "copy", verbose=0)
    assert loaded.size() == 20 and label_at(loaded, ROWS[7]) == 7
