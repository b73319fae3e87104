import json

import numpy as np
import pytest

from keras_similarity import retrieval_metrics
from keras_similarity.retrieval_metrics import (
    BNDCG,
    MapAtK,
    PrecisionAtK,
    RecallAtK,
    RetrievalMetric,
    compute_match_mask,
)
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

CLASSES = [BNDCG, MapAtK, PrecisionAtK, RecallAtK]

# Class 1 has two queries, class 2 and 3 have one each.
QUERIES = np.array([1, 1, 2, 3])
LOOKUPS = np.array([[1, 2, 1, 1], [2, 2, 1, 2], [2, 2, 1, 1], [1, 1, 1, 2]])
DISTANCES = np.tile(np.float32([0.1, 0.2, 0.3, 0.4]), (4, 1))


def value(metric, lookups=LOOKUPS, distances=DISTANCES):
    return metric.compute(
        query_labels=QUERIES,
        lookup_labels=lookups,
        lookup_distances=distances,
        match_mask=compute_match_mask(QUERIES, lookups),
    )


@pytest.mark.parametrize(
    "metric, expected",
    [
        (RecallAtK(k=1), 2 / 4),
        (RecallAtK(k=3), 3 / 4),
        (RecallAtK(k=1, average="macro"), (0.5 + 1 + 0) / 3),
        (RecallAtK(k=2, drop_closest_lookup=True), 3 / 4),
        (RecallAtK(k=3, distance_threshold=0.2), 2 / 4),
        (PrecisionAtK(k=2), (1 / 2 + 0 + 1 + 0) / 4),
        (PrecisionAtK(k=2, r={1: 4, 2: 2}), (1 / 4 + 0 + 1 + 0) / 4),
        (PrecisionAtK(k=4, r={1: 1, 2: 2}, clip_at_r=True), (1 + 0 + 1 + 0) / 4),
        (PrecisionAtK(k=3, drop_closest_lookup=True), (1 / 2 + 1 / 2 + 1 / 2 + 0) / 4),
        (PrecisionAtK(k=4, distance_threshold=0.3), (2 + 1 + 2 + 0) / 16),
        (MapAtK(k=3), ((1 + 2 / 3) / 3 + 1 / 9 + 2 / 3 + 0) / 4),
        (MapAtK(k=4, r={1: 3, 2: 2}, clip_at_r=True), (5 / 9 + 1 / 9 + 1 + 0) / 4),
        (BNDCG(k=1), 2 / 4),
        (BNDCG(k=3, distance_threshold=0.1), 2 / 4),
    ],
    ids=repr,
)
def test_values(metric, expected):
    assert value(metric) == pytest.approx(expected, rel=1e-12)


def test_threshold_is_a_float32_and_inclusive():
    assert value(RecallAtK(k=4, distance_threshold=0.3)) == 3 / 4
    assert value(RecallAtK(k=4, distance_threshold=0.29)) == 2 / 4


@pytest.mark.parametrize("cls", CLASSES)
def test_missing_neighbours_match_nothing(cls):
    lookups = np.where(LOOKUPS == 1, NO_LABEL, LOOKUPS)
    distances = np.where(LOOKUPS == 1, np.nan, DISTANCES)
    assert value(cls(k=4), lookups, distances) == value(
        cls(k=4), np.where(LOOKUPS == 1, 99, LOOKUPS)
    )
    nothing = np.full_like(LOOKUPS, NO_LABEL)
    assert value(cls(k=4), nothing, np.full_like(DISTANCES, np.nan)) == 0.0


@pytest.mark.parametrize(
    "metric, name",
    [
        (RecallAtK(), "recall@5"),
        (BNDCG(k=3, distance_threshold=0.5), "ndcg@3 : distance_threshold@0.5"),
        (PrecisionAtK(k=3, clip_at_r=True, r={0: 1}), "precision"),
        (MapAtK(k=3, name="mine"), "mine@3"),
    ],
)
def test_names(metric, name):
    assert metric.name == str(metric) == name
    assert repr(metric) == f"{metric.canonical_name} : {name}"


