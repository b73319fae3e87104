"""The choice of the backend with the real Keras and the real framework."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_similarity.backend import framework

ROOT = Path(__file__).resolve().parent.parent


def run_python(code: str, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_the_environment_variable_is_obeyed():
    assert framework() == os.environ["KERAS_BACKEND"]


def test_the_imported_framework_is_taken_and_classes_are_registered(tmp_path):
    name = framework()
    code = (
        f"import {name}, keras_similarity, keras, os\n"
        "loss = keras.saving.get_registered_object('keras_similarity>TripletLoss')\n"
        "print(keras.config.backend(), loss.__name__)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    if name == "tensorflow":
        # TensorFlow imports Keras, so Keras decides, by the file it writes itself.
        (home / "keras.json").write_text(json.dumps({"backend": name}))
    assert run_python(code, KERAS_HOME=str(home)) == f"{name} TripletLoss"


def test_keras_imported_first_on_this_backend_is_used(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": framework()}))
    code = (
        "import keras, keras_similarity as ksim\n"
        "from keras_similarity.backend import framework\n"
        "print(framework(), ksim.losses.TripletLoss.__name__)\n"
    )
    printed = run_python(code, KERAS_HOME=str(tmp_path))
    assert printed == f"{framework()} TripletLoss"


@pytest.mark.parametrize("name", ["numpy", "pytorch"])
def test_a_backend_that_cannot_train_is_refused_when_it_is_needed(name):
    code = (
        "import keras_similarity\n"
        "try:\n    keras_similarity.losses\n"
        "except ImportError as error:\n    print(error)\n"
    )
    printed = run_python(code, KERAS_BACKEND=name)
    assert f"KERAS_BACKEND='{name}'" in printed
