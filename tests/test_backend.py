"""Which backend is chosen, and what is said when there is none.

The rule itself (`backend.py`, a module of the standard library only) is run in processes
with empty stand-ins for the frameworks and for Keras, because which of them are installed
and imported is what it is about. `test_backend_with_keras.py` has the real ones.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras_free

ROOT = Path(__file__).resolve().parent.parent

# Lets only the packages of one folder be found under these names.
HIDE = """
import sys
from importlib.machinery import PathFinder

NAMES = ("keras", "jax", "torch", "tensorflow")

class OnlyStandIns(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in NAMES:
            path = [sys.argv[1]]
        return super().find_spec(name, path, target)

sys.meta_path = [finder for finder in sys.meta_path if finder is not PathFinder]
sys.meta_path.append(OnlyStandIns)
"""

CHOOSE = """
import importlib.util, os

spec = importlib.util.spec_from_file_location("backend", "keras_similarity/backend.py")
backend = importlib.util.module_from_spec(spec)
spec.loader.exec_module(backend)
problem = backend.keras_problem()
print(problem if problem else os.environ.get("KERAS_BACKEND", "left alone"))
"""


def run_python(code: str, folder: Path, **environment: str) -> str:
    """What the code prints, in a process with nothing decided about the backend."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERAS_BACKEND", "KSIM_KERAS")
    }
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**inherited, "KERAS_HOME": str(folder / "home"), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def choose(tmp_path):
    """Runs the rule and returns the backend it chose, or the problem it found."""

    def run(*, installed=(), code="", keras_json=None, keras=True, **environment):
        for name in installed:
            (tmp_path / f"{name}.py").touch()
        if keras:
            # Its backend, where it is imported first: as Keras itself decides.
            (tmp_path / "keras.py").write_text(
                "import os, types\n"
                "_name = os.environ.get('KERAS_BACKEND') or 'tensorflow'\n"
                "config = types.SimpleNamespace(backend=lambda: _name)\n"
            )
        if keras_json is not None:
            (tmp_path / "home").mkdir()
            (tmp_path / "home" / "keras.json").write_text(keras_json)
        return run_python(HIDE + code + CHOOSE, tmp_path, **environment)

    return run


ALL = ("jax", "torch", "tensorflow")


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (ALL, "jax"),
        (("torch", "tensorflow"), "torch"),
        (("tensorflow",), "tensorflow"),
    ],
)
def test_without_a_wish_the_first_installed_framework_is_taken(
    choose, installed, expected
):
    assert choose(installed=installed) == expected


def test_the_environment_variable_wins(choose):
    config = json.dumps({"backend": "jax"})
    chosen = choose(installed=ALL, keras_json=config, KERAS_BACKEND="torch")
    assert chosen == "torch"


def test_an_empty_environment_variable_is_none(choose):
    assert choose(installed=ALL, KERAS_BACKEND="") == "jax"


def test_keras_json_decides_before_what_is_imported(choose):
    config = json.dumps({"backend": "torch"})
    assert choose(installed=ALL, keras_json=config, code="import jax\n") == "torch"


@pytest.mark.parametrize(
    "keras_json", [json.dumps({"backend": "tensorflow"}), "{not json", "[]", "{}"]
)
def test_keras_json_as_keras_writes_it_decides_nothing(choose, keras_json):
    assert choose(installed=ALL, keras_json=keras_json) == "jax"


def test_the_one_imported_framework_is_taken(choose):
    assert choose(installed=ALL, code="import torch\n") == "torch"


def test_of_two_imported_frameworks_the_order_decides(choose):
    code = "import tensorflow, torch\n"
    assert choose(installed=ALL, code=code) == "jax"


def test_a_framework_without_a_spec_counts_as_installed(choose):
    code = "import types; sys.modules['torch'] = types.ModuleType('torch')\n"
    assert choose(installed=["tensorflow"], code=code) == "torch"


def test_keras_imported_before_us_keeps_its_backend(choose):
    config = json.dumps({"backend": "torch"})
    chosen = choose(installed=ALL, keras_json=config, code="import keras\n")
    assert chosen == "left alone"


def test_keras_imported_before_us_on_a_backend_that_cannot_train_is_refused(choose):
    problem = choose(installed=ALL, code="import keras\n", KERAS_BACKEND="numpy")
    assert "must be one of jax, torch, tensorflow" in problem


