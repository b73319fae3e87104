import contextlib
import os
import signal

import pytest

from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.output import staged_folder

pytestmark = pytest.mark.keras_free


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_appear_at_the_end_and_other_files_stay(tmp_path):
    target = tmp_path / "deep" / "demo"
    (target / "queries").mkdir(parents=True)
    (target / "a").write_text("old")
    (target / "mine").write_text("mine")
    with staged_folder(target) as folder:
        (folder / "a").write_text("new")
        (folder / "queries").mkdir()
        (folder / "queries" / "q").write_text("query")
        assert contents(target) == {"a": "old", "mine": "mine"}
        assert folder.parent == target.parent
    assert contents(target) == {"a": "new", "mine": "mine", "queries/q": "query"}
    assert [path.name for path in target.parent.iterdir()] == ["demo"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_after_a_failure_nothing_is_left(tmp_path, error):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "a").write_text("old")
    with pytest.raises(error), staged_folder(tmp_path / "demo") as folder:
        (folder / "a").write_text("half")
        raise error
    assert contents(tmp_path) == {"demo/a": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_an_interrupt_during_the_move_leaves_no_mixture(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("old")
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "replace", interrupted)
    # An interrupt that came through would end the whole run of the tests.
    with contextlib.suppress(KeyboardInterrupt), staged_folder(tmp_path) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
    assert contents(tmp_path) == {"a": "new", "b": "new"}
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_place_that_cannot_be_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="is a file"), staged_folder(tmp_path / "file"):
        pass
    inside = tmp_path / "file" / "demo"
    with pytest.raises(CommandError, match="cannot be made"), staged_folder(inside):
        pass
