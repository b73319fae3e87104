"""Tests of the index."""

import json
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from keras_similarity.classification_metrics import (
    F1Score,
    NegativePredictiveValue,
    make_classification_metric,
)
from keras_similarity.distances import CosineDistance
from keras_similarity.evaluators import MemoryEvaluator
from keras_similarity.indexer import Indexer
from keras_similarity.matchers import MatchNearest
from keras_similarity.retrieval_metrics import MapAtK, RecallAtK
from keras_similarity.search import FaissSearch, LinearSearch
from keras_similarity.stores import MemoryStore
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

# On a line, so that distances can be read off.
PLACES = np.array([[0.0], [1.0], [10.0], [11.0], [20.0]], "float32")
LABELS = [1, 1, 2, 2, 3]
DATA = ["a", "b", "c", "d", "e"]


def line(distance="manhattan", **arguments):
    index = Indexer(1, distance=distance, **arguments)
    index.batch_add(PLACES, labels=LABELS, data=DATA)
    return index


def calibrated(**arguments):
    """Queries at 0.5, 1.5 ... from a row; the last is nearest to a wrong class."""
    index = line()
    index.calibrate(
        [[-0.5], [9.0], [22.0], [6.5]],
        [1, 2, 3, 1],
        **{"thresholds_targets": {"half": 0.5}, "verbose": 0, **arguments},
    )
    return index


# Adding and looking up.


def test_neighbours_come_with_label_data_and_embedding():
    index = line()
    first, second = index.single_lookup([[9.0]], k=2)
    assert (first.rank, first.distance, first.label, first.data) == (1, 1.0, 2, "c")
    assert (second.rank, second.distance, second.label, second.data) == (2, 2.0, 2, "d")
    assert first.embedding.tolist() == [10.0] and type(first.distance) is float
    assert index.single_lookup([9.0], k=2) == [first, second]
    lookups = index.batch_lookup([[9.0], [0.0]], k=2)
    assert lookups[0] == [first, second]
    assert lookups.ids.tolist() == [[2, 3], [0, 1]]
    assert lookups.labels.tolist() == [[2, 2], [1, 1]]
    assert lookups.distances.tolist() == [[1, 2], [0, 1]]
    assert lookups.data == [["c", "d"], ["a", "b"]]


def test_ids_count_on_and_labels_may_be_missing():
    index = line()
    assert index.add([[50.0]]) == 5
    assert index.add([51.0], label=np.int64(9), data={"x": 1}) == 6
    assert index.batch_add([[52.0], [53.0]], labels=[None, 4]) == [7, 8]
    assert index.size() == 9
    lookups = index.batch_lookup([[50.0]], k=4)
    assert lookups.labels.tolist() == [[NO_LABEL, 9, NO_LABEL, 4]]
    assert [lookup.label for lookup in lookups[0]] == [None, 9, None, 4]


def test_fewer_rows_than_k_and_an_empty_index():
    index = line()
    lookups = index.batch_lookup([[0.0]], k=7)
    assert lookups.ids.shape == (1, 7) and len(lookups[0]) == 5
    empty = Indexer(1)
    assert list(empty.batch_lookup(PLACES, k=3)) == [[]] * 5
    assert empty.single_lookup([[1.0]]) == []


def test_lookups_outlive_a_reset():
    index = line()
    lookups = index.batch_lookup([[9.0]], k=1)
    index.reset()
    index.batch_add(np.full((5, 1), 7.0), data="vwxyz")
    assert lookups.data == [["c"]] and lookups[0][0].embedding.tolist() == [10.0]


def test_rows_without_build_wait_for_the_next_build():
    index = line()
    index.add([[30.0]], data="f", build=False)
    index.batch_add([[31.0]], data=["g"], build=False)
    assert index.size() == 7
    assert index.single_lookup([[30.0]], k=1)[0].data == "e"
    index.add([[32.0]], data="h")
    assert [n.data for n in index.single_lookup([[30.0]], k=3)] == ["f", "g", "h"]
    index.add([[33.0]], data="i", build=False)
    index.build_index()
    assert index.single_lookup([[33.0]], k=1)[0].data == "i"


