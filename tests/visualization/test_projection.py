import numpy as np
import pytest

from keras_similarity.visualization import plot_projection
from keras_similarity.visualization.projection import project

pytestmark = pytest.mark.keras_free
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(np.arange(15), 4)
EMBEDDINGS = RANDOM.normal(size=(15, 8))[LABELS] + 0.01 * RANDOM.normal(size=(60, 8))


def test_pca_finds_the_two_directions_of_the_largest_variance():
    points = project(EMBEDDINGS.astype("float32"))
    centered = EMBEDDINGS - EMBEDDINGS.mean(axis=0)
    _, vectors = np.linalg.eigh(centered.T @ centered)
    expected = centered @ vectors[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)


def test_tsne_keeps_classes_together_and_repeats_itself():
    points = project(EMBEDDINGS.astype("float32"), method="tsne", seed=3)
    np.testing.assert_array_equal(
        points, project(EMBEDDINGS.astype("float32"), method="tsne", seed=3)
    )
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert (LABELS[gaps.argmin(axis=1)] == LABELS).mean() > 0.9


def test_named_classes_differ_in_shape_and_have_their_names_beside_them():
    axes = plot_projection(EMBEDDINGS, LABELS, [f"class {i}" for i in range(15)])
    others, *named = axes.collections
    assert len(named) == 12
    assert len({c.get_paths()[0].vertices.tobytes() for c in named}) == 12
    assert len(others.get_offsets()) == 3 * 4
    assert {text.get_text() for text in axes.texts} == {f"class {i}" for i in range(12)}


def test_the_largest_classes_are_named():
    axes = plot_projection(EMBEDDINGS[:40], [5] * 9 + [2] * 21 + [7] * 10, max_classes=2)
    assert {text.get_text() for text in axes.texts} == {"2", "7"}
    assert not plot_projection(EMBEDDINGS, LABELS, max_classes=0).texts


def test_names_of_classes_in_one_place_do_not_cover_each_other():
    embeddings = np.tile(RANDOM.normal(size=(6, 8)), (4, 1))
    axes = plot_projection(embeddings, np.repeat(np.arange(4), 6))
    heights = sorted(text.get_position()[1] for text in axes.texts)
    span = np.ptp(project(embeddings.astype("float32"))[:, 1])
    assert np.diff(heights).min() > 0.045 * span


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (2, {}, "at least 3 rows"),
        (60, {"method": "umap"}, "`method` must be 'pca' or 'tsne'"),
        (60, {"max_classes": 13}, "between 0 and 12"),
    ],
)
def test_bad_arguments_are_told(rows, options, message):
    with pytest.raises(ValueError, match=message):
        plot_projection(EMBEDDINGS[:rows], LABELS[:rows], **options)
