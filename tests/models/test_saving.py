import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_similarity
from keras_similarity.backend import framework
from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.preprocessing import Preprocessing
from tests.models.conftest import make_model
from tests.models.test_similarity_model import OwnModel, identity_model


def assert_same_answers(model, other, x):
    assert other.index_size() == model.index_size()
    np.testing.assert_allclose(other.embed(x), model.embed(x), atol=1e-5)
    lookups, others = model.lookup(x, k=3, verbose=0), other.lookup(x, k=3, verbose=0)
    np.testing.assert_array_equal(others.labels, lookups.labels)
    np.testing.assert_allclose(others.distances, lookups.distances, atol=1e-5)


@pytest.mark.parametrize("name", ["model.keras", "folder"])
def test_a_model_comes_back_with_its_index_and_calibration(
    trained, digits, tmp_path, name
):
    x, _ = digits
    trained.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    assert isinstance(loaded, SimilarityModel)
    assert type(loaded) is type(trained)
    assert_same_answers(trained, loaded, x[1200:1250])
    assert loaded.match(x[1200:], cutpoint="all") == trained.match(
        x[1200:], cutpoint="all"
    )
    np.testing.assert_array_equal(loaded.single_lookup(x[0], k=1)[0].data, x[0])
    assert loaded.loss.get_config() == trained.loss.get_config()
    assert int(loaded.optimizer.iterations) == int(trained.optimizer.iterations) > 0


def test_training_goes_on_where_it_stopped(digits, tmp_path):
    x, y = digits
    model = make_model()
    model.compile("adam", loss=TripletLoss(margin=0.1))
    model.fit(x[:200], y[:200], verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    histories = [
        m.fit(x[200:400], y[200:400], epochs=2, verbose=0, shuffle=False).history["loss"]
        for m in (model, loaded)
    ]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)


SCRIPT = """
import sys, numpy as np, keras_similarity, keras
model = keras.saving.load_model(sys.argv[1])
x = np.load(sys.argv[2])
assert model.index_size() == 300, model.index_size()
np.save(sys.argv[3], model.lookup(x, k=3, verbose=0).labels)
print(keras.config.backend(), model.match(x))
"""


def test_a_new_process_loads_it_under_another_backend(trained, digits, tmp_path):
    x, _ = digits
    trained.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x[1200:1220])
    backend = {"jax": "torch", "torch": "tensorflow", "tensorflow": "jax"}[framework()]
    paths = [str(tmp_path / name) for name in ("model.keras", "x.npy", "labels.npy")]
    package = str(Path(keras_similarity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *paths],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{backend} {trained.match(x[1200:1220])}"
    expected = trained.lookup(x[1200:1220], k=3, verbose=0).labels
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)


def test_a_users_subclass_comes_back(tmp_path):
    keras.saving.register_keras_serializable("tests")(OwnModel)
    model = OwnModel(2)
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2
    model.compile("sgd", loss=TripletLoss())
    model.fit(x, y, verbose=0)
    model.index(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is OwnModel
    assert_same_answers(model, loaded, x)


def test_a_clone_has_an_index_of_its_own():
    model = identity_model(loss=TripletLoss("l1"))
    model.index(np.eye(2), [0, 1], verbose=0)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, SimilarityModel)
    clone.compile(loss=TripletLoss("l1"))
    assert (clone.index_size(), model.index_size()) == (0, 2)


def test_it_loads_uncompiled(trained, digits, tmp_path):
    x, _ = digits
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert not loaded.compiled
    assert_same_answers(trained, loaded, x[:20])


@pytest.mark.parametrize("name", ["model.keras", "folder"])
def test_a_failing_save_leaves_the_old_file_and_nothing_else(tmp_path, name):
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save(tmp_path / name)

    def fail(folder):
        raise OSError("disk full")

    broken = identity_model()
    broken.__dict__["save_assets"] = fail
    with pytest.raises(OSError, match="disk full"):
        broken.save(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert keras.saving.load_model(tmp_path / name).index_size() == 2


@pytest.mark.parametrize("name", ["model.keras", "folder"])
def test_a_second_save_replaces_the_first(tmp_path, name):
    model = identity_model()
    model.save(tmp_path / name)
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert keras.saving.load_model(tmp_path / name).index_size() == 2
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / name, overwrite=False)


