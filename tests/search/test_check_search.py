"""Tests of the conformance suite: all engines pass it, and broken ones are named."""

import subprocess
import sys
import time

import numpy as np
import pytest

from keras_similarity.search import LinearSearch, Search, register
from keras_similarity.testing import check_search, find_search_faults
from tests.search.engines import every_engine

pytestmark = pytest.mark.keras_free


@pytest.mark.parametrize(("make", "recall"), every_engine())
def test_every_engine_keeps_the_rules(make, recall, monkeypatch):
    # So that rows are handed over while the suite runs, not after thousands.
    monkeypatch.setattr("keras_similarity.search.approximate._TAIL", 120)
    check_search(make, recall=recall)


class Squared(LinearSearch):
    def batch_lookup(self, embeddings, k=5, *, allowed=None):
        ids, found = super().batch_lookup(embeddings, k, allowed=allowed)
        return ids, found**2


class Forgetful(LinearSearch):
    """Loses a row of eight."""

    def _find(self, queries, k, allowed):
        allowed = np.ones(self.size(), bool) if allowed is None else allowed.copy()
        allowed[::8] = False
        return super()._find(queries, k, allowed)


class Unfiltered(LinearSearch):
    def _find(self, queries, k, allowed):
        return super()._find(queries, k, None)


class PostFiltered(LinearSearch):
    """Looks at 40 neighbours, and keeps those that may be found."""

    def _find(self, queries, k, allowed):
        if allowed is None:
            return super()._find(queries, k, None)
        rows, values = super()._find(queries, 40, None)
        is_kept = np.append(allowed, False)[rows]
        order = np.argsort(~is_kept, axis=1, kind="stable")[:, :k]
        rows = np.where(is_kept, rows, -1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)


class Trusting(LinearSearch):
    """Takes NaN, as most engines do."""

    def check(self, embeddings, name="embeddings"):
        array = np.asarray(embeddings, "float32")
        return np.nan_to_num(array, posinf=0.0)


class FloatIds(LinearSearch):
    def batch_lookup(self, embeddings, k=5, *, allowed=None):
        ids, found = super().batch_lookup(embeddings, k, allowed=allowed)
        return ids.astype("float64").astype("int64"), found


class Unpadded(LinearSearch):
    def batch_lookup(self, embeddings, k=5, *, allowed=None):
        ids, found = super().batch_lookup(embeddings, k, allowed=allowed)
        return np.where(ids < 0, 0, ids), np.nan_to_num(found)


class Sticky(LinearSearch):
    def reset(self):
        pass


@register()
class Amnesiac(LinearSearch):
    """Writes half of its rows, and reads what there is."""

    def _write(self, folder):
        np.save(folder / "half.npy", self._codes.array("vectors")[: self.size() // 2])

    def _read(self, folder, mmap):
        half = np.load(folder / "half.npy")
        self._codes.extend(np.concatenate([half, half])[: self.size()])


class Unconfigured(LinearSearch):
    def get_config(self):
        return {"distance": "cosine", "dim": self.dim}


class Farthest(LinearSearch):
    """Turns a similarity around."""

    def _find(self, queries, k, allowed):
        rows, values = super()._find(queries, k, allowed)
        return rows[:, ::-1], values[:, ::-1]


class Racing(Search):
    """Has no rows for a moment, whenever some are added."""

    def __init__(self, distance, dim, **kwargs):
        super().__init__(distance, dim, **kwargs)
        self.inner = LinearSearch(distance, dim)

    def _add(self, embeddings):
        rows = np.concatenate([self._rows(), embeddings])
        self.inner = LinearSearch(self.distance, self.dim)
        time.sleep(0.01)
        self.inner.batch_add(rows, np.arange(len(rows)))

    def _rows(self):
        return self.inner._codes.array("vectors")

    def _find(self, queries, k, allowed):
        return self.inner.batch_lookup(queries, k, allowed=allowed)

    def _clear(self):
        self.inner.reset()

    def _write(self, folder):
        self.inner.write(folder)

    def _read(self, folder, mmap):
        self.inner.read(folder, mmap)


BROKEN = {
    Squared: ("distances", "is it squared, negated"),
    Forgetful: ("distances", "below the stated 1"),
    Unfiltered: ("allowed", "50.0% of the rows allowed, others are found"),
    PostFiltered: ("allowed", "1.0% of the rows allowed, a query gets too few"),
    Trusting: ("refused", "`batch_add` does not refuse a NaN"),
    FloatIds: ("ids", "of ids above 2"),
    Unpadded: ("short", "with 0 rows and k=10 there are not 0 ids and then -1"),
    Sticky: ("reset", "after `reset`, `size` is 2000"),
    Amnesiac: ("files", "a loaded engine gives other answers"),
    Unconfigured: ("config", "has another distance"),
    Farthest: ("distances", "the nearest do not come first"),
    Racing: ("threads", "of lookups while rows are added, there are too few"),
}


@pytest.mark.parametrize("engine", BROKEN, ids=lambda engine: engine.__name__)
def test_what_is_wrong_is_said(engine):
    check, sentence = BROKEN[engine]
    found = find_search_faults(engine, distances=["euclidean"])
    assert sentence in " ".join(found[check])


def test_faults_are_raised_together():
    with pytest.raises(AssertionError, match=r"breaks \d+ of 12 rules:\n- distances: eu"):
        check_search(Squared, distances=["euclidean"], skip=["threads"])


def test_distances_that_are_wanted_may_not_be_missing():
    def make(distance, dim):
        if distance != "cosine":
            raise ValueError
        return LinearSearch(distance, dim)

    assert find_search_faults(make, rows=1000) == {}
    found = find_search_faults(make, rows=1000, distances=["cosine", "l1"])
    assert "ValueError" in found["distances"][0]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`skip` must name checks: distances.*'files2'"):
        check_search(LinearSearch, skip=["files2"])
    with pytest.raises(ValueError, match="`recall` must be above 0"):
        check_search(LinearSearch, recall=0)


def test_no_framework_is_needed():
    code = (
        "import sys; from keras_similarity.testing import check_search; "
        "assert not {'keras', 'jax', 'torch', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