def test_an_index_of_a_filled_store():
    store = MemoryStore()
    store.batch_add(PLACES, labels=LABELS)
    index = Indexer(1, "manhattan", kv_store=store)
    assert index.single_lookup([[9.0]], k=1)[0].label == 2
    index = Indexer(1, "manhattan", kv_store=store, build=False)
    with pytest.raises(IndexError, match=r"build_index\(\)"):
        index.evaluate_retrieval([[9.0]], [2], [RecallAtK(k=1)])
    index.build_index()
    assert index.single_lookup([[9.0]], k=1)[0].label == 2


BAD = {
    "nan": ({"predictions": [[np.nan]]}, ValueError, "`predictions` must be finite"),
    "long": ({"predictions": [[1e19]]}, ValueError, "overflow"),
    "width": ({"predictions": [[1.0, 2.0]]}, ValueError, "must have 1 columns"),
    "labels": ({"labels": [1, 2]}, ValueError, "one label a row"),
    "data": ({"data": [1, 2]}, ValueError, "one item a row"),
}


@pytest.mark.parametrize(("arguments", "error", "match"), BAD.values(), ids=BAD)
def test_bad_rows_change_nothing(arguments, error, match):
    index = line()
    with pytest.raises(error, match=match):
        index.batch_add(**{"predictions": [[1.0]], **arguments})
    assert index.size() == index.search.size() == 5


def test_one_example_must_be_one():
    with pytest.raises(ValueError, match="`prediction` must be one example"):
        line().add(PLACES)
    with pytest.raises(ValueError, match="`prediction` must be one example"):
        line().single_lookup(PLACES)


# Which output is the embedding.

A, B = np.zeros((2, 1)), np.ones((2, 1))
HEADS = {
    "an array": (None, A, 0),
    "an array, as output 0": (0, B, 1),
    "nested lists": (None, A.tolist(), 0),
    "nested lists, as output 0": (0, B.tolist(), 1),
    "a list": (1, [A, B], 1),
    "a tuple": (0, (A, B), 0),
    "a list of one": (0, [B], 1),
    "lists of lists": (1, [A.tolist(), B.tolist()], 1),
    "the first": (None, [A, B], 0),
    "a dict": ("b", {"a": A, "b": B}, 1),
    "the first of a dict": (None, {"a": A, "b": B}, 0),
    "the first in the alphabet": (None, {"b": B, "a": A}, 0),
    "rows as arrays": (0, list(B), 1),
}


@pytest.mark.parametrize(("output", "predictions", "value"), HEADS.values(), ids=HEADS)
def test_embedding_output_selects(output, predictions, value):
    index = Indexer(1, "euclidean", embedding_output=output)
    index.batch_add(predictions)
    assert index.size() == 2
    assert index.to_data_frame()["embeddings"][1].tolist() == [value]


@pytest.mark.parametrize(
    ("output", "predictions"),
    [(2, [A, B]), (1, A), ("c", {"a": A}), ("a", [A, B]), (0, {"a": A})],
)
def test_an_output_that_is_not_there_is_named(output, predictions):
    with pytest.raises(ValueError, match=f"embedding_output={output!r}"):
        Indexer(1, embedding_output=output).batch_add(predictions)


# Construction.

WRONG = {
    "evaluator": ({"evaluator": "redis"}, "`evaluator` must be 'memory' or an `Eval"),
    "evaluator type": ({"evaluator": 3}, "`evaluator` must be 'memory'"),
    "search": ({"search": "nms"}, "Unknown search engine"),
    "store": ({"kv_store": "nms"}, "Unknown store"),
    "distance": ({"distance": "nms"}, "Unknown distance"),
    "output": ({"embedding_output": -1}, "`embedding_output` must be"),
    "buffer": ({"stat_buffer_size": 0}, "`stat_buffer_size` must be at least 1"),
    "other distance": ({"search": LinearSearch("l2", 4)}, "must have the index' dist"),
    "other size": ({"search": LinearSearch("cosine", 3)}, "must have the index' dist"),
}


@pytest.mark.parametrize(("arguments", "match"), WRONG.values(), ids=WRONG)
def test_wrong_parts_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Indexer(4, **arguments)


