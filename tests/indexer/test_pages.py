"""Tests of lookups page by page, and of lookups at the edges."""

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, field

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 4)).astype("float32")
QUERIES = RNG.normal(size=(5, 4)).astype("float32")


@pytest.fixture(scope="module")
def index():
    index = Indexer(4, "euclidean")
    index.batch_add(ROWS, labels=np.arange(60) % 3)
    return index


CHOICES = {
    "any": {},
    "filter": {"filter": field("label") == 1},
    "labels": {"max_per_label": 7},
    "self": {"exclude_self": [3, 1, 4, 15, 9]},
}


@pytest.mark.parametrize("arguments", CHOICES.values(), ids=CHOICES)
def test_pages_go_on_where_the_last_one_ended(index, arguments):
    whole = index.batch_lookup(QUERIES, k=25, **arguments)
    for offset in (0, 10, 20):
        page = index.batch_lookup(QUERIES, k=10, offset=offset, **arguments)
        width = min(10, 25 - offset)
        part = slice(offset, offset + width)
        np.testing.assert_array_equal(page.ids[:, :width], whole.ids[:, part])
        np.testing.assert_array_equal(page.distances[:, :width], whole.distances[:, part])
        np.testing.assert_array_equal(page.labels[:, :width], whole.labels[:, part])
        assert page.ids.shape == (5, 10)
        if page[0]:
            assert page[0][0].rank == page[:1][0][0].rank == offset + 1
            assert page.to_data_frame()["rank"].min() == offset + 1


def test_a_page_past_the_end_is_empty(index):
    page = index.batch_lookup(QUERIES, k=3, offset=60)
    assert [len(row) for row in page] == [0] * 5 and page.ids.shape == (5, 3)
    last = index.single_lookup(QUERIES[0], k=5, offset=58)
    assert [neighbor.rank for neighbor in last] == [59, 60]


@pytest.mark.parametrize(
    ("offset", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_an_offset_is_a_number_from_0(index, offset, error):
    with pytest.raises(error, match="`offset` must be"):
        index.batch_lookup(QUERIES, offset=offset)


def test_lookup_is_batch_lookup(index):
    assert index.lookup(QUERIES, k=3, filter=field("label") == 2) == index.batch_lookup(
        QUERIES, k=3, filter=field("label") == 2
    )


def test_one_example_takes_the_same_choices(index):
    found = index.single_lookup(ROWS[7], k=4, exclude_self=7, max_per_label=2)
    whole = index.batch_lookup(ROWS[7:8], k=4, exclude_self=[7], max_per_label=2)
    assert found == whole[0] and 7 not in [neighbor.id for neighbor in found]


@pytest.mark.parametrize("search", ["linear", "faiss"])
def test_an_index_smaller_than_k_and_an_empty_one(search):
    index = Indexer(8, search=search)
    lookups = index.batch_lookup(np.ones((2, 8)), k=3)
    assert lookups.ids.tolist() == [[-1] * 3] * 2 and lookups[0] == []
    assert np.isnan(lookups.distances).all() and lookups.embeddings.shape[:2] == (2, 3)
    index.batch_add(np.eye(8)[:2])
    assert [len(row) for row in index.batch_lookup(np.ones((2, 8)), k=3)] == [2, 2]
    assert len(index.batch_lookup(np.ones((0, 8)), k=3)) == 0


REFUSED = {
    "too wide": (np.ones((1, 5)), ValueError, "must have 4 columns"),
    "a vector": (np.ones(4), ValueError, r"\[rows, embedding size\]"),
    "nan": ([[0, 0, 0, np.nan]], ValueError, "first in row 0"),
    "infinite": ([[0, 0, 0, -np.inf]], ValueError, "must be finite"),
    "text": ([["a"] * 4], TypeError, "real numbers"),
}


@pytest.mark.parametrize(("queries", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_embedding_is_refused(index, queries, error, message):
    for look in (index.batch_lookup, lambda q: index.range_lookup(q, 1.0)):
        with pytest.raises(error, match=message):
            look(queries)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "float64"])
def test_any_real_dtype_is_taken(dtype):
    index = Indexer(2, "euclidean")
    index.batch_add(np.array([[0, 3], [4, 0]], dtype))
    lookups = index.batch_lookup(np.array([[0, 0]], dtype), k=2)
    assert lookups.distances.tolist() == [[3.0, 4.0]]
    assert lookups.distances.dtype == np.float32 and lookups.ids.dtype == np.int64
