"""Every store keeps the rules of `check_store`."""

import itertools

import pytest

from keras_similarity.stores import MemoryStore, SQLiteStore
from keras_similarity.testing import check_store

pytestmark = pytest.mark.keras_free


def test_memory():
    check_store(MemoryStore)


def test_sqlite(tmp_path):
    numbers = itertools.count()
    check_store(lambda: SQLiteStore(tmp_path / f"{next(numbers)}.db"))