def test_parts_that_do_not_fit_each_other_are_refused():
    store, search = MemoryStore(), LinearSearch("cosine", 4)
    store.add(np.ones(3))
    with pytest.raises(ValueError, match="`kv_store` must hold embeddings of size 4"):
        Indexer(4, kv_store=store)
    search.add(np.ones(4), 0)
    with pytest.raises(ValueError, match="`search` must not hold rows"):
        Indexer(4, search=search)


def test_parts_as_objects_and_configs():
    search = FaissSearch(CosineDistance(name="mine"), 8)
    evaluator = MemoryEvaluator()
    index = Indexer(8, search=search, kv_store=MemoryStore(), evaluator=evaluator)
    assert index.search is search and index.evaluator is evaluator
    config = {"class_name": "LinearSearch", "config": {"distance": "cosine", "dim": 8}}
    assert isinstance(Indexer(8, search=config).search, LinearSearch)


# Judging.


def test_evaluate_retrieval():
    index = line()
    values = index.evaluate_retrieval(
        [[0.4], [6.0], [10.6]], [1, 1, 2], [RecallAtK(k=1), RecallAtK(k=3), MapAtK(k=2)]
    )
    assert values == pytest.approx({"recall@1": 2 / 3, "recall@3": 1, "map@2": 0.75})
    everything = index.evaluate_retrieval(PLACES, LABELS, [RecallAtK(k=5)])
    assert everything == {"recall@5": 1.0}
    dropped = RecallAtK(k=1, drop_closest_lookup=True)
    assert index.evaluate_retrieval(PLACES, LABELS, [dropped])["recall@1"] == 0.8


def test_evaluate_classification():
    values = line().evaluate_classification(
        [[-0.5], [9.0], [22.0], [6.5]],
        [1, 2, 3, 1],
        distance_thresholds=[0.4, 1.0, 2.0, 5.0],
        metrics=["precision", "recall"],
    )
    assert values["distance"] == pytest.approx([0.4, 1, 2, 5])
    assert values["precision"].tolist() == [1, 1, 1, 0.75]
    assert values["recall"] == pytest.approx([0, 2 / 3, 1, 1])
    votes = line().evaluate_classification(
        [[7.0]],
        [1],
        [7.0],
        metrics=["binary_accuracy"],
        matcher="match_majority_vote",
        k=4,
    )
    # 1, 1, 2 and 2 vote; the nearest, a 2, is met first.
    assert votes["binary_accuracy"].tolist() == [0]


def test_calibrate_finds_and_keeps_cutpoints():
    index = calibrated()
    assert index.is_calibrated and str(index.get_calibration_metric()) == "f1_score"
    assert set(index.cutpoints) == {"optimal", "half"}
    optimal = index.cutpoints["optimal"]
    assert optimal["distance"] == 2.0 and optimal["f1_score"] == 1.0
    assert {"name", "value", "precision", "recall"} < set(optimal)
    assert index.cutpoints["half"]["distance"] == 0.5
    assert index.calibration_thresholds["distance"].tolist() == [0.5, 1, 2, 3.5]


def test_match_at_every_cutpoint():
    index = calibrated()
    queries = [[-0.5], [9.0], [22.0], [22.01], [6.5]]
    assert index.match(queries) == {
        "optimal": [1, 2, 3, -1, -1],
        "half": [1, -1, -1, -1, -1],
    }
    assert index.match(queries, no_match_label=99)["half"] == [1, 99, 99, 99, 99]
    assert type(index.match(queries)["half"][0]) is int


@pytest.mark.parametrize(
    "distance", ["cosine", "euclidean", "manhattan", "inner_product"]
)
def test_examples_on_a_cutpoint_match(distance):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 8)), np.arange(300) % 3
    index = Indexer(8, distance=distance)
    index.batch_add(x, labels=y)
    queries = x + rng.normal(scale=0.5, size=x.shape)
    results = index.calibrate(queries, y, {"low": 0.3}, verbose=0)
    counts = index.evaluate_classification(
        queries, y, [results.cutpoints["low"]["distance"]], metrics=["f1"]
    )
    assert counts["f1"][0] == pytest.approx(results.cutpoints["low"]["f1_score"])
    matches = np.array(index.match(queries)["low"])
    costs = index.distance.to_cost(index.batch_lookup(queries, k=1).distances[:, 0])
    bound = index.distance.to_cost(results.cutpoints["low"]["distance"])
    on_cutpoint = np.abs(costs - bound).argmin()
    assert matches[on_cutpoint] != -1
    assert (matches != -1).tolist() == (costs <= bound + 1e-7).tolist()
    assert 0 < (matches != -1).sum() < 300


