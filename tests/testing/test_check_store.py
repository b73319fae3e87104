"""Tests of the conformance suite: it names what a store does wrong."""

import numpy as np
import pytest

from keras_similarity.stores import MemoryStore
from keras_similarity.testing import check_store
from keras_similarity.testing.store_rules import find_store_faults

pytestmark = pytest.mark.keras_free


class FloatLabels(MemoryStore):
    """Labels pass through float64, in which large ones collide."""

    def labels(self, rows):
        return super().labels(rows).astype("float64").astype("int64")


class InSortedOrder(MemoryStore):
    """As a database answers that is not told the order."""

    def records(self, rows):
        return super().records(np.sort(rows))


class AddsBeforeItChecks(MemoryStore):
    def batch_add(self, embeddings, labels=None, data=None, *, ids=None, metadata=None):
        super().batch_add(np.zeros((1, np.shape(embeddings)[1])))
        return super().batch_add(embeddings, labels, data, ids=ids, metadata=metadata)


class Resurrects(MemoryStore):
    """Forgets deletions when it is saved."""

    def _read(self, folder, mmap):
        super()._read(folder, mmap)
        table = self._table
        table._is_live.extend([])
        table.next_id, self._table = 0, table.kept(np.arange(len(table)))


class OverwritesInPlace(MemoryStore):
    def _update(self, rows, labels, data, metadata):
        if labels is not None:
            column = self._table._labels.rows
            column.flags.writeable = True
            column[rows] = labels
            labels = None
        super()._update(rows, labels, data, metadata)


BROKEN = {
    FloatLabels: ("labels", "labels: .* came back"),
    InSortedOrder: ("add", "embeddings of rows 5, 2, 2, 0"),
    AddsBeforeItChecks: ("errors", "size, rows and labels after errors"),
    Resurrects: ("save", "the size that `load` returns: 6 came back, not 5"),
    OverwritesInPlace: ("readers", "columns taken before a change"),
}


@pytest.mark.parametrize(
    ("make", "fault"), BROKEN.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_a_fault_is_named(make, fault):
    name, text = fault
    found = find_store_faults(make)
    assert name in found
    with pytest.raises(
        AssertionError, match=rf"(?s)breaks .* rules:.*- {name}: .*{text}"
    ):
        check_store(make)


def test_checks_are_left_out_by_name():
    assert "labels" not in find_store_faults(FloatLabels, skip=["labels"])
    with pytest.raises(ValueError, match="`skip` must name checks: add, ids"):
        check_store(MemoryStore, skip=["everything"])


def test_a_store_that_raises_is_told():
    class Raises(MemoryStore):
        def reset(self):
            if getattr(self, "_table", None) is not None:
                raise OSError("no disk")
            super().reset()

    assert find_store_faults(Raises)["reset"] == [
        "After `reset` nothing is left, and rows of another size may come. "
        "But: OSError: no disk"
    ]
