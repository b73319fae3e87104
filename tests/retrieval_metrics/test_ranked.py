"""Metrics that know how much there was to find; `evaluate` has their values tested."""

import json

import numpy as np
import pytest

from keras_similarity import retrieval_metrics
from keras_similarity.retrieval_metrics import (
    NDCG,
    CMCAtK,
    MeanAveragePrecision,
    MeanAveragePrecisionAtR,
    MeanReciprocalRank,
    RankedMetric,
    Ranking,
    RecallAtK,
    RPrecision,
    TrueRecallAtK,
    compute_match_mask,
    metric_names,
    metric_of_name,
)

pytestmark = pytest.mark.keras_free

CLASSES = [
    MeanAveragePrecision,
    MeanAveragePrecisionAtR,
    MeanReciprocalRank,
    NDCG,
    RPrecision,
    TrueRecallAtK,
]
QUERIES = np.array([1, 1, 2, 3])
LOOKUPS = np.array([[1, 2, 1, 1], [2, 2, 1, 2], [2, 2, 1, 1], [1, 1, 1, 2]])
DISTANCES = np.tile(np.float32([0.1, 0.2, 0.3, 0.4]), (4, 1))
R = {1: 3, 2: 2}  # Class 3 has nobody: its query is left out.
LOG3, LOG4 = 1 / np.log2(3), 0.5


def value(metric, queries=QUERIES):
    return metric.compute(
        query_labels=queries,
        lookup_labels=LOOKUPS,
        lookup_distances=DISTANCES,
        match_mask=compute_match_mask(queries, LOOKUPS),
    )


@pytest.mark.parametrize(
    "metric, expected",
    [
        (RPrecision(r=R), (2 / 3 + 1 / 3 + 1) / 3),
        (RPrecision(r=R, average="macro"), (1 / 2 + 1) / 2),
        (RPrecision(k=2, r=R), (1 / 2 + 0 + 1) / 3),
        (MeanAveragePrecisionAtR(r=R), ((1 + 2 / 3) / 3 + 1 / 9 + 1) / 3),
        (MeanAveragePrecision(r=R), ((1 + 2 / 3 + 3 / 4) / 3 + 1 / 9 + 1) / 3),
        (MeanAveragePrecision(k=1, r=R), (1 / 3 + 0 + 1 / 2) / 3),
        (MeanReciprocalRank(r=R), (1 + 1 / 3 + 1) / 3),
        (MeanReciprocalRank(k=2, r=R), (1 + 0 + 1) / 3),
        (TrueRecallAtK(k=3, r=R), (2 / 3 + 1 / 3 + 1) / 3),
        (NDCG(k=3, r=R), (1.5 / (1.5 + LOG3) + 0.5 / (1.5 + LOG3) + 1) / 3),
        (TrueRecallAtK(k=3, r=R, distance_threshold=0.2), (1 / 3 + 0 + 1) / 3),
        (TrueRecallAtK(k=2, r=R, drop_closest_lookup=True), (1 / 2 + 1 / 2 + 1) / 3),
    ],
    ids=str,
)
def test_values_from_lookups(metric, expected):
    assert value(metric) == pytest.approx(expected, rel=1e-12)


def test_nobody_to_find_is_nan():
    assert np.isnan(value(RPrecision(r={9: 1})))


@pytest.mark.parametrize("cls", CLASSES)
def test_lookups_alone_do_not_say_how_much_there_is(cls):
    with pytest.raises(ValueError, match=r"`r` must be given.*class id"):
        value(cls(k=3))


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("k", [None, 3])
def test_config_goes_through_json(cls, k):
    metric = cls(k=k, r=R, name="mine", distance_threshold=0.3, average="macro")
    config = json.loads(json.dumps(retrieval_metrics.serialize(metric)))
    again = retrieval_metrics.deserialize(config)
    assert again.get_config() == metric.get_config()
    assert (
        again.name
        == metric.name
        == f"mine{'' if k is None else '@3'}" + (" : distance_threshold@0.3")
    )
    assert value(again) == value(metric)


def test_cmc_is_a_hit_or_a_miss():
    assert value(CMCAtK(k=3)) == value(RecallAtK(k=3)) == 3 / 4
    assert CMCAtK(k=3).name == "cmc@3"


def ranking(**fields):
    match = np.array([[True, False, True]])
    gains = np.array([[0.5, 0.0, 1.0]])
    ideal = np.array([[1.0, 1.0, 0.5]])
    about = {"query_labels": np.array([1]), "is_match": match, "k": 3}
    about |= {"costs": np.array([[0.1, 0.2, 0.3]]), "relevant": np.array([3])}
    return Ranking(**{**about, "gains": gains, "ideal_gains": ideal, **fields})


def test_grades_count_as_they_are():
    expected = (0.5 + 1 * LOG4) / (1 + LOG3 + 0.5 * LOG4)
    assert NDCG(k=3).of_ranking(ranking())[0] == pytest.approx(expected)
    expected = 0.5 / (1 + LOG3 + 0.5 * LOG4)
    near = NDCG(k=3, distance_threshold=0.2)
    assert near.of_ranking(ranking())[0] == pytest.approx(expected)
    nothing = ranking(gains=np.zeros((1, 3)), ideal_gains=np.zeros((1, 3)))
    assert np.isnan(NDCG().of_ranking(nothing)[0])


def test_the_nearest_is_dropped_where_the_query_is_still_there():
    metric = TrueRecallAtK(k=2, drop_closest_lookup=True)
    assert metric.of_ranking(ranking())[0] == pytest.approx(1 / 3)
    assert metric.of_ranking(ranking(excludes_self=True))[0] == pytest.approx(1 / 3)
    assert TrueRecallAtK(k=3).of_ranking(ranking())[0] == pytest.approx(2 / 3)


def test_a_users_metric_says_what_a_query_is_worth():
    class Found(RankedMetric):
        def score(self, match_mask, relevant):
            return match_mask.sum(axis=1) / relevant

    assert Found(k=1).of_ranking(ranking())[0] == pytest.approx(1 / 3)
    with pytest.raises(TypeError, match="score"):
        RankedMetric()


def test_every_name_is_a_metric():
    for name in metric_names():
        metric = metric_of_name(name.replace("@k", "@4"))
        assert metric is not None, name
        assert metric.neighbors_needed == (4 if name.endswith("@k") else 1)
    assert metric_of_name("recall@0x") is metric_of_name("r_recision") is None
    with pytest.raises(ValueError, match="`k` must be at least 1"):
        metric_of_name("recall@0")
