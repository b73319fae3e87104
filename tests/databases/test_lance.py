"""Tests of what only LanceDB has: an index made later, versions, other processes."""

import subprocess
import sys

import numpy as np
import pytest

from keras_similarity.databases import LanceSearch
from keras_similarity.indexer import Indexer, field

pytestmark = [pytest.mark.keras_free, pytest.mark.parametrize("kind", ["lance"])]

RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.normal(size=(3000, 8)).astype("float32")


@pytest.mark.parametrize("name", ["ivf_flat", "ivf_pq"])
def test_an_index_is_made_when_it_is_asked_for(make, name):
    index = make(dim=8, index=name, num_partitions=8, nprobes=1)
    index.batch_add(VECTORS[:2900], labels=np.arange(2900) % 10)
    assert index.recall(sample=50, k=5) == 1.0  # Exact, as long as there is none.
    index.build_index()
    assert index.search._table().list_indices()
    few = index.recall(sample=50, k=5)
    index.search.set_parameters(nprobes=8)
    many = index.recall(sample=50, k=5)
    assert few < many and (name == "ivf_pq" or many == 1.0)
    index.batch_add(VECTORS[2900:])  # Found beside the index.
    assert index.batch_lookup(VECTORS[2950:2951], k=1).ids.tolist() == [[2950]]
    index.delete(2950)
    assert index.batch_lookup(VECTORS[2950:2951], k=1).ids.tolist() != [[2950]]
    found = index.batch_lookup(VECTORS[:20], k=50, filter=field("label") == 3)
    assert (found.labels[found.ids >= 0] == 3).all()


def test_many_small_changes_are_put_together(make):
    index = make(dim=8)
    for row in range(120):
        index.add(VECTORS[row], label=row)
    table = index.search._table()
    assert table.stats()["fragment_stats"]["num_fragments"] < 40
    assert index.size() == 120
    assert index.batch_lookup(VECTORS[:120], k=1).labels[:, 0].tolist() == list(
        range(120)
    )


def test_another_process_sees_what_is_written_at_once(make):
    index = make(dim=8, name="shared")
    index.batch_add(VECTORS[:10], labels=np.arange(10))
    code = f"""
import sys
from keras_similarity.databases import LanceSearch
from keras_similarity.indexer import Indexer
index = Indexer(8, "euclidean", search=LanceSearch(
    "euclidean", 8, {index.search.path!r}, "shared"))
assert index.size() == 10
print(index.add([[9.0] * 8], label=77, metadata={{"who": "other"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.strip() == "10", done.stderr[-2000:]
    assert index.size() == 11
    neighbor = index.single_lookup([9.0] * 8, k=1, filter=field("who") == "other")[0]
    assert (neighbor.id, neighbor.label, neighbor.metadata) == (10, 77, {"who": "other"})
    with pytest.raises(ValueError, match="`ids` must be new"):
        index.add(VECTORS[0], id=10)


def test_filters_cost_no_recall_and_distances_are_exact(make):
    exact = make(dim=8)
    labels = np.arange(3000) % 1000
    exact.batch_add(VECTORS, labels=labels)
    queries = RANDOM.normal(size=(30, 8)).astype("float32")
    for name in ("ivf_flat", "ivf_pq"):
        index = make(dim=8, index=name, num_partitions=32, nprobes=4)
        index.batch_add(VECTORS, labels=labels)
        index.build_index()
        found = index.batch_lookup(queries, k=10)
        true = np.take_along_axis(index.distance(queries, VECTORS), found.ids, 1)
        np.testing.assert_allclose(found.distances, true, rtol=1e-4)
        least = hits(found, exact.batch_lookup(queries, k=10))
        for most in (500, 100, 10, 1):
            arguments = dict(k=10, filter=field("label") < most)
            found = index.batch_lookup(queries, **arguments)
            assert hits(found, exact.batch_lookup(queries, **arguments)) >= least


def hits(found, exact):
    pairs = zip(found.ids, exact.ids, strict=True)
    return np.mean([np.isin(true[true >= 0], ids).mean() for ids, true in pairs])


def test_processes_that_write_at_once_wait_for_each_other(make):
    index = make(dim=8, name="busy")
    index.batch_add(VECTORS[:1])
    code = f"""
import sys
from keras_similarity.databases import LanceSearch
search = LanceSearch("euclidean", 8, {index.search.path!r}, "busy")
for turn in range(8):
    search.add([[float(turn)] * 8])
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    for _ in range(8):
        index.add(VECTORS[1])
    assert [child.wait() for child in children] == [0, 0]
    assert sorted(index.search.all_ids().tolist()) == list(range(25))


def test_another_table_is_refused(make, tmp_path):
    index = make(dim=8, name="first")
    index.batch_add(VECTORS[:5])
    index.save(tmp_path / "index")
    with pytest.raises(ValueError, match="holds those of size 8 under l2"):
        LanceSearch("euclidean", 4, index.search.path, "first").size()
    index.reset()
    index.batch_add(VECTORS[:5])
    with pytest.raises(ValueError, match="another table of that name there"):
        Indexer.load(tmp_path / "index", verbose=0)
