import functools
import json

import numpy as np
import pytest

from keras_similarity import retrieval_metrics
from keras_similarity.evaluators import evaluate, relevance
from keras_similarity.evaluators import evaluate as evaluate_function
from keras_similarity.indexer import Indexer
from keras_similarity.retrieval_metrics import (
    MapAtK,
    PrecisionAtK,
    RecallAtK,
    RetrievalMetric,
    metric_of_name,
)
from keras_similarity.search import LinearSearch
from tests.evaluators.retrieval_loops import NAMES, by_loops

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
LABELS = np.array([5, 5, 5, 9, 9, 9, 9, 9, 2, 2, 77, *RNG.integers(0, 8, 49)])
CENTERS = RNG.normal(size=(100, 6))
X = (CENTERS[LABELS] + 0.9 * RNG.normal(size=(60, 6))).astype("float32")
KEY_LABELS = RNG.integers(0, 10, 80)
KEYS = (CENTERS[KEY_LABELS] + 0.9 * RNG.normal(size=(80, 6))).astype("float32")


def mean(values):
    return np.nanmean(values)


@pytest.mark.parametrize("k", [None, 1, 4, 50])
def test_a_set_against_itself_is_the_formulas_query_by_query(k):
    result = evaluate(X, LABELS, NAMES, distance="euclidean", k=k)
    expected = by_loops(X, LABELS, k=k)
    assert list(result) == NAMES
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)
        assert result[name] == pytest.approx(mean(expected[name]), rel=1e-12)
        assert isinstance(result[name], float)
    assert result.lone == np.isnan(expected["r_precision"]).sum() > 0


@pytest.mark.parametrize("k", [None, 3])
def test_queries_against_keys(k):
    expected = by_loops(X, LABELS, KEYS, KEY_LABELS, k=k)
    against = {"key_embeddings": KEYS, "key_labels": KEY_LABELS, "distance": "euclidean"}
    result = evaluate(X, LABELS, NAMES, k=k, **against)
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)


def test_queries_among_the_keys_do_not_find_themselves():
    keys, labels = np.concatenate([KEYS, X]), np.concatenate([KEY_LABELS, LABELS])
    own = 80 + np.arange(60)
    expected = by_loops(X, LABELS, keys, labels, own=own)
    result = evaluate(
        X,
        LABELS,
        NAMES,
        key_embeddings=keys,
        key_labels=labels,
        exclude_self=own,
        distance="euclidean",
    )
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)


def test_blocks_do_not_matter(monkeypatch):
    whole = evaluate(X, LABELS, NAMES)
    module = __import__(evaluate_function.__module__, fromlist=["_QUERIES"])
    monkeypatch.setattr(module, "_QUERIES", 7)
    blocks = evaluate(X, LABELS, NAMES)
    np.testing.assert_array_equal(whole.values_by_query, blocks.values_by_query)


def test_copies_of_a_row_are_rows_of_their_own():
    """The own row is taken out by its number, even where copies hide it."""
    same = np.ones((6, 3), "float32")
    result = evaluate(same, [0, 0, 0, 1, 1, 1], ["precision_at_1"], distance="euclidean")
    # The first neighbour is row 0, or row 1 for row 0.
    assert result.per_query("precision_at_1").tolist() == [1, 1, 1, 0, 0, 0]
    # Row 5 is not among the first five; row 0 still is its nearest.
    result = evaluate(same, [0, 1, 1, 1, 1, 1], ["precision_at_1"], distance="euclidean")
    assert result.per_query("precision_at_1")[1:].tolist() == [0] * 5


def test_distances_differ():
    values = {
        distance: evaluate(X, LABELS, ["r_precision"], distance=distance)["r_precision"]
        for distance in ("cosine", "euclidean", "inner_product")
    }
    assert len(set(values.values())) == 3
    assert evaluate(X, LABELS, ["r_precision"])["r_precision"] == values["cosine"]


@pytest.mark.parametrize("search", ["linear", "auto", "object", "config"])
def test_any_engine_may_search(search):
    engine = LinearSearch("euclidean", dim=6)
    config = {"class_name": "LinearSearch", "config": engine.get_config()}
    given = {"object": engine, "config": config}.get(search, search)
    result = evaluate(X, LABELS, NAMES, distance="euclidean", search=given)
    expected = by_loops(X, LABELS)
    for name in NAMES:
        assert result[name] == pytest.approx(mean(expected[name]), rel=1e-12)


