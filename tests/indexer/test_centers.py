import numpy as np
import pytest

from keras_similarity.indexer import Indexer, centers, field
from keras_similarity.stores import SQLiteStore

pytestmark = pytest.mark.keras_free


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("at_once", [7, 2**16])
def test_rows_are_the_means_of_classes(distance, at_once, monkeypatch):
    monkeypatch.setattr(centers, "_ROWS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 4)) * random.uniform(0.5, 9, size=(60, 1))
    labels = [None, *random.choice([5, -3, 2**40], 59).tolist()]
    index = Indexer(4, distance)
    index.batch_add(vectors, labels)
    index.delete([1, 2, 3])
    kept = [row for row in range(60) if row > 3]
    found = index.centers()
    assert found.size() == 3 and str(found.distance) == str(index.distance)
    for label in (5, -3, 2**40):
        rows = [vectors[row] for row in kept if labels[row] == label]
        if distance == "cosine":
            rows = [row / np.linalg.norm(row) for row in rows]
        only = found.batch_lookup(vectors[:1], k=1, filter=field("label") == label)
        np.testing.assert_allclose(
            only.embeddings[0, 0], np.mean(rows, axis=0), rtol=1e-4
        )
        assert only.ids.item() == only.labels.item() == label
        assert only.metadata["examples"] == [[len(rows)]]


def test_with_few_examples_means_are_better_neighbours():
    random = np.random.default_rng(1)
    places = random.normal(size=(50, 16))
    labels = np.repeat(np.arange(50), 5)
    index = Indexer(16, "euclidean")
    index.batch_add(places[labels] + random.normal(size=(250, 16)), labels)
    queries = places[labels] + random.normal(size=(250, 16))

    def share_found(index):
        return (index.batch_lookup(queries, k=1).labels[:, 0] == labels).mean()

    assert share_found(index.centers()) > share_found(index) + 0.1


def test_an_index_of_means_is_calibrated_saved_and_matches(tmp_path):
    index = Indexer(1, "euclidean", kv_store=SQLiteStore(str(tmp_path / "rows.sqlite")))
    index.batch_add([[0.0], [2.0], [9.0], [11.0]], [1, 1, 2, 2])
    index.model = {"weights": "abc"}
    found = index.centers()
    found.calibrate([[1.5], [10.5], [5.0]], [1, 2, 3], verbose=0)
    assert found.match([[1.4], [10.0], [5.5]])["optimal"] == [1, 2, -1]
    found.save(tmp_path / "centers")
    loaded = Indexer.load(tmp_path / "centers", verbose=0)
    assert loaded.match([[1.4], [10.0], [5.5]])["optimal"] == [1, 2, -1]
    assert loaded.model == {"weights": "abc"} and index.size() == 4


def test_there_must_be_classes():
    index = Indexer(1)
    with pytest.raises(IndexError, match="examples with labels"):
        index.centers()
    index.batch_add([[1.0]])
    with pytest.raises(IndexError, match="examples with labels"):
        index.centers()
