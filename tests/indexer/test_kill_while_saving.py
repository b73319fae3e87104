"""A process that is killed while it saves leaves the old index or the new one, whole."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import keras_similarity
from keras_similarity.indexer import Indexer

pytestmark = pytest.mark.keras_free

KILLS = 200 if os.environ.get("KSIM_LONG") else 20

SAVER = textwrap.dedent("""
    import os, sys
    import faiss
    import numpy as np
    from keras_similarity.indexer import Indexer

    def save_forever(path, value):
        while True:
            index = Indexer(8, "euclidean")
            rows = np.full((50 + value % 7, 8), value, "float32")
            n = len(rows)
            index.batch_add(rows, labels=[value] * n, data=[str(value)] * n)
            index.calibrate(rows[:2], [value, value], verbose=0)
            index.save(path)
            print(value, flush=True)
            value += 1

    for line in sys.stdin:  # Forked, so that none has to import anything.
        child = os.fork()
        if not child:
            save_forever(sys.argv[1], int(line))
        print("child", child, flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)
""")


@pytest.fixture
def saver(tmp_path):
    package = str(Path(keras_similarity.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(tmp_path / "index")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KSIM_KERAS": "0", "PYTHONPATH": package},
    )
    yield process
    process.stdin.close()
    assert process.wait() == 0


def killed_after(saver, first, seconds):
    """The last index that a child acknowledged, which saves from `first` on."""
    saver.stdin.write(f"{first}\n")
    saver.stdin.flush()
    words = [saver.stdout.readline().strip() for _ in range(2)]  # In either order.
    child = next(int(word.split()[1]) for word in words if word.startswith("child"))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    words += iter(lambda: saver.stdout.readline().strip(), "dead")
    return max(int(word) for word in words if word.isdigit())


def test_the_old_or_the_new_index_is_there_whole(saver, tmp_path):
    draw = random.Random(0)
    path, done, mid_save = tmp_path / "index", -1, 0
    for _ in range(KILLS):
        done = killed_after(saver, done + 1, draw.uniform(0, 0.05))
        mid_save += len(list(path.glob("generation-*"))) > 1
        loaded = Indexer.load(path, verbose=0, mmap=draw.random() < 0.5)
        value = loaded.batch_lookup([[0.0] * 8], k=1).labels[0, 0]
        assert value in (done, done + 1)
        rows = 50 + value % 7
        assert loaded.size() == loaded.searchable() == rows and loaded.is_calibrated
        lookups = loaded.batch_lookup(np.zeros((1, 8)), k=rows)
        assert (lookups.labels == value).all() and (lookups.embeddings == value).all()
        assert lookups.data == [[str(value)] * rows]
        done = int(value)
    assert mid_save >= KILLS // 10  # Or nothing was killed at an interesting moment.
    loaded.save(path)
    assert len(list(path.iterdir())) == 2  # The debris of the dead is gone.
