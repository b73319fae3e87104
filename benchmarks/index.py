"""What an index costs with each engine, and what it finds.

    python -m benchmarks.index
    python -m benchmarks.index --engines linear hnsw --data clusters
    python -m benchmarks.index --data million --engines linear ivf     (and ten_million)

Each engine builds an index of each data set in a process of its own: seconds to build,
recall@10 against exact search, queries a second in a batch, median milliseconds of one
query, memory by which the process grew beyond the vectors that it was given, seconds to
save, to load and to load mapped, and megabytes on disk. Beside them what
TensorFlow Similarity does: NMSLIB with its defaults, and a Python object a neighbour.

`x raw` is the time of the batch over that of the bare engine: for exact search faiss'
flat index with matrix products from the first query on, for others the engine's own
search, with the same settings. `x product` is over the bare product of queries and
vectors, which nothing exact can do without. Both are measured in turns.

No framework is needed. The bar: `linear` at most 1.15 times its engine, and a lookup in
an index 1.15 times the search without it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import write_report

K = 10
REPEATS = 5
BAR = 1.15
QUERIES = {"fashion_mnist": 10_000, "clusters": 10_000}
# Of large sets fewer, so that a run ends.
FEW_QUERIES = 1000
SINGLE = 200

ENGINES: dict[str, Any] = {
    "linear": "linear",
    "linear float16": ("linear", {"storage": "float16"}),
    "linear int8": ("linear", {"storage": "int8"}),
    "linear binary": ("linear", {"storage": "binary"}),
    "auto": "auto",
    "faiss hnsw": ("faiss", {"algo": "hnsw"}),
    "faiss ivf": ("faiss", {"algo": "ivf"}),
    "faiss ivfsq8": ("faiss", {"algo": "ivfsq8"}),
    "faiss ivfpq": ("faiss", {"algo": "ivfpq", "nprobe": 32}),
    "usearch float16": ("usearch", {"dtype": "float16"}),
    "nmslib": "nmslib",
    "TF Similarity": None,
}
DATA = ("fashion_mnist", "clusters", "million", "ten_million")


def vectors_of(data: str) -> tuple[Any, Any]:
    """Vectors and queries of a data set: unit length, float32."""
    if data == "fashion_mnist":
        from keras_similarity.datasets import load_fashion_mnist

        (x, _), (queries, _) = load_fashion_mnist()
        return _unit(x.reshape(len(x), -1)), _unit(queries.reshape(len(queries), -1))
    rows, dim, classes = {
        "clusters": (200_000, 64, 2000),
        "million": (1_000_000, 128, 10_000),
        "ten_million": (10_000_000, 64, 100_000),
    }[data]
    random = np.random.default_rng(0)
    centers = random.normal(size=(classes, dim)).astype("float32")
    count = QUERIES.get(data, FEW_QUERIES)

    def drawn(number: int) -> Any:
        x = random.standard_normal((number, dim), dtype="float32")
        x *= 0.5
        x += centers[np.arange(number) % classes]
        return _unit(x)

    return drawn(rows), drawn(count)


def _unit(x: Any) -> Any:
    x = x.astype("float32", copy=False)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians_in_turns(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Any]:
    """Median seconds of each call, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            took = seconds(call)
            if repeat:
                times[name].append(took)
    return {name: statistics.median(found) for name, found in times.items()}


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Recipe:
    """What TensorFlow Similarity does: NMSLIB, and an object for each neighbour."""

    def __init__(self, x: Any, labels: Any) -> None:
        import nmslib

        self.engine = nmslib.init(method="hnsw", space="cosinesimil")
        self.engine.addDataPointBatch(x, np.arange(len(x)))
        self.engine.createIndex(print_progress=False)
        # Its store: a list of embeddings, of labels and of data.
        self.embeddings, self.labels = list(x), labels.tolist()
        self.data: list[Any] = [None] * len(x)

    def batch_lookup(self, queries: Any, k: int) -> Any:
        from keras_similarity.types import Lookup

        found = self.engine.knnQueryBatch(queries, k=k, num_threads=2)
        return [
            [
                Lookup(
                    rank=rank,
                    distance=float(distance),
                    label=self.labels[row],
                    embedding=self.embeddings[row],
                    data=self.data[row],
                )
                for rank, (row, distance) in enumerate(
                    zip(rows.tolist(), distances.tolist(), strict=True), start=1
                )
            ]
            for rows, distances in found
        ]

    def ids(self, queries: Any, k: int) -> Any:
        found = self.engine.knnQueryBatch(queries, k=k, num_threads=2)
        ids = np.full((len(queries), k), -1)
        for query, (rows, _) in enumerate(found):
            ids[query, : len(rows)] = rows
        return ids


def built(engine: str, x: Any, labels: Any) -> Any:
    """An index of the vectors."""
    from keras_similarity import search
    from keras_similarity.indexer import Indexer

    chosen = ENGINES[engine]
    if chosen is None:
        return Recipe(x, labels)
    name, options = chosen if isinstance(chosen, tuple) else (chosen, {})
    dim = x.shape[1]
    index = Indexer(dim, search=search.get(name, distance="cosine", dim=dim, **options))
    for start in range(0, len(x), 100_000):
        part = slice(start, start + 100_000)
        index.batch_add(x[part], labels[part], build=False)
    index.build_index(verbose=0)
    return index