def test_every_example_is_within_the_cutpoint_that_it_made():
    rng = np.random.default_rng(0)
    index = Indexer(8)
    index.batch_add(rng.normal(size=(50, 8)), labels=[1] * 50)
    for query in rng.normal(size=(40, 1, 8)):
        # Its only distance, rounded, is the cutpoint; every second is rounded down.
        index.calibrate(query, [1], verbose=0)
        assert index.match(query)["optimal"] == [1]


@pytest.mark.parametrize(
    ("distance", "offset"), [("cosine", 0), ("euclidean", 0), ("euclidean", 50)]
)
def test_an_example_matches_alone_as_among_others(distance, offset):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 32)) + offset, np.arange(2000) % 3
    index = Indexer(32, distance=distance)
    index.batch_add(x, labels=y)
    queries, labels = rng.normal(size=(100, 32)) + offset, np.arange(100) % 3
    # Many cutpoints, at each of which lies an example.
    targets = {f"recall {percent}": percent / 100 for percent in range(5, 100, 5)}
    index.calibrate(queries, labels, targets, "recall", verbose=0)
    together = index.match(queries)
    alone = [index.match([query]) for query in queries]
    lookups = index.batch_lookup(queries, k=1)
    assert len(together) == 20
    assert {name: [one[name][0] for one in alone] for name in together} == together
    for name, matches in together.items():
        is_match = index.is_within(lookups.distances[:, 0], name)
        assert np.where(is_match, lookups.labels[:, 0], -1).tolist() == matches
        bound = index.cutpoints[name]["distance"]
        on_cutpoint = np.abs(lookups.distances[:, 0] - bound).argmin()
        assert lookups.distances[on_cutpoint, 0] == pytest.approx(bound, rel=1e-6)
        assert matches[on_cutpoint] != -1


def test_is_within_goes_by_the_named_cutpoint():
    index = calibrated()
    distances = np.array([[0.5, 2.0], [2.01, np.nan]])
    assert index.is_within(distances).tolist() == [[True, True], [False, False]]
    assert index.is_within(distances, "half").tolist() == [[True, False], [False] * 2]
    with pytest.raises(ValueError, match="`cutpoint` must be one of optimal, half"):
        index.is_within(distances, "third")
    with pytest.raises(ValueError, match="must be calibrated"):
        line().is_within(distances)


def test_more_neighbours_than_rows_are_as_many_as_rows():
    results = [
        line().calibrate([[3.0]], [1], k=k, matcher="match_majority_vote", verbose=0)
        for k in (5, 9)
    ]
    assert results[0].cutpoints == results[1].cutpoints
    assert len(results[1].thresholds["distance"]) == 5


def test_matching_sees_no_more_neighbours_than_calibrating():
    index = line()
    options = {"k": 9, "matcher": "match_majority_vote"}
    index.calibrate([[3.0]], [1], verbose=0, **options)
    matches = index.match([[3.0]], **options)
    assert matches == index.match([[3.0]], k=5, matcher="match_majority_vote")
    assert matches["optimal"] == [1]


def test_a_similarity_matches_from_its_cutpoint_up():
    index = Indexer(1, distance="inner_product")
    index.batch_add([[1.0], [-1.0]], labels=[1, 2])
    queries, labels = [[5.0], [4.0], [-3.0], [0.5]], [1, 1, 2, 2]
    results = index.calibrate(queries, labels, {"strict": 0.8}, verbose=0)
    assert results.cutpoints["optimal"]["distance"] == 3.0
    assert results.cutpoints["strict"]["distance"] == 4.0
    assert results.thresholds["distance"].tolist() == [5, 4, 3, 0.5]
    assert index.match(queries)["optimal"] == [1, 1, 2, -1]
    values = index.evaluate_classification(queries, labels, [3.0, 0.1], ["precision"])
    assert values["distance"].tolist() == pytest.approx([3.0, 0.1])
    assert values["precision"].tolist() == [1, 0.75]


