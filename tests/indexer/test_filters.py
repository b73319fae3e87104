"""Tests of lookups that may find some of the rows only."""

import operator

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, field
from keras_similarity.search import FaissSearch

pytestmark = pytest.mark.keras_free

ROWS = 400
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(ROWS, 3)).astype("float32")
LABELS = [None if row % 7 == 0 else row % 5 for row in range(ROWS)]
PRICES = [None if row % 11 == 0 else float(row % 30) for row in range(ROWS)]
NAMES = [None if row % 13 == 0 else "abc"[row % 3] for row in range(ROWS)]
FLAGS = RANDOM.random(ROWS) < 0.5
QUERIES = RANDOM.normal(size=(5, 3)).astype("float32")


@pytest.fixture(scope="module")
def index():
    index = Indexer(3, "euclidean")
    metadata = {"price": PRICES, "name": NAMES, "flag": FLAGS}
    index.batch_add(POINTS, labels=LABELS, metadata=metadata)
    return index


def known(row, *columns):
    return all(column[row] is not None for column in columns)


CONDITIONS = {
    "label": (field("label") == 3, lambda r: LABELS[r] == 3),
    "not label": (field("label") != 3, lambda r: known(r, LABELS) and LABELS[r] != 3),
    "~label": (~(field("label") == 3), lambda r: known(r, LABELS) and LABELS[r] != 3),
    "in": (field("label").is_in([1, 4]), lambda r: LABELS[r] in (1, 4)),
    "null": (field("label").is_null(), lambda r: LABELS[r] is None),
    "present": (~field("price").is_null(), lambda r: PRICES[r] is not None),
    "string": (field("name") == "b", lambda r: NAMES[r] == "b"),
    "string order": (field("name") > "a", lambda r: NAMES[r] in ("b", "c")),
    "strings": (field("name").is_in(["a", "c"]), lambda r: NAMES[r] in ("a", "c")),
    "flag": (field("flag") == True, lambda r: FLAGS[r]),  # noqa: E712
    "and": (
        (field("price") < 10) & (field("name") == "a"),
        lambda r: known(r, PRICES) and PRICES[r] < 10 and NAMES[r] == "a",
    ),
    "or": (
        (field("price") < 3) | (field("name") == "a"),
        lambda r: (known(r, PRICES) and PRICES[r] < 3) or NAMES[r] == "a",
    ),
    "not and": (
        ~((field("price") < 10) & (field("name") == "a")),
        lambda r: (
            (known(r, PRICES) and PRICES[r] >= 10)
            or (known(r, NAMES) and NAMES[r] != "a")
        ),
    ),
    "few": (field("price") == 29.0, lambda r: PRICES[r] == 29.0),
    "none": (field("price") > 100, lambda r: False),
    "all": (field("price").is_null() | ~field("price").is_null(), lambda r: True),
}
for name, compare in (("<=", operator.le), (">=", operator.ge), ("<", operator.lt)):
    CONDITIONS[name] = (
        compare(field("price"), 12),
        lambda r, compare=compare: known(r, PRICES) and compare(PRICES[r], 12),
    )


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_nearest_of_the_rows_that_fit_are_found(index, name):
    condition, fits = CONDITIONS[name]
    allowed = [row for row in range(ROWS) if fits(row)]
    found = index.batch_lookup(QUERIES, k=6, filter=condition)
    for query, ids, distances in zip(QUERIES, found.ids, found.distances, strict=True):
        exact = np.linalg.norm(POINTS[allowed] - query, axis=1)
        order = np.argsort(exact, kind="stable")[:6]
        expected = np.array(allowed, int)[order].tolist()
        assert ids[ids >= 0].tolist() == expected
        np.testing.assert_allclose(distances[: len(order)], exact[order], rtol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_an_approximate_engine_loses_nothing_by_a_filter(share):
    random = np.random.default_rng(1)
    centers = random.normal(size=(50, 16))
    points = centers[random.integers(0, 50, 6000)] + 0.3 * random.normal(size=(6000, 16))
    engine = FaissSearch("cosine", 16, m=4, nbits=5, nlist=32, nprobe=8)
    approximate, exact = Indexer(16, "cosine", search=engine), Indexer(16, "cosine")
    draws = random.random(6000)
    for each in (approximate, exact):
        each.batch_add(points, metadata={"draw": draws})
    assert engine.is_trained
    queries = points[:100] + 0.1 * random.normal(size=(100, 16))

    def recall(condition):
        found, true = (
            each.batch_lookup(queries, k=5, filter=condition).ids
            for each in (approximate, exact)
        )
        number = np.count_nonzero(true >= 0)
        hits = (found[:, :, None] == true[:, None, :]) & (true >= 0)[:, None, :]
        return np.count_nonzero(hits.any(axis=1)) / number

    assert recall(field("draw") < share) >= recall(None) - 0.02


def test_no_query_finds_itself(index):
    rows = np.array([3, 4, 399])
    lookups = index.batch_lookup(POINTS[rows], k=5, exclude_self=rows)
    plain = index.batch_lookup(POINTS[rows], k=6)
    assert (plain.ids[:, 0] == rows).all()
    assert lookups.ids.tolist() == plain.ids[:, 1:].tolist()
    # By id, not by place: one that is not indexed excludes nothing.
    others = index.batch_lookup(POINTS[rows], k=5, exclude_self=[1000, 1001, 1002])
    assert others.ids.tolist() == plain.ids[:, :5].tolist()
    with pytest.raises(ValueError, match="`exclude_self` must hold one id a query, 3"):
        index.batch_lookup(POINTS[rows], exclude_self=[1])


def test_at_most_so_many_of_a_label(index):
    lookups = index.batch_lookup(QUERIES, k=8, max_per_label=1)
    whole = index.batch_lookup(QUERIES, k=ROWS)
    for query in range(len(QUERIES)):
        expected, seen = [], set()
        for id_, label in zip(whole.ids[query], whole[query], strict=True):
            if label.label is None or label.label not in seen:
                seen.add(label.label)
                expected.append(int(id_))
        assert lookups.ids[query].tolist() == expected[:8]
    with pytest.raises(ValueError, match="`max_per_label`"):
        index.batch_lookup(QUERIES, max_per_label=0)


def test_filter_and_self_and_labels_together(index):
    condition = field("price") < 15
    rows = np.array([1, 2])
    lookups = index.batch_lookup(
        POINTS[rows], k=3, filter=condition, exclude_self=rows, max_per_label=2
    )
    assert (lookups.ids != rows[:, None]).all()
    assert all(PRICES[id_] < 15 for id_ in lookups.ids.ravel())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: field("cost") < 3,
            ValueError,
            "label, price, name, flag. Received: 'cost'",
        ),
        (lambda: field("price") < "3", TypeError, "type float64 cannot be compared"),
        (lambda: field("label") == True, TypeError, "type int64 cannot"),  # noqa: E712
        (lambda: field("name").is_in([1]), TypeError, "type string cannot"),
        (lambda: field("price") == None, TypeError, "is_null"),  # noqa: E711
        (lambda: "price < 3", TypeError, "`filter` must be a condition"),
        (lambda: (field("price") < 3) and (field("price") > 1), TypeError, "no truth"),
        (lambda: (field("price") < 3) & 1, TypeError, "with a filter only"),
    ],
)
def test_wrong_conditions_are_refused(index, make, error, message):
    with pytest.raises(error, match=message):
        index.batch_lookup(QUERIES, filter=make())


