"""Tests of folders that are saved atomically."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import fsspec
import numpy as np
import pytest

from keras_similarity.persistence import is_saved, open_folder, save_folder
from keras_similarity.places import MANIFEST

pytestmark = pytest.mark.keras_free


def save(path, value, *, kind="thing", files=2):
    def write(folder):
        (folder / "inner").mkdir()
        for number in range(files):
            (folder / "inner" / f"{number}.txt").write_text(f"{value} {number}")

    save_folder(path, kind=kind, config={"value": value}, write=write)


def load(path, *, kind="thing", files=2):
    with open_folder(path, kind=kind) as (config, folder):
        for number in range(files):
            text = (folder / "inner" / f"{number}.txt").read_text()
            assert text == f"{config['value']} {number}"
        return config["value"]


@pytest.fixture(params=["local", "memory"])
def path(request, tmp_path):
    if request.param == "local":
        yield str(tmp_path / "a" / "b")
    else:
        yield f"memory://{tmp_path.name}/b"
        fsspec.filesystem("memory").store.clear()


def names(path):
    files, root = fsspec.core.url_to_fs(path)
    return sorted(name.rpartition("/")[2] for name in files.ls(root, detail=False))


def test_what_was_saved_last_is_loaded_and_nothing_else_is_left(path):
    assert not is_saved(path)
    for value in ("old", "new"):
        save(path, value)
        assert load(path) == value
    assert is_saved(path)
    generation, manifest = names(path)
    assert generation.startswith("generation-") and manifest == MANIFEST


def test_a_save_that_raises_leaves_the_old_state_and_no_debris(path):
    save(path, "old")
    before = names(path)

    def write(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_folder(path, kind="thing", config={}, write=write)
    assert load(path) == "old"
    assert names(path) == before


def test_a_first_save_that_raises_leaves_no_folder(tmp_path):
    def write(folder):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_folder(tmp_path / "a" / "b", kind="thing", config={}, write=write)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_commit_leaves_the_old_state(tmp_path, monkeypatch):
    save(tmp_path, "old")
    before = names(str(tmp_path))

    def replace(source, target):
        raise OSError("no")

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="no"):
        save(tmp_path, "new")
    assert load(tmp_path) == "old"
    assert names(str(tmp_path)) == before


@pytest.mark.parametrize("step", ["put_file", "pipe_file"])
def test_an_upload_that_fails_leaves_the_old_state(step, tmp_path, monkeypatch):
    path = f"memory://{tmp_path.name}"
    save(path, "old")
    before = names(path)
    files, done = fsspec.filesystem("memory"), []
    work = getattr(files, step)

    def fail_at_last(*arguments):
        done.append(arguments)
        if step == "pipe_file" or len(done) == 2:
            raise OSError("connection lost")
        work(*arguments)

    monkeypatch.setattr(files, step, fail_at_last)
    with pytest.raises(OSError, match="connection lost"):
        save(path, "new")
    assert load(path) == "old"
    assert names(path) == before


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "generation-of-mine").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, "old")
    save(tmp_path, "new")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "generation-of-mine").is_dir()


def test_config_keeps_infinities_numbers_and_numpy(path):
    config = {
        "inf": float("inf"),
        "nan": float("nan"),
        "third": 1 / 3,
        "array": np.array([1.5, 2.0], "float32"),
        "number": np.int64(2**60),
        10: "ten",
        9: "nine",
    }
    save_folder(path, kind="thing", config=config, write=lambda folder: None)
    with open_folder(path, kind="thing") as (loaded, _):
        assert loaded["inf"] == float("inf") and np.isnan(loaded["nan"])
        assert loaded["third"] == 1 / 3 and loaded["number"] == 2**60
        assert loaded["array"] == [1.5, 2.0] and loaded["10"] == "ten"


def test_config_that_is_no_plain_data_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="must be plain data"):
        save_folder(
            tmp_path / "a", kind="thing", config={"x": object()}, write=lambda _: None
        )
    assert not (tmp_path / "a").exists()


def a_file(path):
    return next(path.glob("generation-*/inner/1.txt"))


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "flipped byte": (lambda p: flip(a_file(p), 0), "inner/1.txt.*checksum"),
    "truncated": (lambda p: a_file(p).write_text("ne"), "2 bytes instead of"),
    "missing": (lambda p: a_file(p).unlink(), "inner/1.txt.*missing"),
    "half a manifest": (
        lambda p: (p / MANIFEST).write_bytes((p / MANIFEST).read_bytes()[:50]),
        "not JSON",
    ),
    "empty manifest": (lambda p: (p / MANIFEST).write_text("{}"), "incomplete"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_and_a_new_save_mends_it(tmp_path, damage, message):
    save(tmp_path, "new")
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
    save(tmp_path, "again")
    assert load(tmp_path) == "again"


def test_any_flipped_byte_of_the_manifest_is_refused(tmp_path):
    save(tmp_path, "new")
    size = (tmp_path / MANIFEST).stat().st_size
    for place in range(0, size, 7):
        flip(tmp_path / MANIFEST, place)
        # Blanks between the values may change: JSON does not see them.
        with contextlib.suppress(ValueError):
            assert load(tmp_path) == "new"
        flip(tmp_path / MANIFEST, place)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["config"]["value"] = "other"
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="checksum is wrong"):
        load(tmp_path)


def test_a_newer_format_is_refused_and_not_overwritten(tmp_path):
    save(tmp_path, "new")
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format_version": 99}))
    for action in (lambda: load(tmp_path), lambda: save(tmp_path, "old")):
        with pytest.raises(ValueError, match="newer version"):
            action()


def test_another_kind_is_refused_and_not_overwritten(path):
    save(path, "new", kind="other")
    for action in (lambda: load(path), lambda: save(path, "old")):
        with pytest.raises(ValueError, match="holds a saved other"):
            action()
    assert load(path, kind="other") == "new"


def test_nothing_saved_is_a_file_not_found(path, tmp_path):
    for empty in (path, tmp_path):
        with pytest.raises(FileNotFoundError, match="folder with a saved thing"):
            load(empty)


def test_a_missing_remote_file_is_refused(tmp_path):
    path = f"memory://{tmp_path.name}"
    save(path, "new")
    files = fsspec.filesystem("memory")
    files.rm_file(files.glob(f"/{tmp_path.name}/generation-*/inner/1.txt")[0])
    with pytest.raises(ValueError, match=r"inner/1.txt.*missing"):
        load(path)


def test_savers_and_readers_at_once_see_whole_states(tmp_path):
    save(tmp_path, -1)
    errors = []

    def run(action):
        try:
            for number in range(10):
                action(number)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(action,))
        for action in (
            lambda number: save(tmp_path, number),
            lambda number: save(tmp_path, 100 + number),
            lambda number: load(tmp_path),
            lambda number: load(tmp_path),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert load(tmp_path) in (9, 109)
    assert len(names(str(tmp_path))) == 2


SAVER = textwrap.dedent("""
    import sys
    from keras_similarity.persistence import save_folder

    def write(folder):
        (folder / "inner").mkdir()
        for number in range(20):
            (folder / "inner" / f"{number}.txt").write_text(f"{value} {number}")

    for value in range(1_000_000):
        save_folder(sys.argv[1], kind="thing", config={"value": value}, write=write)
        print(value, flush=True)
""")


def test_a_killed_save_leaves_the_old_or_the_new_state(tmp_path):
    draw = random.Random(0)
    for _ in range(4):
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        saver.stdout.readline()
        time.sleep(draw.uniform(0, 0.05))
        saver.send_signal(signal.SIGKILL)
        done = [0, *map(int, saver.stdout.read().split())][-1]
        saver.wait()
        # The save that was acknowledged last, or the one after it.
        assert load(tmp_path, files=20) in (done, done + 1)
    save(tmp_path, "after")
    assert load(tmp_path) == "after"
    assert len(names(str(tmp_path))) == 2  # The debris of the dead is gone.
