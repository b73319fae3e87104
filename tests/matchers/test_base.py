import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_similarity import matchers
from keras_similarity.matchers import (
    ClassificationMatch,
    MatchMajorityVote,
    MatchNearest,
    MatchWeightedVote,
)
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

NAN = float("nan")
INF = float("inf")


class AlwaysSeven(ClassificationMatch):
    """A user's rule, which knows nothing of missing labels."""

    def derive_match(self, lookup_labels, lookup_distances):
        return np.full((len(lookup_labels), 1), 7), lookup_distances[:, :1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 2),
            st.sampled_from([0.0, 0.25, 0.5, 1.0, INF]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.3, 1.0, INF]), min_size=1, max_size=5),
)
def test_counts_are_those_of_a_loop(rows, thresholds):
    queries, labels, distances = zip(*rows, strict=True)
    matcher = MatchNearest()
    matcher.compile(thresholds)
    matcher.compute_count(queries, np.array([labels]).T, np.array([distances]).T)
    expected = {"tp": [], "fp": [], "tn": [], "fn": []}
    for threshold in sorted(thresholds):
        count = dict.fromkeys(expected, 0)
        for query, label, distance in rows:
            is_right = query == label
            if distance <= threshold:
                count["tp" if is_right else "fp"] += 1
            else:
                count["fn" if is_right else "tn"] += 1
        for name, value in count.items():
            expected[name].append(value)
    for name, values in expected.items():
        assert getattr(matcher, name).tolist() == values
    assert matcher.count == len(rows)


@pytest.mark.parametrize("matcher", [MatchNearest(), MatchMajorityVote()])
def test_a_query_without_neighbours_never_matches(matcher):
    matcher.compile([1.0, INF])
    labels = np.array([[7, 7], [NO_LABEL, NO_LABEL]])
    distances = np.array([[0.5, 0.5], [NAN, NAN]])
    matcher.compute_count([7, 7], labels, distances)
    assert (matcher.tp.tolist(), matcher.fp.tolist()) == ([1, 1], [0, 0])
    assert (matcher.tn.tolist(), matcher.fn.tolist()) == ([1, 1], [0, 0])
    derived_labels, derived_distances = matcher.derive_match(labels, distances)
    assert derived_labels.tolist() == [[7], [NO_LABEL]]
    assert not (derived_distances[1] <= INF).any()


@pytest.mark.parametrize("matcher", [MatchNearest(), MatchMajorityVote()])
def test_no_neighbours_at_all(matcher):
    matcher.compile()
    matcher.compute_count([7, 8], np.zeros((2, 0), int), np.zeros((2, 0)))
    assert (matcher.tp.tolist(), matcher.tn.tolist()) == ([0], [2])


def test_a_missing_label_is_no_match_even_where_the_query_has_that_number():
    matcher = MatchNearest()
    matcher.compile()
    matcher.compute_count([NO_LABEL], [[NO_LABEL]], [[0.0]])
    assert (matcher.tp.tolist(), matcher.fp.tolist()) == ([0], [0])
    assert (matcher.tn.tolist(), matcher.fn.tolist()) == ([1], [0])


def test_a_subclass_only_derives():
    matcher = AlwaysSeven("seven")
    matcher.compile([0.5])
    matcher.compute_count([7, 8], [[1], [1]], [[0.1], [0.2]])
    assert (matcher.tp.tolist(), matcher.fp.tolist()) == ([1], [1])


def test_a_subclass_may_answer_no_label_at_a_distance():
    class NoAnswer(ClassificationMatch):
        def derive_match(self, lookup_labels, lookup_distances):
            return np.full((len(lookup_labels), 1), NO_LABEL), lookup_distances[:, :1]

    matcher = NoAnswer("none")
    matcher.compile()
    matcher.compute_count([7], [[7]], [[0.1]])
    assert (matcher.fp.tolist(), matcher.tn.tolist()) == ([0], [1])


