import numpy as np
import pytest

from keras_similarity.evaluators import audit
from keras_similarity.visualization import plot_audit

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")
sklearn_datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def digits():
    pictures, labels = sklearn_datasets.load_digits(return_X_y=True)
    pictures, labels = pictures[:400], labels[:400].copy()
    labels[10] = 4  # A clear 0.
    labels[6] = 70  # The only one of its class.
    pictures[300] = pictures[3]
    return pictures, labels


def headings(figure):
    return [part.get_suptitle() for part in figure.subfigs]


def titles(part):
    return [axes.get_title() for axes in part.axes if axes.axison]


def test_each_kind_has_a_section(digits):
    pictures, labels = digits
    found = audit(pictures, labels, sets=["train"] * 200 + ["query"] * 200)
    figure = plot_audit(found, pictures.reshape(-1, 8, 8) / 16, title="Digits")
    assert [heading.split(":")[0] for heading in headings(figure)] == [
        "Likely label errors",
        "Near-duplicates",
        "Classes that can hardly be told apart",
        "Classes with one example",
    ]
    errors, duplicates, _, singletons = figure.subfigs
    flipped = "is: 4\nlike: 0"
    place = [title.startswith(flipped) for title in titles(errors)].index(True)
    assert found.label_errors["row"][place] == 10
    assert "train\nrow 3" in titles(duplicates)[0]
    assert "query\nrow 300" in titles(duplicates)[1]
    assert [title.split("\n")[0] for title in titles(singletons)] == ["70"]
    shown = errors.axes[place].images[0].get_array()
    np.testing.assert_allclose(shown, pictures[10].reshape(8, 8) / 16, atol=1e-6)


def test_a_clean_set_says_so():
    embeddings = np.repeat(np.eye(3), 5, axis=0) + 0.01 * np.arange(15)[:, None]
    found = audit(embeddings, np.repeat([0, 1, 2], 5), k=3, duplicate_distance=0.0)
    figure = plot_audit(found, np.zeros((15, 4, 4)))
    said = [part.texts[-1].get_text() for part in figure.subfigs]
    assert said == ["none found"] * 4


def test_missing_pictures_are_told(digits):
    pictures, labels = digits
    with pytest.raises(ValueError, match="a picture of each row, 400"):
        plot_audit(audit(pictures, labels), pictures[:5])