def test_metadata_comes_back(index):
    lookups = index.batch_lookup(POINTS[[8, 11]], k=1)
    assert lookups.metadata == {
        "price": [[8.0], [None]],
        "name": [["c"], ["c"]],
        "flag": [[bool(FLAGS[8])], [bool(FLAGS[11])]],
    }
    frame = lookups.to_data_frame()
    assert frame["name"].tolist() == ["c", "c"]
    assert index.to_data_frame(2)["name"].tolist() == [None, "b"]


@pytest.mark.parametrize("distance", ["euclidean", "inner_product"])
@pytest.mark.parametrize("limit", [-10.0, 0.3, 1.5, 100.0])
def test_all_within_a_distance_are_found(distance, limit):
    index = Indexer(3, distance)
    index.batch_add(POINTS, labels=LABELS)
    lookups = index.range_lookup(QUERIES, limit, filter=~(field("label") == 1))
    for query, ids in zip(QUERIES, lookups.ids, strict=True):
        if distance == "euclidean":
            fits = np.linalg.norm(POINTS - query, axis=1) <= limit
        else:
            fits = POINTS @ query >= limit
        expected = [r for r in np.flatnonzero(fits) if LABELS[r] not in (1, None)]
        assert sorted(ids[ids >= 0].tolist()) == expected
    with pytest.raises(ValueError, match="`max_distance` must be a number"):
        index.range_lookup(QUERIES, np.nan)


def test_no_row_is_within_a_distance_of_nothing():
    lookups = Indexer(3, "euclidean").range_lookup(QUERIES, 1.0)
    assert lookups.ids.shape == (5, 0) and list(lookups) == [[]] * 5
