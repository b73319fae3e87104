"""Every store keeps the rules of `check_store`."""

import itertools

import pytest

from keras_similarity.stores import CachedStore, LanceStore, MemoryStore, SQLiteStore
from keras_similarity.testing import check_store

pytestmark = pytest.mark.keras_free


def test_memory():
    check_store(MemoryStore)


def test_sqlite(tmp_path):
    numbers = itertools.count()
    check_store(lambda: SQLiteStore(tmp_path / f"{next(numbers)}.db"))


def test_cached(tmp_path):
    numbers = itertools.count()
    check_store(CachedStore)
    check_store(lambda: CachedStore(max_bytes=1000))
    check_store(lambda: CachedStore(path=tmp_path / str(next(numbers))))


def test_redis(make_redis):
    check_store(make_redis)


def test_lance(tmp_path):
    pytest.importorskip("lancedb", reason="The extra [lance] is not installed.")
    numbers = itertools.count()
    check_store(lambda: LanceStore(tmp_path / str(next(numbers))))
