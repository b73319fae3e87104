"""Tests of the readers-writer lock."""

import threading

import pytest

from keras_similarity.search.lock import ReadersWriterLock

pytestmark = pytest.mark.keras_free


def started(action):
    """A thread that does `action`."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_readers_share():
    lock, together = ReadersWriterLock(), threading.Barrier(3, timeout=5)

    def read():
        with lock.reading():
            together.wait()  # Passes only when all readers are in at once.

    readers = [started(read), started(read)]
    with lock.reading():
        together.wait()
    for reader in readers:
        reader.join(5)
    assert not together.broken


def test_a_reader_keeps_a_writer_out():
    lock, done = ReadersWriterLock(), []

    def write():
        with lock.writing():
            done.append("written")

    with lock.reading():
        writer = started(write)
        writer.join(0.05)
        assert done == []
    writer.join(5)
    assert done == ["written"]


def test_a_writer_keeps_readers_and_writers_out():
    lock, done = ReadersWriterLock(), []

    def enter(kind):
        with kind():
            done.append(kind)

    with lock.writing():
        threads = [started(lambda k=k: enter(k)) for k in (lock.reading, lock.writing)]
        for thread in threads:
            thread.join(0.05)
        assert done == []
    for thread in threads:
        thread.join(5)
    assert len(done) == 2


def test_an_error_inside_frees_the_lock():
    lock = ReadersWriterLock()
    for kind in (lock.reading, lock.writing):
        with pytest.raises(KeyError), kind():
            raise KeyError
    with lock.writing():
        pass


def test_a_writer_that_comes_again_and_again_keeps_no_reader_out():
    lock, is_read, turns = ReadersWriterLock(), threading.Event(), []

    def read():
        with lock.reading():
            is_read.set()

    with lock.writing():
        reader = started(read)
        reader.join(0.05)
    while not is_read.is_set() and len(turns) < 1000:
        with lock.writing():
            turns.append("written")
    reader.join(5)
    assert len(turns) <= 1
