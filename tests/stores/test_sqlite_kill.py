"""What the SQLite store has acknowledged is there after a SIGKILL, and nothing in half.

20 kills; 200 with `KSIM_LONG=1`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_similarity.indexer import Indexer
from keras_similarity.stores import SQLiteStore

pytestmark = [
    pytest.mark.keras_free,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL."),
]

KILLS = 200 if os.environ.get("KSIM_LONG") else 20
ROOT = Path(__file__).parents[2]

# Tells what it is about to do before each call, and afterwards that it is done.
CHILD = """
import json, random, sys
import numpy as np
from keras_similarity.stores import SQLiteStore

store = SQLiteStore(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
step = store.next_id
while True:
    step += 100
    live = store.ids(np.flatnonzero(store.is_live)).tolist()
    kind = rng.choice(["add", "add", "update", "upsert", "delete", "compact"])
    count = rng.randint(1, 40)
    ids = rng.sample(live, min(len(live), count))
    if kind in ("add", "upsert"):
        new = list(range(step, step + count))
        ids = new if kind == "add" else ids + new[:3]
    print(json.dumps([kind, ids, step]), flush=True)
    rows = np.full((len(ids), 8), step, "float32")
    rows[:, 0] = ids
    row = dict(labels=[step] * len(ids), data=[{"step": step}] * len(ids), ids=ids)
    row["metadata"] = {"step": step}
    if kind == "add":
        store.batch_add(rows, **row)
    elif kind == "upsert":
        store.commit(store.prepare(rows, replacing=True, **row))
    elif kind == "update":
        store.update(ids, label=step, data=row["data"], metadata=row["metadata"])
    elif kind == "delete":
        store.delete(ids)
    else:
        store.keep(np.flatnonzero(store.is_live))
    print("done", flush=True)
"""


def applied(rows, kind, ids, step):
    """Id -> (step of the embedding, of everything else), after a call."""
    rows = dict(rows)
    for id_ in ids:
        if kind == "delete":
            del rows[id_]
        elif kind == "update":
            rows[id_] = (rows[id_][0], step)
        elif kind in ("add", "upsert"):
            rows[id_] = (step, step)
    return rows


def stored(path):
    """The same, from the file; every column of a row must be there."""
    store = SQLiteStore(path)
    rows = np.flatnonzero(store.is_live)
    if not len(rows):  # Killed before the first write.
        return {}
    embeddings, data = store.records(rows)
    steps, ids = store.labels(rows), store.ids(rows).tolist()
    assert len(set(ids)) == len(ids)
    assert [item["step"] for item in data] == steps.tolist()
    assert store.metadata(rows)["step"].to_list() == steps.tolist()
    assert (embeddings[:, 1:] == embeddings[:, 1:2]).all()
    assert embeddings[:, 0].astype(int).tolist() == ids
    values = zip(embeddings[:, -1].astype(int).tolist(), steps.tolist(), strict=True)
    return dict(zip(ids, values, strict=True))


def killed_run(path, seed, seconds):
    """Lines that a child printed until it was killed, so long after its first call."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "KSIM_KERAS": "0", "PYTHONPATH": str(ROOT)},
        text=True,
    )
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    lines = [first, *child.stdout.read().splitlines(keepends=True)]
    assert child.wait() == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


def test_no_acknowledged_write_is_lost(tmp_path):
    path, expected, kinds = tmp_path / "rows.db", {}, set()
    random = np.random.default_rng(0)
    for seed in range(KILLS):
        lines = killed_run(path, seed, random.uniform(0.0, 0.12))
        pending = None
        for line in lines:
            if line == "done":
                expected, pending = applied(expected, *pending), None
                continue
            pending = json.loads(line)
            kinds.add(pending[0])
        found = stored(path)
        may_be = (
            [expected] if pending is None else [expected, applied(expected, *pending)]
        )
        assert found in may_be
        expected = found
    assert kinds == {"add", "update", "upsert", "delete", "compact"}
    check_index(path, expected)


def check_index(path, expected):
    assert len(expected) > 10
    index = Indexer(8, distance="euclidean", kv_store=SQLiteStore(path))
    index.build_index()
    ids = list(expected)[:10]
    queries = np.array([[id_, *[expected[id_][0]] * 7] for id_ in ids])
    lookups = index.batch_lookup(queries, k=1, verbose=0)
    assert lookups.ids[:, 0].tolist() == ids
    assert lookups.labels[:, 0].tolist() == [expected[id_][1] for id_ in ids]
