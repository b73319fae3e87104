import numpy as np
import pytest

from keras_similarity.architectures import SmallConvSim
from keras_similarity.backend import keras
from keras_similarity.cli.main import main
from keras_similarity.cli.search import class_name, find_matches, format_neighbors
from keras_similarity.indexer import Indexer
from keras_similarity.preprocessing import Preprocessing
from keras_similarity.types import Lookup

Image = pytest.importorskip("PIL.Image")

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype="uint8")
NAMES = ["\u0416", "square", "bell\a"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A calibrated model, and pictures that are in its index."""
    folder = tmp_path_factory.mktemp("search")
    model = SmallConvSim((8, 8, 1), embedding_size=8)
    model.compile()
    model.preprocessing = Preprocessing((8, 8), channels=1)
    model.class_names = NAMES
    x = model.preprocessing.from_array(PICTURES)
    model.index(x, y=[0, 0, 1, 1, 2, 2], verbose=0)
    model.calibrate(x, [0, 0, 1, 1, 2, 2], verbose=0)
    model.save(folder / "model.keras")
    model.preprocessing = None
    model.save(folder / "no-preprocessing.keras")
    model.reset_index()
    model.save(folder / "empty.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(
        folder / "other.keras"
    )
    for place, picture in enumerate(PICTURES):
        Image.fromarray(picture[..., 0]).save(folder / f"{place}.png")
    (folder / "text.png").write_text("no picture")
    (folder / "text.keras").write_text("no model")
    content = (folder / "model.keras").read_bytes()
    (folder / "short.keras").write_bytes(content[: len(content) // 2])
    # Amid the weights: the list of files, at the end, is whole.
    damaged = bytearray(content)
    middle = content.index(b"model.weights.h5") + 2000
    damaged[middle : middle + 500] = bytes(500)
    (folder / "damaged.keras").write_bytes(damaged)
    return folder


def test_neighbours_are_printed_picture_by_picture(folder, capsys):
    paths = [str(folder / "2.png"), str(folder / "5.png")]
    assert main(["search", str(folder / "model.keras"), *paths, "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[4]] == paths
    assert lines[1].split() == ["rank", "class", "distance"]
    assert lines[2].split() == ["1", "square", "0.0000", "match"]
    assert lines[3].startswith("     2  ")
    assert lines[6].split() == ["1", "bell\\x07", "0.0000", "match"]
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.keras", "0.png"], "There is no file 'absent.keras'."),
        (["model.keras", "absent.png"], "There is no file 'absent.png'."),
        ([".", "0.png"], "'.' is a folder, not a file."),
        (["model.keras", "text.png"], "Not a picture that can be read: 'text.png'"),
        (["text.keras", "0.png"], "'text.keras' cannot be read as a Keras model"),
        (
            ["short.keras", "0.png"],
            "'short.keras' cannot be read as a Keras model: it is",
        ),
        (["damaged.keras", "0.png"], "'damaged.keras' cannot be read as a Keras model: "),
        (["other.keras", "0.png"], "'other.keras' is no similarity model, but a Sequ"),
        (["empty.keras", "0.png"], "The index of 'empty.keras' is empty"),
        (["no-preprocessing.keras", "0.png"], "was saved without preprocessing"),
        (["model.keras", "0.png", "-k", "0"], "-k must be 1 or more. Received: 0."),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    folder, arguments, message, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    assert main(["search", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ksim: ") and message in printed.err
    assert printed.err.count("\n") == 1


class Model:
    """What `find_matches` asks a model for."""

    def __init__(self, distance, labels=(0, 1)):
        self.indexer = Indexer(2, distance=distance)
        self.indexer.batch_add([[1.0, 0.0], [0.0, 1.0]], labels=labels)


def test_what_lies_on_the_threshold_matches_as_in_calibrating():
    model = Model("cosine")
    # Matches up to the first query's distance are right, the second query's is wrong.
    queries = np.array([[1.0, 0.7], [1.0, 0.9]], "float32")
    calibration = model.indexer.calibrate(queries, [0, 1], verbose=0)
    distances = model.indexer.batch_lookup(queries, k=2).distances
    assert calibration.cutpoints["optimal"]["distance"] == pytest.approx(distances[0, 0])
    assert find_matches(model, distances) == [[True, False], [False, False]]


def test_similarities_match_above_the_threshold():
    model = Model("inner_product")
    queries = np.array([[5.0, 0.0], [2.0, 0.0]], "float32")
    model.indexer.calibrate(queries, [0, 1], verbose=0)
    distances = model.indexer.batch_lookup(queries, k=2).distances
    assert find_matches(model, distances) == [[True, False], [False, False]]


def test_without_a_calibration_nothing_is_said_of_matches():
    assert find_matches(Model("cosine"), np.zeros((2, 1))) == [None, None]
    lines = format_neighbors("a.png", [Lookup(1, 0.5, 7)], None, None).splitlines()
    assert lines[2].split() == ["1", "7", "0.5000"]


@pytest.mark.parametrize(
    ("label", "text"),
    [(0, "\u0416 U+0416"), (1, "square"), (2, "bell\\x07"), (3, "3"), (None, "-")],
)
def test_class_names_can_be_told_apart(label, text):
    assert class_name(label, NAMES) == text


def test_classes_with_thresholds_of_their_own_match_by_those():
    model, random = Model("euclidean"), np.random.default_rng(0)
    # Right answers of class 0 lie near, those of class 1 far.
    labels = np.arange(60) % 2
    places = np.array([[1.0, 0.0], [0.0, 1.0]])[labels]
    queries = places + np.array([[0.1, 0.1], [0.4, 0.4]])[labels] * random.random((60, 2))
    model.indexer.calibrate(queries, labels, per_class=True, verbose=0)
    near, far = model.indexer.class_thresholds().values()
    distances, names = np.full((1, 2), (near + far) / 2), np.array([[0, 1]])
    assert find_matches(model, distances, names) == [[False, True]]
