"""What every command does alike; none of it needs Keras."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import keras_similarity
from keras_similarity.cli import demo
from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.main import main

pytestmark = pytest.mark.keras_free

ROOT = Path(keras_similarity.__file__).parent.parent


@pytest.fixture
def command(monkeypatch):
    """Makes `ksim demo` do what it is told."""

    def set_command(action):
        monkeypatch.setattr(demo, "run", action)

    return set_command


def raising(error):
    def run(options):
        raise error

    return run


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"ksim {keras_similarity.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["demo", "search", "KERAS_BACKEND"]),
        (["demo"], ["--dataset", "--data", "--quick", "model.keras", "fashion-mnist"]),
        (["search"], ["MODEL", "PICTURE", "-k"]),
    ],
)
def test_help_tells_what_there_is(arguments, words, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert not [word for word in words if word not in text]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["demo", "--epochs", "0"],
        ["demo", "--steps", "many"],
        ["demo", "--dataset", "digits", "--data", "x"],
        ["search", "model.keras"],
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "error", [CommandError("No such thing."), ImportError("Install this.")]
)
def test_an_expected_failure_is_one_sentence(error, command, capsys):
    command(raising(error))
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == f"ksim: {error}\n"


def test_ctrl_c_is_one_line(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "\nksim: interrupted; nothing was changed.\n"


def test_a_bug_is_not_hidden(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_a_poor_terminal_shows_codes(command, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    command(lambda options: print("\u0416"))
    assert main(["demo"]) == 0
    assert terminal.buffer.getvalue() == b"\\u0416\n"


def test_without_keras_it_says_so(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "keras_similarity.cli.main", "demo", "--output", "out"],
        env={**os.environ, "KSIM_KERAS": "0", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("ksim: Training with `keras_similarity` needs Keras")
    assert found.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
