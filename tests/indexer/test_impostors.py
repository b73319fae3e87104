import numpy as np
import pytest

from keras_similarity.indexer import Indexer, impostors
from keras_similarity.indexer.choice import ANY
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free


def make(seed=0, rows=200, classes=6):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, 3))
    labels = random.integers(0, classes, rows).tolist()
    labels[:10] = [None] * 10
    index = Indexer(3, "euclidean")
    index.batch_add(vectors, labels)
    queries = random.normal(size=(40, 3))
    return index, vectors, labels, queries, random.integers(0, classes + 2, 40)


@pytest.mark.parametrize("few", [0, 35, 256])
@pytest.mark.parametrize("at_once", [10, 2**22])
def test_neighbours_are_those_of_a_loop_over_other_classes(few, at_once, monkeypatch):
    monkeypatch.setattr(impostors, "_FEW", few)
    monkeypatch.setattr(impostors, "_AT_ONCE", at_once)
    index, vectors, labels, queries, own = make()
    found = impostors.impostor_lookups(
        index._lookup, queries.astype("float32"), own, 4, index._labels()
    )
    for query, label, near, names in zip(
        queries, own.tolist(), found.distances, found.labels.tolist(), strict=True
    ):
        others = [row for row in range(len(labels)) if labels[row] != label]
        distances = np.linalg.norm(vectors[others] - query, axis=1)
        order = np.argsort(distances)[:4]
        np.testing.assert_allclose(near, distances[order], rtol=1e-4)
        expected = [labels[others[place]] for place in order]
        assert names == [NO_LABEL if e is None else e for e in expected]


@pytest.mark.parametrize("few", [0, 256])
def test_rows_are_short_where_there_are_few_others(few, monkeypatch):
    monkeypatch.setattr(impostors, "_FEW", few)
    index = Indexer(1, "euclidean")
    index.batch_add([[0.0], [1.0], [2.0]], [7, 7, 8])
    queries = np.array([[0.0], [0.0], [0.0]], "float32")
    found = impostors.impostor_lookups(
        index._lookup, queries, np.array([7, 8, 9]), 3, index._labels()
    )
    assert found.is_found.sum(axis=1).tolist() == [1, 2, 3]
    assert found.distances[0, 0] == 2 and np.isnan(found.distances[0, 1:]).all()
    assert found.labels.tolist()[1] == [7, 7, NO_LABEL]
    assert [len(row) for row in found] == [1, 2, 3]


def test_each_class_is_asked_once_however_many_queries(monkeypatch):
    monkeypatch.setattr(impostors, "_FEW", 0)
    index, _, _, queries, own = make()
    calls = []

    def find(embeddings, k, choice):
        calls.append((len(embeddings), choice is ANY))
        return index._lookup(embeddings, k, choice)

    labels = index._labels()
    impostors.impostor_lookups(find, queries.astype("float32"), own, 2, labels)
    is_known = np.isin(own, labels)
    assert len(calls) == 1 + len(np.unique(own[is_known]))
    assert sum(count for count, _ in calls) == len(own)
