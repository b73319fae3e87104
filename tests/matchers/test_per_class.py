import json

import numpy as np
import pytest

from keras_similarity import matchers
from keras_similarity.matchers import MatchPerClass, MatchWeightedVote
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free


def test_one_threshold_is_one_for_each_class():
    labels = np.array([[1], [1], [2], [2], [3], [3]])
    distances = np.array([[0.6], [0.8], [0.3], [0.5], [0.4], [0.6]])
    matcher = MatchPerClass("match_nearest", {1: 0.25, 2: -0.125})
    matcher.compile([0.5])
    matcher.compute_count(labels[:, 0], labels, distances)
    limits = {1: 0.75, 2: 0.375, 3: 0.5}
    expected = sum(
        d <= limits[label]
        for label, d in zip(labels[:, 0].tolist(), distances[:, 0].tolist(), strict=True)
    )
    assert matcher.tp.tolist() == [expected] == [3]


def test_no_offsets_change_nothing_and_no_label_stays_none():
    matcher = MatchPerClass()
    labels, distances = matcher.derive_match([[5], [NO_LABEL]], [[0.5], [0.1]])
    assert labels.tolist() == [[5], [NO_LABEL]]
    assert distances[0] == 0.5 and np.isnan(distances[1])
    assert MatchPerClass(offsets={9: 1.0}).derive_match([[5]], [[0.5]])[1] == 0.5
    assert MatchPerClass(offsets={1: 1.0}).derive_match([[5]], [[0.5]])[1] == 0.5


def test_config_goes_through_json():
    matcher = MatchPerClass(MatchWeightedVote(0.5), {2**60: 0.25, -3: -1.0})
    matcher.compile([0.1])
    config = json.loads(json.dumps(matchers.serialize(matcher)))
    again = matchers.deserialize(config)
    assert again.get_config() == matcher.get_config()
    assert again.offsets == matcher.offsets and again.matcher.temperature == 0.5