def test_a_neighbour_without_label_matches_nothing():
    index = calibrated()
    index.add([[100.0]])
    assert index.match([[100.0]])["optimal"] == [-1]


def test_a_matcher_that_finds_no_label_matches_nothing():
    class Undecided(MatchNearest):
        def derive_match(self, lookup_labels, lookup_distances):
            _, distances = super().derive_match(lookup_labels, lookup_distances)
            return np.full(distances.shape, NO_LABEL), distances

    assert calibrated().match([[0.0]], matcher=Undecided())["optimal"] == [-1]


def test_the_matcher_and_k_count():
    index = line()
    index.batch_add([[9.0], [9.2]], labels=[1, 1])
    arguments = {"k": 3, "matcher": "match_majority_vote"}
    index.calibrate([[9.6]], [1], verbose=0, **arguments)
    assert index.match([[9.6]], **arguments)["optimal"] == [1]
    assert index.match([[9.6]])["optimal"] == [2]


def test_calibrate_prints_a_table_where_asked(capsys):
    calibrated()
    assert capsys.readouterr().out == ""
    calibrated(verbose=1, rounding=3)
    out = capsys.readouterr().out
    assert "optimal" in out and "half" in out and "precision" in out
    assert "0.500" in out and "0.5000" not in out


EMPTY = {
    "retrieval": (
        lambda i: i.evaluate_retrieval([[0.0]], [1], [RecallAtK()]),
        IndexError,
    ),
    "classification": (lambda i: i.evaluate_classification([[0]], [1], [1]), IndexError),
    "match": (lambda i: i.match([[0.0]]), IndexError),
    "calibrate": (lambda i: i.calibrate([[0.0]], [1], {}), ValueError),
}


@pytest.mark.parametrize(("judge", "error"), EMPTY.values(), ids=EMPTY)
def test_an_empty_index_judges_nothing(judge, error):
    with pytest.raises(error, match="must not be empty"):
        judge(Indexer(1))


def test_uncalibrated_or_wrongly_asked():
    with pytest.raises(ValueError, match="must be calibrated"):
        line().match([[0.0]])
    with pytest.raises(ValueError, match="must be calibrated"):
        line().get_calibration_metric()
    with pytest.raises(ValueError, match="`retrieval_metrics` must hold objects of"):
        line().evaluate_retrieval([[0.0]], [1], ["recall"])
    with pytest.raises(ValueError, match="`retrieval_metrics` must be a list"):
        line().evaluate_retrieval([[0.0]], [1], RecallAtK(k=1))
    with pytest.raises(ValueError, match="`target_labels` must hold one label a row"):
        line().calibrate([[0.0]], [1, 2])
    with pytest.raises(ValueError, match="Unknown classification metric"):
        line().calibrate([[0.0]], [1], calibration_metric="f7")


# Contents.


def test_reset_forgets_everything():
    index = calibrated()
    index.reset()
    assert index.size() == index.search.size() == 0
    assert not index.is_calibrated and not index.cutpoints
    assert not index.calibration_thresholds
    assert index.stats()["num_lookups"] == 0
    assert index.batch_add(PLACES) == [0, 1, 2, 3, 4]


def test_statistics_count_lookups(capsys):
    index = line(stat_buffer_size=3)
    assert index.stats()["query_performance"]["avg"] == 0
    index.batch_lookup(PLACES)
    index.single_lookup(PLACES[:1])
    stats = index.stats()
    assert (stats["num_lookups"], stats["size"]) == (6, 5)
    assert set(stats["query_performance"]) == {"min", "max", "avg", "median", "stddev"}
    assert 0 < stats["query_performance"]["min"] <= stats["query_performance"]["max"]
    assert len(index._statistics._seconds) == 3
    index.print_stats()
    assert "lookups: 6" in capsys.readouterr().out


