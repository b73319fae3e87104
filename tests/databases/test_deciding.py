"""What an index decides is the same, whoever keeps its rows."""

import numpy as np
import pytest

from keras_similarity.indexer import Indexer, impostors

pytestmark = pytest.mark.keras_free


@pytest.mark.parametrize("few", [1, 256])
@pytest.mark.parametrize("kind", ["lance", "milvus-lite"])
def test_rates_and_centers_are_those_of_a_store(make, few, monkeypatch):
    monkeypatch.setattr(impostors, "_FEW", few)
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(40, 2)), [None, *np.arange(39) % 5]
    queries, own = random.normal(size=(200, 2)), np.arange(200) % 5
    plain, index = Indexer(2, "euclidean"), make()
    for each in (plain, index):
        each.batch_add(vectors, labels, verbose=0)
    expected, actual = (
        each.calibrate(queries, own, target_far=0.05, verbose=0)
        for each in (plain, index)
    )
    assert actual.false_accepts == expected.false_accepts
    assert actual.false_accepts.kind == "every"
    distances = [r.cutpoints["target_far"]["distance"] for r in (actual, expected)]
    assert distances[0] == pytest.approx(distances[1], abs=1e-5)
    found = [each.centers().batch_lookup(queries, k=2) for each in (plain, index)]
    assert found[0].labels.tolist() == found[1].labels.tolist()
    np.testing.assert_allclose(found[0].distances, found[1].distances, atol=1e-5)
