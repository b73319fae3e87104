import numpy as np
import pytest

from keras_similarity.datasets import DatasetError, glyphs, load_glyphs

pytestmark = pytest.mark.keras_free


@pytest.fixture(scope="module")
def dataset():
    return load_glyphs()


def test_no_class_is_in_both_parts_and_every_class_has_company(dataset):
    assert not np.intersect1d(dataset.train_classes, dataset.test_classes).size
    assert (len(dataset.train_classes), len(dataset.test_classes)) == (520, 260)
    counts = np.bincount(np.concatenate([dataset.y_train, dataset.y_test]))
    assert (counts.min(), counts.max()) == (20, 32)
    assert len(counts) == len(dataset.class_names) == len(set(dataset.class_names))


def test_the_split_stays_the_same(dataset):
    # As `scripts/make_glyphs.py` drew it; results are compared across versions.
    unseen = "".join(dataset.class_names[label][0] for label in dataset.test_classes)
    assert unseen.startswith(".2?AEOQW`ilx")


def test_no_picture_is_in_both_parts(dataset):
    train = {picture.tobytes() for picture in dataset.x_train}
    shared = np.mean([picture.tobytes() in train for picture in dataset.x_test])
    # A few characters look alike in a few faces.
    assert shared < 0.01


def test_arrays_are_what_a_model_takes(dataset):
    (x_train, y_train), (x_test, y_test) = dataset
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.shape == (len(y), *dataset.preprocessing.shape) == (len(y), 32, 32, 1)
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert (x.min(), x.max()) == (0, 1)


def test_the_pictures_show_the_characters_they_are_called_by(dataset):
    images = dataset.preprocessing.to_pixels(
        np.concatenate([dataset.x_train, dataset.x_test])
    )
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    means = {
        name[0]: images[labels == label].mean(axis=0)[..., 0]
        for label, name in enumerate(dataset.class_names)
    }
    # "L" is heavy in the lower left corner, "." in the middle, "T" above.
    assert means["L"][16:, :16].mean() > 2 * means["L"][:16, 16:].mean()
    assert means["T"][:14].mean() > means["T"][18:].mean()
    assert means["."][10:22, 10:22].sum() > 0.9 * means["."].sum()


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_missing_or_damaged_file_is_one_sentence(content, tmp_path, monkeypatch):
    path = tmp_path / "glyphs.npz.xz"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(glyphs, "_FILE", path)
    with pytest.raises(DatasetError, match="glyphs that travel inside the package"):
        load_glyphs()


def test_the_file_is_at_most_3_mb():
    assert glyphs._FILE.stat().st_size < 3e6