def test_summary_says_what_the_index_is():
    assert "calibrated:     no" in line().summary()
    index = calibrated()
    index.add([[3.0]], build=False)
    for text in (
        "6 (1 not built yet)",
        "manhattan",
        "LinearSearch",
        "optimal",
        "f1_score",
    ):
        assert text in index.summary()


def test_data_frame():
    frame = line().to_data_frame()
    assert frame["labels"].tolist() == LABELS and frame["data"].tolist() == DATA
    assert len(line().to_data_frame(num_items=2)) == 2


# Files.


@pytest.mark.parametrize("search", ["linear", "faiss"])
def test_save_and_load(search, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)), np.arange(60) % 4
    index = Indexer(8, "euclidean", search=search, embedding_output=0, stat_buffer_size=7)
    index.batch_add(x, labels=y, data=rng.normal(size=(60, 2, 2)))
    index.add(x[0], data="late", build=False)
    results = index.calibrate(x + 0.3, y, {"target": 0.5}, verbose=0)
    index.save(tmp_path / "index")
    loaded = Indexer.load(tmp_path / "index", verbose=0)
    assert loaded.batch_lookup(x) == index.batch_lookup(x)
    assert loaded.match(x + 0.1) == index.match(x + 0.1)
    assert loaded.cutpoints == results.cutpoints
    for name, column in results.thresholds.items():
        np.testing.assert_array_equal(loaded.calibration_thresholds[name], column)
        assert loaded.calibration_thresholds[name].dtype == column.dtype
    assert loaded.size() == 61 and loaded.search.size() == 60
    loaded.build_index()
    assert loaded.search.size() == 61
    for name in ("embedding_size", "embedding_output", "stat_buffer_size"):
        assert getattr(loaded, name) == getattr(index, name)
    assert type(loaded.search) is type(index.search)


