import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from keras_similarity import set_metrics
from keras_similarity.set_metrics import AMI, NMI, ami

pytestmark = pytest.mark.keras_free

RANDOM = np.random.default_rng(0)


def given(clusters):
    return lambda embeddings, number: clusters


@pytest.mark.parametrize(("classes", "clusters"), [(3, 3), (40, 25), (2, 100)])
def test_values_are_scikit_learns(classes, clusters):
    labels = RANDOM.integers(0, classes, 200)
    found = np.where(
        RANDOM.random(200) < 0.5, labels % clusters, RANDOM.integers(0, clusters, 200)
    )
    embeddings = np.zeros((200, 2))
    draws = RANDOM.multinomial(200, np.full(200, 1 / 200), size=4)
    for metric, score in (
        (NMI(given(found)), normalized_mutual_info_score),
        (AMI(given(found)), adjusted_mutual_info_score),
    ):
        value = metric.compute(embeddings, labels)
        assert value == pytest.approx(score(labels, found), abs=1e-9)
        values = metric.compute(embeddings, labels, weights=draws)
        for value, draw in zip(values, draws, strict=True):
            wanted = score(np.repeat(labels, draw), np.repeat(found, draw))
            assert value == pytest.approx(wanted, abs=1e-9)


def test_the_expectation_may_come_in_parts(monkeypatch):
    classes, clusters = RANDOM.integers(1, 40, 30), RANDOM.integers(1, 40, 30)
    clusters[0] += classes.sum() - clusters.sum() + 1000
    classes[0] += 1000
    whole = ami.expected_mutual_information(classes, clusters)
    monkeypatch.setattr(ami, "_TERMS", 7)
    assert ami.expected_mutual_information(classes, clusters) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("labels", "clusters"),
    [([0, 0, 0], [1, 1, 1]), ([0, 1, 2], [5, 6, 7]), ([0, 0, 0], [0, 1, 2])],
)
def test_edges_are_scikit_learns(labels, clusters):
    points = np.zeros((3, 2))
    wanted = normalized_mutual_info_score(labels, clusters)
    assert NMI(given(clusters)).compute(points, labels) == pytest.approx(wanted)
    wanted = adjusted_mutual_info_score(labels, clusters)
    assert AMI(given(clusters)).compute(points, labels) == pytest.approx(wanted)


def test_clear_clusters_are_found_by_kmeans():
    labels = np.repeat(np.arange(3), 40)
    embeddings = 20 * np.eye(3)[labels] + RANDOM.normal(size=(120, 3))
    metrics = [AMI(restarts=10), NMI(restarts=10), NMI(restarts=10, seed=1, name="b")]
    values = set_metrics.compute_all(metrics, embeddings, labels, "euclidean")
    assert values == pytest.approx({"ami": 1.0, "nmi": 1.0, "b": 1.0})
    # One start ends in another optimum here.
    assert AMI().compute(embeddings, labels, "euclidean") < 0.9


def test_cosine_clusters_directions():
    labels = np.repeat([0, 1], 40)
    lengths = 10 ** RANDOM.uniform(-2, 2, 80)
    embeddings = np.eye(2)[labels] * lengths[:, None]
    assert AMI().compute(embeddings, labels, "cosine") == pytest.approx(1.0)
    assert AMI().compute(embeddings, labels, "euclidean") < 0.9


def test_no_rows_have_no_value_and_wrong_clusters_are_told():
    assert np.isnan(AMI().compute(np.zeros((0, 2)), []))
    with pytest.raises(ValueError, match=r"`kmeans\(...\)` must hold one label a row"):
        AMI(given([0])).compute(np.zeros((3, 2)), [0, 1, 2])
