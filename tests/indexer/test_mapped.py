"""Tests of indexes whose vectors stay in their files, and of damaged files."""

import shutil

import numpy as np
import pytest

from keras_similarity import checksums, persistence
from keras_similarity.indexer import Indexer
from keras_similarity.persistence import verify

pytestmark = pytest.mark.keras_free

ROWS = np.random.default_rng(0).normal(size=(300, 16)).astype("float32")


def make_index():
    index = Indexer(16, "euclidean")
    labels = np.arange(300) % 5
    index.batch_add(ROWS, labels=labels, data=[{"n": n} for n in range(300)])
    index.calibrate(ROWS[:50] + 0.1, labels[:50], verbose=0)
    return index


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 4 KiB: 64 rows, and files of 5 blocks."""
    monkeypatch.setattr(checksums, "BLOCK", 4096)
    monkeypatch.setattr(checksums, "_LARGE", 1024)


def files_of(path):
    return {
        file.relative_to(next(path.glob("generation-*"))).as_posix(): file
        for file in path.rglob("*")
        if file.is_file() and file.name != "ksim-manifest.json"
    }


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(content)


def damages(file):
    """What may happen to a file, as functions."""
    size = file.stat().st_size
    for place in sorted({0, 7, size // 3, size // 2, size - 1}):
        yield f"flipped {place}", lambda place=place: flip(file, place)
    for length in (0, size // 2, size - 1):
        content = file.read_bytes()[:length]
        yield f"cut {length}", lambda content=content: file.write_bytes(content)
    yield "longer", lambda: file.write_bytes(file.read_bytes() + b"\0")


def test_every_damaged_file_is_refused_by_its_name(small_blocks, tmp_path):
    make_index().save(tmp_path / "index")
    names = list(files_of(tmp_path / "index"))
    assert {"store/embeddings.npy", "search/vectors.npy", "thresholds.npz"} <= set(names)
    for name in names:
        for what, damage in damages(files_of(tmp_path / "index")[name]):
            backup = shutil.copytree(tmp_path / "index", tmp_path / "backup")
            damage()
            with pytest.raises(ValueError, match=f"is damaged: {name}: "):
                Indexer.load(tmp_path / "index")
            with pytest.raises(ValueError, match=f"is damaged: {name}: "):
                verify(tmp_path / "index")
            with pytest.raises(ValueError, match=f"is damaged: {name}: "):
                mapped = Indexer.load(tmp_path / "index", verbose=0, mmap=True)
                assert what.startswith("flipped"), "a wrong size was not seen"
                mapped.verify()
            shutil.rmtree(tmp_path / "index")
            shutil.move(backup, tmp_path / "index")
    verify(tmp_path / "index")


def test_a_mapped_index_answers_and_changes_like_another(small_blocks, tmp_path):
    index = make_index()
    index.save(tmp_path)
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    assert mapped.batch_lookup(ROWS[:9] + 0.1) == index.batch_lookup(ROWS[:9] + 0.1)
    assert mapped.match(ROWS[:9]) == index.match(ROWS[:9])
    for each in (index, mapped):
        each.batch_add(ROWS[:3] + 5, labels=[7, 7, 7], data=[1, 2, 3])
        each.upsert(ROWS[3:4] - 5, ids=[3])
        each.delete([0, 1])
        each.update([2], label=9)
        each.compact()
    assert mapped.batch_lookup(ROWS + 5, k=4) == index.batch_lookup(ROWS + 5, k=4)
    mapped.save(tmp_path)  # Over its own files.
    assert Indexer.load(tmp_path, verbose=0).size() == mapped.size() == 301


def test_rows_added_to_a_mapped_index_are_read_before_all_is_checked(
    small_blocks, tmp_path
):
    make_index().save(tmp_path)
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    mapped.batch_add(ROWS[:200] + 9, data=list(range(200)))
    lookup = mapped.single_lookup(ROWS[199] + 9, k=1)[0]
    assert (lookup.id, lookup.data) == (499, 199)


def test_a_mapped_index_outlives_its_files(small_blocks, tmp_path):
    index = make_index()
    index.save(tmp_path)
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    Indexer(16).save(tmp_path)
    assert Indexer.load(tmp_path, verbose=0).size() == 0
    mapped.verify()
    assert mapped.batch_lookup(ROWS[:9]) == index.batch_lookup(ROWS[:9])


def test_the_search_is_checked_at_the_first_lookup(small_blocks, tmp_path):
    make_index().save(tmp_path)
    flip(files_of(tmp_path)["search/vectors.npy"], 9000)
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    for _ in range(2):  # Not only the first time.
        with pytest.raises(ValueError, match=r"search/vectors.npy: .* in bytes 8,192 to"):
            mapped.batch_lookup(ROWS[:1])


def test_rows_of_the_store_are_checked_where_they_are_read(small_blocks, tmp_path):
    make_index().save(tmp_path)
    flip(files_of(tmp_path)["store/embeddings.npy"], 9000)  # Of row 138.
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    lookups = mapped.batch_lookup(ROWS[[5, 138]], k=1)
    assert lookups.labels.tolist() == [[0], [3]]
    np.testing.assert_array_equal(lookups[0][0].embedding, ROWS[5])
    for read in (
        lambda: lookups[1],
        lambda: lookups.embeddings,
        lambda: mapped.save(tmp_path / "copy"),
        mapped.compact,
        mapped.to_data_frame,
        mapped.recall,
    ):
        with pytest.raises(ValueError, match=r"store/embeddings.npy: .* in bytes 8,192"):
            read()


def test_blocks_are_checked_once(small_blocks, tmp_path, monkeypatch):
    make_index().save(tmp_path)
    mapped = Indexer.load(tmp_path, verbose=0, mmap=True)
    mapped.batch_lookup(ROWS[:1])
    mapped.verify()
    monkeypatch.setattr(checksums, "_checksum", None)
    assert len(mapped.batch_lookup(ROWS[:2])[1]) == 5
    mapped.verify()


def test_a_url_is_not_mapped(tmp_path):
    make_index().save("memory://mapped/index")
    with pytest.raises(ValueError, match="must be a local folder to be mapped"):
        Indexer.load("memory://mapped/index", mmap=True)
    verify("memory://mapped/index")
    with pytest.raises(FileNotFoundError):
        verify(tmp_path)


def test_folders_of_the_first_format_load(small_blocks, tmp_path, monkeypatch):
    """Their manifests have no checksums of blocks."""
    index = make_index()
    whole = persistence.described
    monkeypatch.setattr(
        persistence,
        "described",
        lambda file: {name: whole(file)[name] for name in ("size", "sha256")},
    )
    index.save(tmp_path)
    for mmap in (False, True):
        loaded = Indexer.load(tmp_path, verbose=0, mmap=mmap)
        loaded.verify()
        assert loaded.batch_lookup(ROWS[:5]) == index.batch_lookup(ROWS[:5])


def test_the_manifest_says_what_the_vectors_are(tmp_path):
    index = make_index()
    index.model = {"weights": "abc"}
    index.save(tmp_path)
    with persistence.open_folder(tmp_path, kind="index") as (config, _):
        assert config["embedding_size"] == 16 and config["dtype"] == "float32"
        assert config["distance"]["class_name"] == "EuclideanDistance"
        assert config["calibration"]["cutpoints"] and config["model"] == index.model
    assert Indexer.load(tmp_path, verbose=0).model == index.model
    index.reset()
    assert index.model is None
