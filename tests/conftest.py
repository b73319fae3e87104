"""What holds for all tests: a Keras home of their own, and which run without Keras.

Where Keras cannot be used (it or a backend is missing, or `KSIM_KERAS=0`) only the tests
marked `keras_free` run; elsewhere all do, unless `-m` says otherwise.
"""

import os
import signal
import tempfile
from pathlib import Path

import pytest

# Both are read when Keras and TensorFlow are imported, which no test has done yet.
_KERAS_HOME = tempfile.TemporaryDirectory(prefix="keras-home-")
os.environ.setdefault("KERAS_HOME", _KERAS_HOME.name)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_similarity.backend import keras_problem  # noqa: E402

# A run in the background is begun with interrupts ignored; tests send themselves some.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Runners of the golden cases compare with `assert`, as tests do.
pytest.register_assert_rewrite("tests.golden")

_TESTS = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if keras_problem() is None or not _is_ours(collection_path):
        return None
    # What holds no marked test mostly imports Keras (a folder in its `conftest.py`), and
    # is not imported to find out.
    if collection_path.is_dir():
        return not any(map(_may_hold_marked, collection_path.rglob("test_*.py"))) or None
    return not _may_hold_marked(collection_path) or None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    if keras_problem() is None:
        return
    needs_keras = {
        item
        for item in items
        if _is_ours(item.path) and item.get_closest_marker("keras_free") is None
    }
    config.hook.pytest_deselected(items=list(needs_keras))
    items[:] = [item for item in items if item not in needs_keras]


def _is_ours(path: Path) -> bool:
    """Is this a test, and no example in a docstring of the package?"""
    return path.is_relative_to(_TESTS)


def _may_hold_marked(path: Path) -> bool:
    return not path.match("test_*.py") or "keras_free" in path.read_text("utf-8")
