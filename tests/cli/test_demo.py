"""`ksim demo` and `ksim search` as a user runs them, on small pictures."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_similarity
from keras_similarity.backend import framework
from keras_similarity.cli.main import main

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

ROOT = Path(keras_similarity.__file__).parent.parent
FIGURES = ["calibration", "confusion_matrix", "neighbors", "projection"]
SHORT = ["--epochs", "1", "--steps", "3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of 18 classes of 12 pictures, each class a pattern with noise."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for place in range(18):
        (folder / f"class {place}").mkdir()
        pattern = random.integers(0, 200, (16, 16, 3))
        for number in range(12):
            noise = random.integers(0, 56, pattern.shape)
            picture = Image.fromarray((pattern + noise).astype("uint8"))
            picture.save(folder / f"class {place}" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder that a demo wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("run") / "demo"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["demo", "--data", str(data), "--output", str(folder), *SHORT]) == 0
    return folder, printed.getvalue()


@pytest.fixture
def demo(finished):
    return finished[0]


def test_all_results_are_there(demo):
    names = sorted(path.name for path in demo.iterdir())
    pictures = [f"{name}.png" for name in FIGURES]
    assert names == sorted(["model.keras", "metrics.json", "queries", *pictures])
    assert [path.name for path in demo.parent.iterdir()] == ["demo"]
    for name in FIGURES:
        with Image.open(demo / f"{name}.png") as picture:
            assert min(picture.size) > 300
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10  # Not empty.


def test_the_numbers_are_plausible(demo):
    report = json.loads((demo / "metrics.json").read_text(encoding="utf-8"))
    values = report["unseen"]
    assert report["backend"] == framework()
    assert report["recipe"]["steps_per_epoch"] == 3
    # Patterns with little noise: even a hardly trained network finds them again.
    assert values["recall@1"] > 0.9
    assert values["recall@5"] >= values["recall@1"]
    assert values["index_size"] > values["queries"] > 0
    assert values["lookups_per_second"] > 0
    precision, recall = values["precision"], values["recall"]
    assert values["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_one_table_is_printed(finished):
    output, printed = finished
    values = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["unseen"]
    table = printed[printed.index(" unseen classes, ") :].splitlines()
    rows = {line.split()[0]: line.split()[1] for line in table if line.startswith("  ")}
    assert rows["recall@1"] == f"{values['recall@1']:.3f}"
    assert rows["threshold"] == f"{values['threshold']:.4f}"
    assert rows["precision"] == f"{values['precision']:.3f}"
    assert f"ksim search {output}/model.keras" in printed


def test_the_saved_file_answers_in_a_new_process(demo):
    queries = json.loads((demo / "metrics.json").read_text(encoding="utf-8"))["queries"]
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "keras_similarity.cli.main",
            "search",
            "model.keras",
            "-k3",
        ]
        + [query["file"] for query in queries],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=demo,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = found.stdout.splitlines()
    assert len(lines) == len(queries) * 5
    for start, query in zip(range(0, len(lines), 5), queries, strict=True):
        assert lines[start] == query["file"]
        is_known = query["file"].startswith("queries/known")
        assert (query["class"] in lines[start + 2]) == is_known


def test_a_second_run_replaces_the_results(demo, data):
    before = (demo / "metrics.json").read_text(encoding="utf-8")
    (demo / "notes.txt").write_text("mine")
    arguments = ["--data", str(data), "--output", str(demo), *SHORT, "--seed", "1"]
    assert main(["demo", *arguments]) == 0
    assert (demo / "metrics.json").read_text(encoding="utf-8") != before
    assert (demo / "notes.txt").read_text() == "mine"
    (demo / "notes.txt").unlink()


def test_ctrl_c_leaves_nothing(data, tmp_path):
    arguments = ["demo", "--data", str(data), "--output", str(tmp_path / "demo")]
    arguments += ["--steps", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "keras_similarity.cli.main", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("Training on"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    # Not always the last line: TensorFlow may log on its way out.
    assert "ksim: interrupted; nothing was changed." in errors.splitlines()
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_missing_pictures_are_told_in_one_sentence(tmp_path, capsys):
    output = tmp_path / "demo"
    arguments = ["--data", str(tmp_path / "absent"), "--output", str(output)]
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ksim: ") and "absent" in error
    assert error.count("\n") == 1
    assert not output.exists()