def test_the_index_can_stay_behind(tmp_path):
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save(tmp_path / "model.keras", save_index=False)
    assert keras.saving.load_model(tmp_path / "model.keras").index_size() == 0
    with pytest.raises(ValueError, match="saved without an index"):
        model.load_index(tmp_path / "model.keras")
    assert model.index_size() == 2


def test_the_index_is_saved_alone_and_loaded(trained, digits, tmp_path):
    x, _ = digits
    trained.save_index(tmp_path / "index")
    other = make_model()
    other.set_weights(trained.get_weights())
    other.load_index(tmp_path / "index")
    assert_same_answers(trained, other, x[:20])
    assert other.match(x[:20]) == trained.match(x[:20])
    again = make_model()
    again.index_load(tmp_path / "index")
    assert again.index_size() == 300


@pytest.mark.parametrize("name", ["model.keras", "folder"])
def test_the_index_of_a_saved_model_is_loaded(trained, tmp_path, name):
    """As TensorFlow Similarity's programs do after `load_model`."""
    trained.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    loaded.reset_index()
    loaded.load_index(tmp_path / name)
    assert loaded.index_size() == 300


def test_an_index_of_another_size_is_refused(trained, tmp_path):
    trained.save_index(tmp_path / "index")
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    with pytest.raises(ValueError, match=r"embedding size, 2\. Received: one of 16"):
        model.load_index(tmp_path / "index")
    assert model.index_size() == 2


