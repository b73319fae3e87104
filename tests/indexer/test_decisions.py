"""Rates of false accepts and thresholds of classes, kept with an index."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_similarity.evaluators import MemoryEvaluator
from keras_similarity.indexer import Indexer
from keras_similarity.matchers import MatchWeightedVote
from keras_similarity.types import UNKNOWN_LABEL

pytestmark = pytest.mark.keras_free

OLD = Path(__file__).parent / "data" / "calibrated_before_target_far"
STRANGER = 999


class Faces:
    """An index of people, and more pictures of them and of strangers."""

    def __init__(self, distance="euclidean", people=30, dim=6):
        self.random = np.random.default_rng(0)
        self.places = self.random.normal(size=(people, dim))
        self.spreads = self.random.uniform(0.1, 0.8, people)
        labels = np.repeat(np.arange(people), 3)
        self.index = Indexer(dim, distance)
        self.index.batch_add(self.pictures(labels), labels)

    def pictures(self, labels):
        noise = self.random.normal(size=(len(labels), self.places.shape[1]))
        return self.places[labels] + self.spreads[labels, None] * noise

    def known(self, count):
        labels = self.random.integers(0, len(self.places), count)
        return self.pictures(labels), labels

    def strangers(self, count):
        vectors = self.random.normal(size=(count, self.places.shape[1]))
        return vectors, np.full(count, STRANGER)

    def both(self, count):
        parts = self.known(count), self.strangers(count)
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def nearest_costs(index, queries):
    return index.distance.to_cost(index.batch_lookup(queries, k=1).distances[:, 0])


def test_strangers_to_come_are_accepted_as_seldom_as_promised():
    faces, target, draws = Faces(), 0.02, 500
    pool, labels = faces.strangers(50_000)
    costs = nearest_costs(faces.index, pool)
    rates = []
    for _ in range(draws):
        drawn = faces.random.integers(0, len(pool), 300)
        results = faces.index.calibrate(
            pool[drawn], labels[drawn], target_far=target, verbose=0
        )
        rates.append((costs <= results.cutpoints["target_far"]["distance"]).mean())
    violations = (np.array(rates) > target).mean()
    # P(Bin(300, 0.02) <= 1) = 0.017; with 2 it would be 0.059.
    expected = 0.98**300 + 300 * 0.02 * 0.98**299
    error = math.sqrt(expected * (1 - expected) / draws)
    assert abs(violations - expected) < 4 * error and violations < 0.05
    assert np.mean(rates) > target / 4


@pytest.mark.parametrize("matcher, k", [("match_nearest", 1), (MatchWeightedVote(), 4)])
def test_people_are_strangers_where_they_are_left_out(matcher, k):
    """Trials of known people hold for people who are not in the index at all."""
    faces = Faces(people=60)
    results = faces.index.calibrate(
        *faces.known(3000), target_far=0.02, k=k, matcher=matcher, verbose=0
    )
    promise = results.false_accepts
    assert (promise.kind, promise.trials) == ("every", 3000)
    queries, labels = faces.known(3000)
    matched = np.array(faces.index.match(queries, k=k, matcher=matcher)["target_far"])
    accepted_wrongly = (matched != UNKNOWN_LABEL) & (matched != labels)
    assert accepted_wrongly.mean() <= 0.02 < (matched == labels).mean()
    others = Faces(people=60)
    others.random = np.random.default_rng(5)
    wrong = []
    for label in range(0, 60, 6):  # An index without this person.
        rest = Indexer(6, "euclidean")
        rows = np.flatnonzero(np.repeat(np.arange(60), 3) != label)
        vectors, _ = faces.index.kv_store.reader()(rows)
        rest.batch_add(vectors, np.repeat(np.arange(60), 3)[rows])
        rest._calibration = faces.index._calibration
        pictures = others.pictures(np.full(200, label))
        found = rest.match(pictures, k=k, matcher=matcher)["target_far"]
        wrong.append(np.mean(np.array(found) != UNKNOWN_LABEL))
    assert np.mean(wrong) < 0.04


def test_what_counts_as_a_trial():
    faces = Faces()
    known, both = faces.known(200), faces.both(200)

    def promise(queries, **options):
        results = faces.index.calibrate(*queries, target_far=0.05, verbose=0, **options)
        return results.false_accepts

    assert promise(known).kind == "every" and promise(known).trials == 200
    assert promise(known, trials="wrong").trials < 60
    nearest = faces.index.batch_lookup(both[0], k=1).labels[:, 0]
    assert promise(both).kind == "wrong"
    assert promise(both).trials == (nearest != both[1]).sum() >= 200
    assert promise(both, trials="every").trials == 400
    assert promise(known, unit="class").trials == len(np.unique(known[1]))


@pytest.mark.parametrize("distance", ["cosine", "inner_product"])
def test_the_threshold_is_in_units_of_the_distance(distance):
    faces = Faces(distance)
    queries, labels = faces.both(400)
    results = faces.index.calibrate(queries, labels, target_far=0.05, verbose=0)
    cutpoint = results.cutpoints["target_far"]
    found = faces.index.batch_lookup(queries, k=1)
    is_wrong = found.labels[:, 0] != labels
    is_similarity = faces.index.distance.is_similarity
    near = found.distances[:, 0]
    is_near = (
        (near >= cutpoint["distance"]) if is_similarity else near <= cutpoint["distance"]
    )
    assert (is_near & is_wrong).sum() == results.false_accepts.accepted > 0
    matched = np.array(faces.index.match(queries)["target_far"])
    np.testing.assert_array_equal(matched != UNKNOWN_LABEL, is_near)
    # The next would be accepted just beyond it; distances are rounded to 8 decimals.
    costs = np.sort(faces.index.distance.to_cost(near)[is_wrong])
    bound = faces.index.distance.to_cost(cutpoint["distance"])
    assert costs[results.false_accepts.accepted] == pytest.approx(bound, rel=1e-6)


def test_too_few_trials_accept_nothing_and_are_told(caplog, capsys):
    faces = Faces()
    queries, labels = faces.both(50)
    results = faces.index.calibrate(queries, labels, target_far=1e-3)
    assert results.cutpoints["target_far"]["distance"] == -np.inf
    assert results.false_accepts.more_trials == 2995 - results.false_accepts.trials
    assert "NO threshold" in caplog.text and "NO threshold" in capsys.readouterr().out
    assert set(faces.index.match(queries)["target_far"]) == {UNKNOWN_LABEL}
    assert not faces.index.is_within([0.0, -1.0], "target_far").any()
    similar = Faces("inner_product")
    results = similar.index.calibrate(queries, labels, target_far=1e-3, verbose=0)
    assert results.cutpoints["target_far"]["distance"] == np.inf
    assert set(similar.index.match(queries)["target_far"]) == {UNKNOWN_LABEL}


def test_another_matcher_than_that_of_the_promise_is_told(caplog):
    faces = Faces()
    queries = faces.both(400)
    faces.index.calibrate(*queries, target_far=0.1, k=3, verbose=0)
    faces.index.match(queries[0], k=3)
    assert not caplog.text
    faces.index.match(queries[0], k=3, matcher="match_majority_vote")
    assert "match_nearest:nearest and k=3, not with match_majority_vote" in caplog.text


@pytest.mark.parametrize("distance", ["euclidean", "inner_product"])
def test_each_class_has_its_threshold(distance):
    faces = Faces(distance)
    queries, labels = faces.both(600)
    results = faces.index.calibrate(
        queries, labels, {"half": 0.5}, target_far=0.05, per_class=True, verbose=0
    )
    index = faces.index
    matched = index.match(queries)
    found = index.batch_lookup(queries, k=1)
    for name in ("optimal", "half", "target_far"):
        own = index.class_thresholds(name)
        assert bool(own) == (name != "target_far")
        threshold = results.cutpoints[name]["distance"]
        for label, near, answer in zip(
            found.labels[:, 0].tolist(), found.distances[:, 0], matched[name], strict=True
        ):
            limit = own.get(label, threshold)
            if abs(near - limit) > 1e-5:
                is_near = near >= limit if index.distance.is_similarity else near <= limit
                assert answer == (label if is_near else UNKNOWN_LABEL)
    assert len({round(t, 6) for t in index.class_thresholds().values()}) > 10
    is_within = index.is_within(found.distances, labels=found.labels)[:, 0]
    np.testing.assert_array_equal(
        is_within, np.array(matched["optimal"]) != UNKNOWN_LABEL
    )
    assert (index.is_within(found.distances)[:, 0] != is_within).any()
    # The metrics of the cutpoints are those of these decisions.
    judged = index.evaluate_classification(
        queries,
        labels,
        [results.cutpoints["optimal"]["distance"]],
        class_offsets=index.class_offsets(),
    )
    assert judged["f1"][0] == pytest.approx(results.cutpoints["optimal"]["f1_score"])
    right = (np.array(matched["optimal"]) == labels).sum()
    accepted = (np.array(matched["optimal"]) != UNKNOWN_LABEL).sum()
    assert results.cutpoints["optimal"]["precision"] == pytest.approx(right / accepted)


@pytest.mark.parametrize("distance", ["euclidean", "inner_product"])
def test_all_of_it_is_saved_loaded_and_shown(distance, tmp_path):
    faces = Faces(distance)
    queries, labels = faces.both(600)
    results = faces.index.calibrate(
        queries, labels, target_far=0.05, per_class=True, k=2, verbose=0
    )
    faces.index.save(tmp_path)
    loaded = Indexer.load(tmp_path, verbose=0)
    assert loaded.cutpoints == results.cutpoints
    assert loaded.class_thresholds() == faces.index.class_thresholds()
    assert loaded._calibration.results.false_accepts == results.false_accepts
    assert loaded.match(queries, k=2) == faces.index.match(queries, k=2)
    assert loaded.summary() == faces.index.summary()
    shown = loaded.summary()
    assert "by f1_score, match_nearest:nearest, k=2" in shown
    assert str(results.false_accepts) in shown and "target_far" in shown
    assert f"Thresholds of {len(results.class_offsets)} classes: " in shown
    loaded.batch_add(queries[:5], labels[:5])
    assert "when there were 90 examples: calibrate again" in loaded.summary()


def test_a_promise_that_accepts_nothing_is_saved(tmp_path):
    faces = Faces()
    results = faces.index.calibrate(*faces.both(20), target_far=1e-3, verbose=0)
    faces.index.save(tmp_path)
    loaded = Indexer.load(tmp_path, verbose=0)
    assert loaded.cutpoints["target_far"]["distance"] == -np.inf
    assert loaded._calibration.results.false_accepts == results.false_accepts
    assert "NO threshold" in loaded.summary()


def test_a_calibration_of_an_earlier_version_is_loaded(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    index = Indexer.load(tmp_path / "old", verbose=0)
    assert index.match([[-0.5], [9.0], [22.0], [6.5]]) == {
        "optimal": [1, 2, 3, UNKNOWN_LABEL],
        "half": [1, UNKNOWN_LABEL, UNKNOWN_LABEL, UNKNOWN_LABEL],
    }
    assert index.class_thresholds() == {} and index.class_offsets("half") == {}
    assert "calibrated:     by f1_score\n" in index.summary()
    index.save(tmp_path / "new")
    assert Indexer.load(tmp_path / "new", verbose=0).summary() == index.summary()


def test_an_evaluator_that_knows_none_of_it_still_calibrates():
    class Plain(MemoryEvaluator):
        def calibrate(
            self,
            target_labels,
            lookups,
            thresholds_targets,
            calibration_metric,
            matcher,
            extra_metrics=(),
            distance_rounding=8,
            metric_rounding=6,
            verbose=1,
        ):
            return super().calibrate(
                target_labels, lookups, thresholds_targets, calibration_metric, matcher
            )

    faces = Faces()
    faces.index.evaluator = Plain()
    queries = faces.both(50)
    assert list(faces.index.calibrate(*queries, verbose=0).cutpoints) == ["optimal"]
    with pytest.raises(TypeError, match="target_far"):
        faces.index.calibrate(*queries, target_far=0.1, verbose=0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"target_far": 1.5}, "`target_far`"),
        ({"target_far": 0.1, "confidence": 2}, "`confidence`"),
        ({"target_far": 0.1, "unit": "pair"}, "`unit`"),
        ({"trials": "pairs"}, "`trials`"),
        ({"matcher": "match_neerest"}, "Unknown classification matcher"),
    ],
)
def test_wrong_arguments_change_nothing(options, message):
    faces = Faces()
    queries = faces.both(50)
    faces.index.calibrate(*queries, verbose=0)
    before = faces.index._calibration
    with pytest.raises(ValueError, match=message):
        faces.index.calibrate(*queries, verbose=0, **options)
    assert faces.index._calibration is before
    for ask in (faces.index.class_thresholds, faces.index.class_offsets):
        with pytest.raises(ValueError, match="`cutpoint` must be one of optimal"):
            ask("target_far")


def test_a_class_that_looks_unknown_is_told(caplog):
    index = Indexer(1, "euclidean")
    index.batch_add([[0.0], [5.0]], [-1, 3])
    index.calibrate([[0.5], [5.5]], [-1, 3], verbose=0)
    assert index.match([[5.1]])["optimal"] == [3] and not caplog.text
    assert index.match([[0.1], [5.1]])["optimal"] == [-1, 3]
    assert "the class -1 look unknown" in caplog.text
    caplog.clear()
    assert index.match([[0.1], [9.9]], no_match_label=-2)["optimal"] == [-1, -2]
    assert not caplog.text