def exact_ids(x: Any, queries: Any) -> Any:
    """The nearest, by faiss' flat index with matrix products."""
    import faiss

    faiss.cvar.distance_compute_blas_threshold = 1
    return faiss.knn(queries, x, K, faiss.METRIC_INNER_PRODUCT)[1]


def raw_search(engine: str, index: Any, x: Any, queries: Any) -> Callable[[], Any] | None:
    """The search of the engine below, with the same settings; none where it is ours."""
    if engine == "linear":
        return lambda: exact_ids(x, queries)
    built = getattr(getattr(index, "search", None), "_built", None)
    if built is None:
        return None
    if hasattr(built.engine, "knnQueryBatch"):
        return lambda: built.engine.knnQueryBatch(queries, k=K)
    if hasattr(built.engine, "expansion_search"):
        return lambda: built.engine.search(queries, K)
    from keras_similarity.search.faiss_recipe import parameters

    settings = {name: getattr(index.search, name) for name in ("nprobe", "ef_search")}
    how = parameters(built.engine, None, **settings)
    return lambda: built.engine.search(queries, K, params=how)


def product(x: Any, queries: Any) -> None:
    """All inner products, in blocks that are thrown away."""
    block = max(2**26 // len(x), 1)
    out = np.empty((block, len(x)), "float32")
    for start in range(0, len(queries), block):
        part = queries[start : start + block]
        np.matmul(part, x.T, out=out[: len(part)])


def measure(engine: str, data: str) -> dict[str, Any]:
    """One line of the table."""
    x, queries = vectors_of(data)
    labels = np.arange(len(x)) % 1000
    before = resident_mib()
    start = time.perf_counter()
    index = built(engine, x, labels)
    line: dict[str, Any] = {"data": data, "engine": engine}
    line["build s"] = time.perf_counter() - start
    line["MiB"] = resident_mib() - before
    sample = queries[:1000]
    is_recipe = isinstance(index, Recipe)
    found = index.ids(sample, K) if is_recipe else index.search.batch_lookup(sample, K)[0]
    truth = exact_ids(x, sample)
    line["recall@10"] = float(
        np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)])
    )
    calls = {
        "batch": lambda: index.batch_lookup(queries, K),
        "product": lambda: product(x, queries),
    }
    if not is_recipe:
        calls["search"] = lambda: index.search.batch_lookup(queries, K)
    if (raw := raw_search(engine, index, x, queries)) is not None:
        calls["raw"] = raw
    repeats = REPEATS if len(x) <= 200_000 else 2
    times = medians_in_turns(calls, repeats)
    line["batch q/s"] = len(queries) / times["batch"]
    line["x product"] = times["batch"] / times["product"]
    if "search" in times:
        line["x search"] = times["batch"] / times["search"]
    if "raw" in times:
        line["x raw"] = times["search"] / times["raw"]
    one = medians_in_turns(
        {
            str(i): lambda i=i: index.batch_lookup(queries[i : i + 1], K)
            for i in range(20)
        },
        SINGLE // 20,
    )
    line["one ms"] = 1e3 * statistics.median(one.values())
    if not is_recipe:
        line |= on_disk(index)
    return line


def on_disk(index: Any) -> dict[str, Any]:
    """Seconds to save and load, and megabytes."""
    from keras_similarity.indexer import Indexer

    with tempfile.TemporaryDirectory() as folder:
        line = {"save s": seconds(lambda: index.save(folder, compression=False))}
        size = sum(file.stat().st_size for file in Path(folder).rglob("*"))
        line["disk MiB"] = size / 2**20
        line["load s"] = seconds(lambda: Indexer.load(folder, verbose=0))
        before = resident_mib()
        start = time.perf_counter()
        mapped = Indexer.load(folder, verbose=0, mmap=True)
        line["map s"] = time.perf_counter() - start
        line["mapped MiB"] = resident_mib() - before
        del mapped
    return line


def main() -> int:
    """Measures, prints and writes; returns 1 if it falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--data", nargs="*", default=["fashion_mnist", "clusters"])
    parser.add_argument("--one", action="store_true", help="measure here, print JSON")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.engines[0], chosen.data[0])))
        return 0
    lines = []
    for data in chosen.data:
        for engine in chosen.engines:
            command = [sys.executable, "-m", "benchmarks.index", "--one"]
            command += ["--engines", engine, "--data", data]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                print(f"{engine} on {data}: {ran.stderr.strip().splitlines()[-1]}")
                continue
            lines.append(json.loads(ran.stdout.splitlines()[-1]))
            print(lines[-1], flush=True)
    short = [
        f"{line['engine']} on {line['data']}: {name} {line[name]:.2f}"
        for line in lines
        for name in ("x raw", "x search")
        if line["engine"] == "linear" and line.get(name, 0.0) > BAR
    ]
    name = "index" if len(chosen.data) > 1 else f"index-{chosen.data[0]}"
    write_report(name, lines, k=K, bar=BAR, short_of_the_bar=short)
    print("\n".join(short))
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