def test_preprocessing_and_class_names_travel(tmp_path):
    model = identity_model()
    model.preprocessing = Preprocessing(image_size=(8, 8), channels=1)
    model.class_names = ["a", "b"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.preprocessing.get_config() == model.preprocessing.get_config()
    assert loaded.class_names == ["a", "b"]


@pytest.mark.parametrize("compile", [True, False])
def test_the_chosen_output_travels(tmp_path, compile):
    inputs = keras.Input((4,))
    heads = [keras.layers.Dense(6)(inputs), MetricEmbedding(3)(inputs)]
    model = SimilarityModel(inputs, heads)
    model.compile(embedding_output=1)
    x = np.random.default_rng(0).normal(size=(5, 4))
    model.index(x, range(5), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=compile)
    assert_same_answers(model, loaded, x)


def test_checkpoints_hold_the_index(digits, tmp_path):
    x, y = digits
    model = make_model()
    model.compile("sgd", loss=TripletLoss())
    model.index(x[:10], y[:10], verbose=0)
    callback = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"))
    model.fit(x[:64], y[:64], verbose=0, callbacks=[callback])
    assert keras.saving.load_model(tmp_path / "best.keras").index_size() == 10


def test_nothing_is_pickled(trained, tmp_path):
    trained.save(tmp_path / "folder")
    for path in (tmp_path / "folder").rglob("*.np[yz]"):
        np.load(path, allow_pickle=False)
    assert not list((tmp_path / "folder").rglob("*.pkl"))
    assert not list((tmp_path / "folder").rglob("*.pickle"))
    assert MetricEmbedding.__name__ in (tmp_path / "folder" / "config.json").read_text()


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no saved model"):
        identity_model().save(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("folder.keras", "file"):
        with pytest.raises(FileExistsError, match="is no saved model"):
            identity_model().save(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.keras", "precious.txt"]
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_crash_while_a_folder_is_exchanged_brings_the_old_one_back(
    tmp_path, monkeypatch
):
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save(tmp_path / "folder")
    replace, moves = os.replace, []

    def fail_second(source, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError("no space")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_second)
    with pytest.raises(OSError, match="no space"):
        identity_model().save(tmp_path / "folder", save_index=False)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["folder"]
    assert keras.saving.load_model(tmp_path / "folder").index_size() == 2


@pytest.mark.parametrize("move", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_between_the_moves_of_a_folder_loses_none(
    tmp_path, monkeypatch, move, when
):
    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save(tmp_path / "folder")
    replace, moves = os.replace, []

    def interrupted(source, target):
        moves.extend({source, target} & {tmp_path / "folder"})
        is_now = len(moves) == move and tmp_path / "folder" in (source, target)
        if is_now and when == "before":
            raise KeyboardInterrupt
        replace(source, target)
        if is_now:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        identity_model().save(tmp_path / "folder")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["folder"]
    is_new = (move, when) == (2, "after")
    loaded = keras.saving.load_model(tmp_path / "folder")
    assert loaded.index_size() == (0 if is_new else 2)


def test_a_kill_between_the_moves_of_a_folder_leaves_both(tmp_path):
    identity_model().save(tmp_path / "folder")
    script = """
import os, sys
from tests.models.test_similarity_model import identity_model

replace = os.replace


def replace_and_die(source, target):
    replace(source, target)
    if str(source) == sys.argv[1]:
        os._exit(9)


os.replace = replace_and_die
identity_model().save(sys.argv[1])
"""
    root = str(Path(keras_similarity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "folder")],
        env={**os.environ, "PYTHONPATH": root},
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 9, done.stderr
    new, old = sorted(tmp_path.iterdir(), key=lambda path: path.suffix == ".old")
    assert keras.saving.load_model(new / "folder").index_size() == 0
    assert keras.saving.load_model(old).index_size() == 0


def test_the_index_is_compressed_unless_asked_not_to_be(tmp_path):
    model = identity_model()
    model.index(np.zeros((1000, 2)), np.zeros(1000, int), verbose=0)
    sizes = []
    for compression in (True, False):
        model.save(tmp_path / "folder", compression=compression)
        files = (tmp_path / "folder" / "assets").rglob("*")
        sizes.append(sum(file.stat().st_size for file in files if file.is_file()))
    assert sizes[1] > sizes[0] + 5000


def test_options_of_tensorflow_similarity_are_taken_and_told(tmp_path, caplog):
    identity_model().save(
        tmp_path / "model.keras",
        include_optimizer=True,
        save_format="tf",
        signatures=None,
        options=None,
        save_traces=True,
    )
    assert (tmp_path / "model.keras").exists()
    assert "`save` ignores include_optimizer, save_format, signatures" in caplog.text
    with pytest.raises(ValueError, match="nonsense"):
        identity_model().save(tmp_path / "other.keras", nonsense=1)


def test_a_compiled_model_that_never_trained_loads_without_a_warning(tmp_path):
    model = make_model()
    model.compile("adam", loss=TripletLoss())
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    loaded.fit(np.zeros((4, 8, 8, 1)), np.arange(4), verbose=0)


def test_h5_has_no_place_for_an_index(tmp_path):
    with pytest.raises(ValueError, match=r"must end in `\.keras`"):
        identity_model().save(tmp_path / "model.h5")


def test_urls_go_through_fsspec(tmp_path):
    import fsspec

    model = identity_model()
    model.index(np.eye(2), [0, 1], verbose=0)
    model.save("memory://bucket/deep/model.keras")
    with fsspec.open("memory://bucket/deep/model.keras") as remote:
        (tmp_path / "model.keras").write_bytes(remote.read())
    assert keras.saving.load_model(tmp_path / "model.keras").index_size() == 2
    model.save_index("memory://bucket/index")
    other = identity_model()
    other.load_index("memory://bucket/index")
    assert other.index_size() == 2
    other.reset_index()
    other.load_index("memory://bucket/deep/model.keras")
    assert other.index_size() == 2
    model.save("memory://bucket/bare.keras", save_index=False)
    with pytest.raises(ValueError, match="saved without an index"):
        other.load_index("memory://bucket/bare.keras")
    with pytest.raises(FileNotFoundError):
        other.load_index("memory://bucket/absent.keras")


def test_compiling_after_loading_keeps_the_index(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile("sgd", loss=trained.loss)
    assert loaded.index_size() == 300
    assert loaded.indexer.is_calibrated
    loaded.compile("sgd", loss=TripletLoss("l1"))
    assert loaded.index_size() == 0


def test_a_subclass_that_makes_its_tensors_comes_back(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Small(SimilarityModel):
        def __init__(self, units=2, **kwargs):
            inputs = keras.Input((3,))
            super().__init__(inputs, MetricEmbedding(units)(inputs), **kwargs)
            self.units = units

        def get_config(self):
            return {"units": self.units, "name": self.name}

    model = Small(4)
    model.compile()
    x = np.eye(3)
    model.index(x, [0, 1, 2], verbose=0)
    model.save(tmp_path / "model.keras")
    assert_same_answers(model, keras.saving.load_model(tmp_path / "model.keras"), x)