def test_an_engine_that_finds_less_is_worth_less():
    """What is not found is a miss."""

    class Forgetful(LinearSearch):
        def _find(self, queries, k, allowed):
            rows, distances = super()._find(queries, k, allowed)
            return np.where(np.arange(rows.shape[1]) < 3, rows, -1), distances

    result = evaluate(
        X, LABELS, ["true_recall@5"], search=Forgetful("cosine", 6), distance="cosine"
    )
    exact = evaluate(X, LABELS, ["true_recall@2"])
    np.testing.assert_array_equal(
        result.per_query("true_recall@5"), exact.per_query("true_recall@2")
    )


@pytest.mark.parametrize("ids", [None, [f"row {i}" for i in range(80)]])
def test_an_index(ids):
    index = Indexer(6, distance="euclidean")
    index.batch_add(KEYS, KEY_LABELS, ids=ids)
    result = evaluate(X, LABELS, NAMES, index=index)
    expected = by_loops(X, LABELS, KEYS, KEY_LABELS)
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)


def test_an_index_that_holds_the_queries_and_has_lost_rows():
    index = Indexer(6, distance="euclidean")
    ids = np.array(index.batch_add(KEYS, KEY_LABELS))
    index.delete([3, 4, 70])
    kept = np.setdiff1d(ids, [3, 4, 70])
    queries = kept[10:40]
    result = evaluate(
        KEYS[queries], KEY_LABELS[queries], NAMES, index=index, exclude_self=queries
    )
    expected = by_loops(
        KEYS[queries],
        KEY_LABELS[queries],
        KEYS[kept],
        KEY_LABELS[kept],
        own=np.searchsorted(kept, queries),
    )
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)


def test_rows_that_an_index_cannot_find_yet_are_not_missed():
    index = Indexer(6, distance="euclidean")
    index.batch_add(KEYS[:50], KEY_LABELS[:50])
    index.batch_add(KEYS[50:], KEY_LABELS[50:], build=False)
    result = evaluate(X, LABELS, NAMES, index=index)
    expected = by_loops(X, LABELS, KEYS[:50], KEY_LABELS[:50])
    for name in NAMES:
        np.testing.assert_allclose(result.per_query(name), expected[name], rtol=1e-12)


def test_macro_is_the_mean_over_classes():
    expected = by_loops(X, LABELS)["r_precision"]
    by_class = [
        mean(expected[label == LABELS])
        for label in np.unique(LABELS)
        if not np.isnan(expected[label == LABELS]).all()
    ]
    result = evaluate(X, LABELS, ["r_precision"], distance="euclidean", average="macro")
    assert result["r_precision"] == pytest.approx(np.mean(by_class), rel=1e-12)
    frame = result.per_class().dropna()
    np.testing.assert_allclose(frame["r_precision"], by_class, rtol=1e-12)
    assert frame["queries"].sum() == 60 - result.lone


def test_an_objects_own_average_counts():
    metrics = [RecallAtK(k=1, average="macro"), RecallAtK(k=1, name="micro_recall")]
    result = evaluate(X, LABELS, metrics)
    macro = evaluate(X, LABELS, ["recall@1"], average="macro")
    assert result["recall@1"] == pytest.approx(macro["recall@1"], rel=1e-12)
    assert result["recall@1"] != pytest.approx(result["micro_recall@1"], rel=1e-3)


def test_lone_queries_may_count_as_zero():
    expected = np.nan_to_num(by_loops(X, LABELS)["precision@5"])
    result = evaluate(
        X, LABELS, ["precision@5"], distance="euclidean", lone_queries="zero"
    )
    assert result["precision@5"] == pytest.approx(expected.mean(), rel=1e-12)


def test_without_anything_relevant_all_is_nan():
    result = evaluate(X[:4], [1, 2, 3, 4], NAMES)
    assert all(np.isnan(value) for value in result.values())
    assert np.isnan(result.interval("r_precision")).all()
    assert "NaN" not in result.to_json()


