import gzip

import numpy as np
import pytest

from keras_similarity.datasets import DatasetError, fashion_mnist, load_fashion_mnist

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def parts(tmp_path):
    """Twenty pictures of each part, in the files of the real one."""
    parts = {}
    for part in ("train", "t10k"):
        images = RNG.integers(0, 256, (20, 28, 28), dtype="uint8")
        labels = np.arange(20, dtype="uint8") % 10
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
        parts[part] = images, labels
    return parts


def test_seen_classes_train_and_unseen_classes_test(tmp_path, parts):
    dataset = load_fashion_mnist(tmp_path, unseen=(0, 9))
    images, labels = parts["train"]
    is_seen = (labels > 0) & (labels < 9)
    np.testing.assert_array_equal(dataset.y_train, labels[is_seen])
    np.testing.assert_allclose(dataset.x_train[..., 0], images[is_seen] / 255, atol=1e-6)
    images, labels = parts["t10k"]
    np.testing.assert_array_equal(dataset.y_test, labels[[0, 9, 10, 19]])
    np.testing.assert_allclose(
        dataset.x_test[..., 0], images[[0, 9, 10, 19]] / 255, atol=1e-6
    )


def test_the_debian_package_has_the_real_one():
    if not fashion_mnist._DEBIAN.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    dataset = load_fashion_mnist()
    assert dataset.x_train.shape == (42000, 28, 28, 1)
    assert dataset.x_test.shape == (3000, 28, 28, 1)
    assert [dataset.class_names[i] for i in dataset.test_classes] == [
        "Pullover",
        "Sandal",
        "Bag",
    ]
    # Sandals are the emptier pictures.
    means = dataset.x_test.mean(axis=(1, 2, 3))
    assert means[dataset.y_test == 5].mean() < 0.7 * means[dataset.y_test == 2].mean()


def test_a_missing_file_is_named(tmp_path, parts):
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match=r"There is no file .*t10k-labels"):
        load_fashion_mnist(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:500], lambda b: b"x", lambda b: gzip.compress(b"x" * 40)]
)
def test_a_damaged_file_is_named(tmp_path, parts, damage):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match="train-images"):
        load_fashion_mnist(tmp_path)


def test_without_files_and_without_keras_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", tmp_path / "none")
    monkeypatch.setenv("KSIM_KERAS", "0")
    fashion_mnist.require_keras.__globals__["keras_problem"].cache_clear()
    with pytest.raises(DatasetError, match=r"Install the Debian package"):
        load_fashion_mnist()
    fashion_mnist.require_keras.__globals__["keras_problem"].cache_clear()