METRICS = {
    "npv": "npv",
    "npv, an object": NegativePredictiveValue(),
    "a name of its own": F1Score(name="distance/f1 file"),
    "named": make_classification_metric("recall", name="file"),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_any_calibration_metric_is_restored(metric, tmp_path):
    index = calibrated(calibration_metric=metric)
    index.save(tmp_path)
    loaded = Indexer.load(tmp_path, verbose=0)
    metric = index.get_calibration_metric()
    assert type(loaded.get_calibration_metric()) is type(metric)
    assert loaded.get_calibration_metric().name == metric.name
    assert (
        loaded.cutpoints == index.cutpoints and metric.name in loaded.cutpoints["optimal"]
    )
    assert list(loaded.calibration_thresholds) == list(index.calibration_thresholds)


def test_an_empty_index_is_saved(tmp_path):
    Indexer(3).save(tmp_path)
    loaded = Indexer.load(tmp_path, verbose=0)
    assert loaded.size() == 0 and not loaded.is_calibrated
    loaded.add([1, 2, 3])


def test_infinite_cutpoints_survive(tmp_path):
    index = calibrated()
    index.cutpoints["optimal"]["distance"] = float("inf")
    index.save(tmp_path)
    assert Indexer.load(tmp_path, verbose=0).cutpoints["optimal"]["distance"] == np.inf


def test_overwrite_off_refuses_before_touching_anything(tmp_path):
    index = line()
    index.save(tmp_path, overwrite=False)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    index.add([[99.0]])
    with pytest.raises(FileExistsError, match="holds a saved index"):
        index.save(tmp_path, overwrite=False)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert before == after
    index.save(tmp_path)
    assert Indexer.load(tmp_path, verbose=0).size() == 6


def test_data_that_cannot_be_saved_leaves_the_old_index(tmp_path):
    index = line()
    index.save(tmp_path)
    index.add([[99.0]], data=object())
    with pytest.raises(TypeError, match="in row 5"):
        index.save(tmp_path)
    assert Indexer.load(tmp_path, verbose=0).size() == 5
    assert len(list(tmp_path.iterdir())) == 2


def test_compression_is_the_stores(tmp_path):
    index = Indexer(50)
    index.batch_add(np.ones((500, 50)), data=np.ones((500, 50)))
    sizes = []
    for compression in (True, False):
        index.save(tmp_path, compression=compression)
        sizes.append(next(tmp_path.glob("*/store/store.npz")).stat().st_size)
    assert sizes[0] < sizes[1] / 10


def test_a_damaged_index_is_refused(tmp_path):
    line().save(tmp_path)
    file = next(tmp_path.glob("*/search/vectors.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"vectors.npy: its checksum is wrong"):
        Indexer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="saved index"):
        Indexer.load(tmp_path / "missing")


def test_nothing_in_the_files_needs_pickle(tmp_path):
    index = calibrated()
    index.add([[1.0]], data={"a": [np.ones(2), None]})
    index.save(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".npz", ".npy"}
    for file in files:
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                assert dict(arrays)
        else:
            np.load(file, allow_pickle=False)


def test_object_stores_work():
    index = calibrated()
    index.save("memory://bucket/index")
    loaded = Indexer.load("memory://bucket/index", verbose=0)
    assert loaded.match(PLACES) == index.match(PLACES)
    with pytest.raises(FileExistsError):
        index.save("memory://bucket/index", overwrite=False)


def test_load_says_what_it_loaded_where_asked(tmp_path, capsys):
    line().save(tmp_path)
    Indexer.load(tmp_path, verbose=0)
    assert capsys.readouterr().out == ""
    Indexer.load(tmp_path)
    assert "5 examples" in capsys.readouterr().out


def test_another_process_without_keras_loads_it(tmp_path):
    calibrated().save(tmp_path)
    code = """
        import sys
        from keras_similarity.indexer import Indexer
        index = Indexer.load(sys.argv[1], verbose=0)
        print(index.match([[9.0], [6.5]])["optimal"])
        assert not {"keras", "jax", "torch", "tensorflow"} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        env={"KSIM_KERAS": "0", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[2, -1]\n", done.stderr


def test_lookups_run_while_rows_are_added():
    index = Indexer(1, "manhattan")
    index.batch_add(PLACES, labels=range(5), data=range(5))
    is_done, errors = threading.Event(), []

    def look():
        try:
            while not is_done.is_set():
                lookups = index.batch_lookup(PLACES, k=3)
                assert lookups.labels.tolist() == lookups.ids.tolist() == lookups.data
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for row in range(5, 300):
        index.add([[float(row % 40)]], label=row, data=row)
    is_done.set()
    for reader in readers:
        reader.join()
    assert errors == []


def test_reset_waits_for_lookups_that_run():
    is_looking, may_go = threading.Event(), threading.Event()

    class SlowStore(MemoryStore):
        def labels(self, ids):
            is_looking.set()
            may_go.wait(10)
            return super().labels(ids)

    index = line(kv_store=SlowStore())
    found = []
    looking = threading.Thread(target=lambda: found.append(index.batch_lookup(PLACES)))
    looking.start()
    is_looking.wait(10)
    resetting = threading.Thread(target=index.reset)
    resetting.start()
    resetting.join(0.1)
    may_go.set()
    looking.join()
    resetting.join()
    assert found[0].labels[:, 0].tolist() == LABELS
    assert [row[0] for row in found[0].data] == DATA
    assert index.size() == index.search.size() == 0


@pytest.mark.parametrize("store", ["memory", MemoryStore()], ids=["name", "object"])
def test_lookups_see_one_version_while_the_index_is_reset(store):
    index = Indexer(1, "manhattan", kv_store=store)
    is_done, errors = threading.Event(), []

    def look():
        try:
            while not is_done.is_set():
                lookups = index.batch_lookup(PLACES, k=5)
                assert lookups.labels.tolist() == lookups.data or not lookups[0]
                versions = {label // 10 for label in lookups.labels.ravel().tolist()}
                assert len(versions) == 1
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(0, 3000, 10):
        rows = range(version, version + 5)
        index.batch_add(PLACES, labels=rows, data=rows)
        index.reset()
    is_done.set()
    for reader in readers:
        reader.join()
    assert errors == []


def test_reset_empties_the_users_own_parts():
    search, store = LinearSearch("cosine", 2), MemoryStore()
    index = Indexer(2, search=search, kv_store=store)
    index.add([1.0, 2.0])
    index.reset()
    assert index.search is search and index.kv_store is store
    assert search.size() == store.size() == 0