def test_thresholds_are_sorted_and_float32():
    matcher = MatchNearest()
    matcher.compile([0.3, 0.1])
    assert matcher.distance_thresholds.tolist() == np.float32([0.1, 0.3]).tolist()
    # In float64 the float32 that prints as 0.3 is larger than 0.3.
    matcher.compute_count([7], [[7]], np.float32([[0.3]]))
    assert matcher.tp.tolist() == [0, 1]


def test_compiling_again_forgets_the_counts():
    matcher = MatchNearest()
    matcher.compile([0.3])
    matcher.compute_count([7], [[7]], [[0.3]])
    matcher.compile([0.1, 0.2])
    with pytest.raises(AttributeError, match="compute_count"):
        _ = matcher.tp


@pytest.mark.parametrize("name", ["tp", "fp", "tn", "fn", "count"])
def test_counts_need_compute_count(name):
    with pytest.raises(
        AttributeError,
        match=r"Matcher.compute_count\(\) must be called before accessing the counts.",
    ):
        getattr(MatchNearest(), name)


@pytest.mark.parametrize(
    "queries, labels, distances, error, message",
    [
        ([1], [1], [[0.1]], ValueError, r"`lookup_labels` must .*\(1,\)"),
        ([1], [[1]], [0.1], ValueError, r"`lookup_distances` must .*\(1,\)"),
        ([1], [[1]], [[0.1, 0.2]], ValueError, r"same shape.*\(1, 1\).*\(1, 2\)"),
        ([1, 2], [[1]], [[0.1]], ValueError, "`query_labels` .* 1 of them"),
        ([[1, 2]], [[1]], [[0.1]], ValueError, "`query_labels`"),
        ([1], [[1.5]], [[0.1]], TypeError, "`lookup_labels` must be integers"),
        (["a"], [[1]], [[0.1]], TypeError, "`query_labels` must be integers"),
    ],
)
def test_wrong_input(queries, labels, distances, error, message):
    matcher = MatchNearest()
    matcher.compile()
    with pytest.raises(error, match=message):
        matcher.compute_count(queries, labels, distances)


def test_not_compiled():
    with pytest.raises(ValueError, match="compile"):
        MatchNearest().compute_count([1], [[1]], [[0.1]])


@pytest.mark.parametrize("thresholds", [[], [0.1, NAN]])
def test_wrong_thresholds(thresholds):
    with pytest.raises(ValueError, match="distance_thresholds"):
        MatchNearest().compile(thresholds)


@pytest.mark.parametrize("identifier", ["match_nearest", "MATCH_NEAREST", "MatchNearest"])
def test_aliases(identifier):
    assert type(matchers.make_classification_matcher(identifier)) is MatchNearest


def test_an_object_is_itself():
    matcher = MatchMajorityVote()
    assert matchers.make_classification_matcher(matcher) is matcher


@pytest.mark.parametrize("identifier", ["nearest", "majority_vote", "match_nerest"])
def test_unknown_names(identifier):
    with pytest.raises(ValueError, match="Unknown classification matcher"):
        matchers.make_classification_matcher(identifier)


@pytest.mark.parametrize("cls", [MatchNearest, MatchMajorityVote, MatchWeightedVote])
@pytest.mark.parametrize("thresholds", [None, [0.5, 0.25, INF]])
def test_config_goes_through_json(cls, thresholds):
    matcher = cls(name="mine")
    if thresholds:
        matcher.compile(thresholds)
    config = json.loads(json.dumps(matchers.serialize(matcher)))
    again = matchers.deserialize(config)
    assert type(again) is cls
    assert again.get_config() == matcher.get_config()
    assert config["config"]["distance_thresholds"] == (thresholds and sorted(thresholds))


def test_texts():
    assert str(MatchNearest()) == "nearest"
    assert repr(MatchMajorityVote("mine")) == "match_majority_vote:mine"