def test_tensorflow_similaritys_objects_are_what_an_index_says_of_them():
    """With and without the query in the index, thresholds and clipping included."""
    labels, sizes = (x.tolist() for x in np.unique(LABELS, return_counts=True))
    counts = dict(zip(labels, sizes, strict=True))
    index = Indexer(6, distance="euclidean")
    index.batch_add(X, LABELS)
    k = max(counts.values())
    metrics = [
        RecallAtK(k=3, drop_closest_lookup=True, distance_threshold=1.5),
        PrecisionAtK(k=4, drop_closest_lookup=True),
        PrecisionAtK(
            k=k, r=counts, clip_at_r=True, drop_closest_lookup=True, name="r_precision"
        ),
        MapAtK(k=k, r=counts, clip_at_r=True, drop_closest_lookup=True),
        retrieval_metrics.BNDCG(k=5, drop_closest_lookup=True),
    ]
    expected = index.evaluate_retrieval(X, LABELS, metrics, verbose=0)
    options = {"distance": "euclidean", "lone_queries": "zero"}
    result = evaluate(X, LABELS, metrics, **options)
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, rel=1e-12), name
    # Against keys that hold the queries, the nearest is dropped unless ids say which.
    keys = {"key_embeddings": X, "key_labels": LABELS}
    again = evaluate(X, LABELS, metrics[:2], **keys, **options)
    assert dict(again) == pytest.approx({n: expected[n] for n in again}, rel=1e-12)


def test_clipping_at_r_needs_no_counts():
    metrics = [PrecisionAtK(k=9, clip_at_r=True), MapAtK(k=9, clip_at_r=True)]
    result = evaluate(X, LABELS, metrics)
    expected = evaluate(X, LABELS, ["r_precision", "map@r"], k=9)
    assert result["precision"] == pytest.approx(expected["r_precision"])
    assert result["map"] == pytest.approx(expected["map@r"])


def test_a_users_metric():
    class Last(RetrievalMetric):
        def per_query(self, query_labels, match_mask):
            return match_mask[:, self.k - 1].astype(float)

    result = evaluate(X, LABELS, [Last("last", "last@k", k=3)], distance="euclidean")
    found = by_loops(X, LABELS)
    assert 0 < result["last@3"] < 1
    assert set(result) == {"last@3"} and found


# Several labels a row, and grades.

HOT = RNG.integers(0, 2, (40, 5))
GRADED = X[:40]


def jaccard(labels, key_labels):
    shared = labels[:, None, :] & key_labels[None, :, :]
    either = labels[:, None, :] | key_labels[None, :, :]
    return shared.sum(axis=2) / np.maximum(either.sum(axis=2), 1)


def graded_ndcg_by_loops(x, grades, k):
    values = []
    for i, query in enumerate(x):
        order = [j for j in np.argsort(((x - query) ** 2).sum(axis=1)) if j != i]
        gains = [grades[i, j] for j in order]
        best = sorted(gains, reverse=True)
        dcg, ideal = (
            sum(g / np.log2(place + 2) for place, g in enumerate(each[:k]))
            for each in (gains, best)
        )
        values.append(dcg / ideal if ideal else np.nan)
    return values


def test_grades():
    grades = jaccard(HOT, HOT)
    result = evaluate(
        GRADED,
        HOT,
        ["graded_ndcg@7", "precision@3", "r_precision"],
        pairs=jaccard,
        distance="euclidean",
    )
    expected = graded_ndcg_by_loops(GRADED, grades, k=7)
    np.testing.assert_allclose(result.per_query("graded_ndcg@7"), expected, rtol=1e-9)
    assert result.labels is None and result.sampling.unit == "queries"


def test_pairs_of_labels_are_labels():
    result = evaluate(
        X, LABELS, NAMES, pairs=lambda q, m: q[:, None] == m, distance="euclidean"
    )
    expected = evaluate(X, LABELS, NAMES, distance="euclidean")
    np.testing.assert_array_equal(result.values_by_query, expected.values_by_query)


def test_pairs_in_blocks(monkeypatch):
    whole = evaluate(GRADED, HOT, ["graded_ndcg@7"], pairs=jaccard)
    monkeypatch.setattr(relevance, "_PAIRS", 100)
    asked = []

    def pairs(labels, key_labels):
        asked.append(len(labels))
        return jaccard(labels, key_labels)

    blocks = evaluate(GRADED, HOT, ["graded_ndcg@7"], pairs=pairs)
    assert dict(blocks) == dict(whole) and min(asked) < 40


def test_what_ndcg_is_asked_of_grades():
    with pytest.raises(ValueError, match=r"'ndcg@5'.*'graded_ndcg@5'.*'bndcg@5'"):
        evaluate(GRADED, HOT, ["ndcg@5"], pairs=jaccard)
    assert evaluate(GRADED, HOT, ["bndcg@5"], pairs=jaccard)["bndcg@5"] > 0


# Results.