@pytest.mark.parametrize(
    "metric",
    [
        RecallAtK(k=2, average="macro", drop_closest_lookup=True),
        BNDCG(k=2, distance_threshold=0.25),
        PrecisionAtK(k=3, r={1: 4, 2: 2}, clip_at_r=True, name="r_precision"),
        MapAtK(k=3, r={1: 4, 2: 2}),
    ],
    ids=repr,
)
def test_config_goes_through_json(metric):
    config = json.loads(json.dumps(retrieval_metrics.serialize(metric)))
    again = retrieval_metrics.deserialize(config)
    assert again.get_config() == metric.get_config()
    assert again.name == metric.name
    assert value(again) == value(metric)


@pytest.mark.parametrize("cls", CLASSES)
def test_k_is_at_least_one(cls):
    with pytest.raises(ValueError, match=r"`k` must be at least 1.*k=0"):
        cls(k=0)


@pytest.mark.parametrize("cls", [PrecisionAtK, MapAtK])
def test_dropping_the_only_neighbour_leaves_nothing(cls):
    with pytest.raises(ValueError, match="`k` must be at least 2"):
        cls(k=1, drop_closest_lookup=True)


@pytest.mark.parametrize(
    "metric, needed",
    [
        (RecallAtK(k=4, drop_closest_lookup=True), 5),
        (BNDCG(k=4, drop_closest_lookup=True), 5),
        (RecallAtK(k=5), 5),
        (MapAtK(k=5, drop_closest_lookup=True), 5),
    ],
    ids=repr,
)
def test_too_few_neighbours(metric, needed):
    with pytest.raises(ValueError, match=f"neighbours must be at least {needed}"):
        value(metric)


def test_precision_and_map_count_the_dropped_neighbour_among_the_k():
    assert value(PrecisionAtK(k=4, drop_closest_lookup=True)) > 0


def test_average_is_checked():
    with pytest.raises(ValueError, match="'mean' is not a supported average option"):
        RecallAtK(average="mean")
    with pytest.raises(ValueError, match="only supports micro averaging"):
        MapAtK(average="macro")


def test_columns_are_checked():
    good = {
        "query_labels": QUERIES,
        "lookup_labels": LOOKUPS,
        "lookup_distances": DISTANCES,
        "match_mask": compute_match_mask(QUERIES, LOOKUPS),
    }
    bad = {
        "query_labels": QUERIES[:3],
        "lookup_labels": LOOKUPS[:, :3],
        "lookup_distances": DISTANCES[:3],
        "match_mask": good["match_mask"][0],
    }
    for name, columns in bad.items():
        with pytest.raises(ValueError, match=name):
            RecallAtK(k=1).compute(**{**good, name: columns})


def test_no_queries():
    with pytest.raises(ValueError, match="at least one query"):
        RecallAtK(k=1).compute(
            query_labels=[],
            lookup_labels=np.zeros((0, 3), int),
            lookup_distances=np.zeros((0, 3)),
            match_mask=np.zeros((0, 3), bool),
        )


def test_match_mask():
    mask = compute_match_mask([1, NO_LABEL], [[1, 2], [NO_LABEL, 1]])
    assert mask.tolist() == [[True, False], [False, False]]
    with pytest.raises(ValueError, match="`lookup_labels` must have the shape"):
        compute_match_mask([1], [1])
    with pytest.raises(ValueError, match="`query_labels`"):
        compute_match_mask([1, 2], [[1]])


def test_a_users_metric_defines_what_a_query_is_worth():
    class Last(RetrievalMetric):
        def per_query(self, query_labels, match_mask):
            return match_mask[:, self.k - 1].astype(float)

    assert value(Last("last", "last@k", k=3)) == 2 / 4
    with pytest.raises(TypeError, match="per_query"):
        RetrievalMetric("none", k=1)
