import numpy as np
import pytest

from keras_similarity import distances
from keras_similarity.set_metrics import pair_counts
from keras_similarity.visualization import plot_distances

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 8, 120)
EMBEDDINGS = RANDOM.normal(size=(8, 5))[LABELS] + RANDOM.normal(size=(120, 5))


def stairs(figure):
    """Heights and edges of the positive and of the negative pairs."""
    found = [patch.get_data() for patch in figure.axes[0].patches if patch.get_fill()]
    return [(data.values, data.edges) for data in found]


@pytest.mark.parametrize("distance", ["cosine", "inner_product"])
@pytest.mark.parametrize("limit", [2**22, 0], ids=["single pairs", "bins"])
def test_histograms_are_those_of_the_pairs(monkeypatch, distance, limit):
    monkeypatch.setattr(pair_counts, "EXACT_PAIRS", limit)
    matrix = distances.get(distance)(EMBEDDINGS.astype("float32"))
    first, second = np.triu_indices(120, 1)
    values, positive = matrix[first, second], LABELS[first] == LABELS[second]
    figure = plot_distances(EMBEDDINGS, LABELS, distance)
    for (heights, edges), chosen in zip(
        stairs(figure), (values[positive], values[~positive]), strict=True
    ):
        expected, _ = np.histogram(chosen, edges)
        actual = heights * len(chosen) * np.diff(edges)
        assert np.abs(actual - expected).sum() <= 0.02 * len(chosen)


def test_the_threshold_says_what_it_accepts():
    points, labels = [[0.0], [1.0], [3.0]], [0, 0, 1]
    figure = plot_distances(points, labels, "euclidean", threshold=2.0)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "threshold 2: TAR 1.000, FAR 0.5" in texts


def test_the_legend_is_within_the_figure():
    figure = plot_distances(EMBEDDINGS, LABELS, threshold=0.123456)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_one_kind_of_pairs_is_told():
    with pytest.raises(ValueError, match="a positive and a negative pair"):
        plot_distances([[0.0], [1.0]], [0, 0])