@pytest.mark.parametrize("name", ["numpy", "openvino", "pytorch"])
def test_a_backend_that_cannot_train_is_refused_by_name(choose, name):
    problem = choose(installed=ALL, KERAS_BACKEND=name)
    assert "must be one of jax, torch, tensorflow" in problem
    assert f"KERAS_BACKEND='{name}'" in problem


@pytest.mark.parametrize("source", ["variable", "keras.json"])
def test_a_chosen_backend_that_is_not_installed_is_named(choose, source):
    if source == "variable":
        problem = choose(installed=["jax"], KERAS_BACKEND="torch")
    else:
        problem = choose(installed=["jax"], keras_json=json.dumps({"backend": "torch"}))
    assert "`torch`" in problem
    assert "is not installed" in problem
    assert "pip install keras-similarity[jax]" in problem


def test_without_a_framework_the_problem_says_what_to_install(choose):
    problem = choose()
    assert "none of jax, torch, tensorflow is installed" in problem
    assert "pip install keras-similarity[jax]" in problem


def test_without_keras_the_problem_says_so(choose):
    assert "`keras` is not installed" in choose(installed=ALL, keras=False)


def test_keras_can_be_switched_off(choose):
    assert "KSIM_KERAS=0" in choose(installed=ALL, KSIM_KERAS="0")


# ------------------------------------------------------- the package without a framework

USES = {
    "attribute": "import keras_similarity; keras_similarity.losses",
    "from": "from keras_similarity.losses import TripletLoss",
    "module": "import keras_similarity.models",
    "pairs": "import keras_similarity.pairs",
    "layers": "import keras_similarity.layers",
    "samplers": "import keras_similarity.samplers",
    "callbacks": "import keras_similarity.callbacks",
    "architectures": "import keras_similarity.architectures",
    "keras": "from keras_similarity.backend import keras",
    "ops": "from keras_similarity.backend import ops",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_needs_keras_says_what_to_install_when_it_is_used(use, tmp_path):
    (tmp_path / "keras.py").touch()
    code = (
        f"try:\n    {use}\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    printed = run_python(HIDE + code, tmp_path)
    assert printed.startswith("ImportError ")
    assert "needs Keras" in printed
    assert "pip install keras-similarity[jax]" in printed


@pytest.mark.parametrize("way", ["switched off", "not installed"])
def test_without_keras_the_package_imports_nothing_heavy(way, tmp_path):
    code = "import sys, keras_similarity\nprint(*sorted(sys.modules))"
    if way == "switched off":
        printed = run_python(code, tmp_path, KSIM_KERAS="0")
    else:
        printed = run_python(HIDE + code, tmp_path)
    modules = {name.partition(".")[0] for name in printed.split()}
    heavy = {"keras", "jax", "torch", "tensorflow", "faiss", "pandas", "sklearn"}
    heavy |= {"matplotlib", "PIL", "fsspec", "tqdm"}
    assert "keras_similarity" in modules
    assert not modules & heavy


FINDING = [
    "classification_metrics",
    "datasets",
    "distances",
    "evaluators",
    "indexer",
    "matchers",
    "preprocessing",
    "retrieval_metrics",
    "search",
    "stores",
    "types",
    "visualization",
]


def test_the_finding_half_imports_without_keras_and_stays_light(tmp_path):
    code = (
        "import sys\n"
        f"for name in {FINDING}:\n"
        "    __import__(f'keras_similarity.{name}')\n"
        "print(*sorted(sys.modules))"
    )
    printed = run_python(HIDE + code, tmp_path)
    modules = {name.partition(".")[0] for name in printed.split()}
    assert not modules & {"keras", "jax", "torch", "tensorflow", "faiss", "pandas"}
    assert not modules & {"sklearn", "matplotlib", "PIL"}


def test_an_unknown_attribute_is_an_attribute_error():
    import keras_similarity

    with pytest.raises(AttributeError, match="no attribute 'loses'"):
        keras_similarity.loses  # noqa: B018
    assert "losses" in dir(keras_similarity)


def test_a_missing_optional_package_is_named_with_its_extra():
    from keras_similarity.backend import import_optional

    expected = r"`USearch` needs the package `no_such`.*keras-similarity\[usearch\]"
    with pytest.raises(ImportError, match=expected):
        import_optional("no_such.index", extra="usearch", needed_by="USearch")
    module = import_optional("json.decoder", extra="x", needed_by="x")
    assert module.__name__ == "json.decoder"