def test_groups():
    camera = np.array(["north", "south"])[np.arange(60) % 2]
    result = evaluate(X, LABELS, ["r_precision", "recall@1"], groups={"camera": camera})
    frame = result.per_group("camera")
    assert list(frame) == ["camera", "queries", "metric", "value", "low", "high"]
    values = result.per_query("r_precision")
    for name in ("north", "south"):
        row = frame[(frame["camera"] == name) & (frame["metric"] == "r_precision")]
        assert row["value"].item() == pytest.approx(mean(values[camera == name]))
        assert row["low"].item() < row["value"].item() < row["high"].item()
    assert result.per_group().equals(frame)


def test_table_frame_json_and_picture(tmp_path):
    result = evaluate(X, LABELS)
    frame = result.to_data_frame()
    assert list(frame["metric"]) == list(result)
    assert frame["value"].tolist() == list(result.values())
    low, high = result.interval("r_precision")
    assert low < result["r_precision"] < high
    loaded = json.loads(result.to_json(tmp_path / "result.json"))
    assert json.loads((tmp_path / "result.json").read_text()) == loaded
    assert loaded["metrics"]["r_precision"]["value"] == result["r_precision"]
    assert loaded["metrics"]["r_precision"]["low"] == low
    assert loaded["k"] == result.k and loaded["lone_queries"] == result.lone
    assert f"{result['r_precision']:.4f}" in str(result)
    assert f"{high:.4f}" in result._repr_html_()
    with pytest.raises(KeyError, match="was not evaluated"):
        result["auroc@0"]


def test_names():
    for name, other in {
        "precision_at_1": "precision@1",
        "recall_at_5": "recall@5",
        "map@r": "mean_average_precision_at_r",
        "MRR": "mean_reciprocal_rank",
        "precision_at_r": "r_precision",
        "mrr@3": "mean_reciprocal_rank@3",
        "ndcg@4": "bndcg@4",
    }.items():
        result = evaluate(X, LABELS, [name, other])
        assert list(result) == [name, other]
        assert result[name] == result[other]
    assert metric_of_name("nothing") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["nothing@3"]}, r"`metrics` must hold.*'nothing@3'"),
        ({"metrics": "recall@1"}, "`metrics` must be a list"),
        ({"metrics": []}, "`metrics` must name"),
        ({"metrics": [RecallAtK(k=1), RecallAtK(k=1, average="macro")]}, "two different"),
        ({"labels": LABELS[:5]}, "`labels` must hold one label"),
        ({"labels": np.ones((60, 3), int)}, "`pairs` must say"),
        ({"key_embeddings": KEYS}, "belong together"),
        ({"key_embeddings": KEYS, "key_labels": KEY_LABELS[1:]}, "`key_labels`"),
        ({"key_embeddings": KEYS[:, 1:], "key_labels": KEY_LABELS}, "`key_embeddings`"),
        ({"k": 0}, "`k` must be at least 1"),
        ({"average": "mean"}, "`average` must be"),
        ({"lone_queries": "drop"}, "`lone_queries` must be"),
        ({"sampling_unit": "persons"}, "`sampling_unit` must be one of queries, classes"),
        ({"groups": {"a": [1, 2]}}, "`groups` must hold"),
        ({"confidence": 95}, "`confidence` must be"),
        ({"exclude_self": [1, 2]}, "`exclude_self` must hold"),
        ({"search": LinearSearch("euclidean", 6)}, "`search` must have the distance"),
        ({"search": LinearSearch("cosine", 5)}, "`search` must have"),
        ({"embeddings": np.full((60, 6), np.nan)}, "`embeddings` must be finite"),
        ({"pairs": lambda a, b: np.ones((2, 2))}, "`pairs` must give"),
        ({"pairs": lambda a, b: -np.ones((len(a), len(b)))}, "`pairs` must give grades"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        functools.partial(evaluate, **{"embeddings": X, "labels": LABELS, **arguments})()


def test_an_engine_with_rows_is_refused():
    engine = LinearSearch("cosine", 6)
    engine.batch_add(KEYS, np.arange(80))
    with pytest.raises(ValueError, match="`search` must be empty"):
        evaluate(X, LABELS, search=engine)
    with pytest.raises(TypeError, match="`search` must be a search engine"):
        evaluate(X, LABELS, search=3)
    with pytest.raises(TypeError, match="`index` must be"):
        evaluate(X, LABELS, index=engine)
    with pytest.raises(ValueError, match="`index` must hold something"):
        evaluate(X, LABELS, index=Indexer(6))
    index = Indexer(6)
    index.batch_add(KEYS, KEY_LABELS)
    with pytest.raises(ValueError, match="a distance of its own"):
        evaluate(X, LABELS, index=index, distance="euclidean")
