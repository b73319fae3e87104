import logging

import numpy as np
import pytest
from PIL import Image

from keras_similarity.datasets import DatasetError, load_folder
from keras_similarity.preprocessing import Preprocessing

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
SMALL = Preprocessing((6, 6))


@pytest.fixture
def folder(tmp_path):
    """Nine classes, "a" to "i", of two to four pictures of several sizes and formats."""
    for index, name in enumerate("ihgfedcba"):
        (tmp_path / name).mkdir()
        for number in range(2 + index % 3):
            pixels = RNG.integers(0, 256, (6 + index, 6, 3), dtype="uint8")
            ending = ("png", "jpg", "BMP")[number % 3]
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{ending}")
    return tmp_path


def test_labels_name_the_class_folders(folder):
    dataset = load_folder(folder, SMALL)
    assert dataset.class_names == tuple("abcdefghi")
    assert dataset.name == folder.name
    for x, y in dataset:
        for label in np.unique(y):
            files = sorted((folder / dataset.class_names[label]).iterdir())
            expected = [SMALL.from_file(file) for file in files]
            np.testing.assert_array_equal(x[y == label], expected)


@pytest.mark.parametrize(("share", "number"), [(1 / 3, 3), (0.01, 1), (0.99, 8)])
def test_a_share_of_the_classes_is_held_out(folder, share, number):
    dataset = load_folder(folder, SMALL, test_share=share)
    assert len(dataset.test_classes) == number
    both = np.concatenate([dataset.train_classes, dataset.test_classes])
    np.testing.assert_array_equal(np.sort(both), np.arange(9))


def test_the_seed_chooses_the_classes_held_out(folder):
    held_out = [tuple(load_folder(folder, SMALL, seed=s).test_classes) for s in range(6)]
    assert len(set(held_out)) > 1
    assert tuple(load_folder(folder, SMALL, seed=3).test_classes) == held_out[3]


def test_pictures_become_64_by_64_in_colour_by_default(folder):
    assert load_folder(folder).x_test.shape[1:] == (64, 64, 3)


def test_other_files_are_passed_over_and_counted(folder, caplog):
    (folder / "a" / "notes.txt").write_text("no picture")
    (folder / "a" / ".hidden.png").write_text("no picture")
    (folder / ".thumbnails").mkdir()
    (folder / "list.csv").write_text("")
    with caplog.at_level(logging.WARNING):
        assert len(load_folder(folder, SMALL).class_names) == 9
    assert "1 files are no pictures" in caplog.text


def test_an_unreadable_picture_is_named(folder):
    (folder / "c" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"Not a picture that can be read: .*broken"):
        load_folder(folder, SMALL)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no folder .*nowhere"):
        load_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_classes_are_refused(tmp_path, number):
    (tmp_path / "empty").mkdir()
    for index in range(number):
        (tmp_path / f"class {index}").mkdir()
        Image.new("L", (4, 4)).save(tmp_path / f"class {index}" / "picture.png")
    with pytest.raises(DatasetError, match=f"at least two folders .* it holds {number}"):
        load_folder(tmp_path)


@pytest.mark.parametrize("share", [0, 1, -1])
def test_the_share_must_leave_something(folder, share):
    with pytest.raises(ValueError, match="`test_share` must be between 0 and 1"):
        load_folder(folder, test_share=share)
