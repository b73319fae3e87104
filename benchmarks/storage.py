"""What a row of an index takes, in memory and on disk, for each way to keep it.

    python -m benchmarks.storage
    python -m benchmarks.storage --kinds "lance" "usearch float16" --rows 10000 --dims 64

Each kind keeps rows of a vector, a label and a number as metadata in a process of its
own, which made a small index of the kind before, so that what the packages take by
themselves does not count. Memory is by how much the process has grown when the vectors
that it was given are gone and a lookup has been answered; disk is what the index has
written when it was saved. Rows are drawn in blocks of 10,000.

The second table says what that makes of up to a billion rows of the largest embedding
size. It is a multiplication, not a measurement: what does not grow with the rows is left
out, and nobody would keep a billion rows in the memory of one process.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import format_table, write_report

ROWS, DIMS = 100_000, (64, 128)
BLOCK, SMALL = 10_000, 2000
PAPER = (10**6, 10**7, 10**8, 10**9)
CLASSES = 1000


def _sqlite(folder: Path) -> Any:
    from keras_similarity.stores import SQLiteStore

    return SQLiteStore(str(folder / "rows.sqlite"))


def _lance(dim: int, folder: Path, **options: Any) -> Any:
    from keras_similarity.databases import LanceSearch

    return LanceSearch("cosine", dim, folder / "rows.lance", **options)


def _milvus(dim: int, folder: Path) -> Any:
    from keras_similarity.databases import MilvusSearch

    return MilvusSearch("cosine", dim, folder / "rows.db")


def _engine(name: str, **options: Any) -> Callable[[int, Path], dict[str, Any]]:
    def parts(dim: int, folder: Path) -> dict[str, Any]:
        from keras_similarity import search

        return {"search": search.get(name, distance="cosine", dim=dim, **options)}

    return parts


# Name -> the parts of an index, made for an embedding size and a folder.
KINDS: dict[str, Callable[[int, Path], dict[str, Any]]] = {
    "memory": _engine("linear"),
    "memory, linear float16": _engine("linear", storage="float16"),
    "memory, linear int8": _engine("linear", storage="int8"),
    "memory, linear binary": _engine("linear", storage="binary"),
    **{
        f"memory, faiss {algo}": _engine("faiss", algo=algo)
        for algo in ("flat", "fp16", "sq8", "ivf", "ivfsq8", "ivfpq", "hnsw")
    },
    **{
        f"memory, usearch {dtype}": _engine("usearch", dtype=dtype)
        for dtype in ("float16", "bfloat16", "int8")
    },
    "sqlite": lambda dim, folder: {"kv_store": _sqlite(folder)},
    "lance": lambda dim, folder: {"search": _lance(dim, folder)},
    "lance ivf_pq": lambda dim, folder: {"search": _lance(dim, folder, index="ivf_pq")},
    "milvus-lite": lambda dim, folder: {"search": _milvus(dim, folder)},
}


def filled(kind: str, rows: int, dim: int, folder: Path) -> Any:
    """An index of so many rows, which has answered a lookup."""
    from keras_similarity.indexer import Indexer

    folder.mkdir()
    index = Indexer(dim, "cosine", **KINDS[kind](dim, folder))
    random = np.random.default_rng(0)
    centers = random.normal(size=(CLASSES, dim)).astype("float32")
    for start in range(0, rows, BLOCK):
        labels = np.arange(start, min(start + BLOCK, rows)) % CLASSES
        noise = random.standard_normal((len(labels), dim), dtype="float32")
        index.batch_add(
            centers[labels] + 0.5 * noise,
            labels=labels,
            metadata={"price": labels},
            build=False,
        )
    index.build_index(verbose=0)
    index.batch_lookup(centers[:10], k=10)
    return index


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_in(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(kind: str, rows: int, dim: int) -> dict[str, Any]:
    """One line of the first table."""
    with tempfile.TemporaryDirectory() as scratch:
        small = filled(kind, SMALL, dim, Path(scratch, "small"))
        before = resident_bytes()
        folder = Path(scratch, "rows")
        index = filled(kind, rows, dim, folder)
        grown = resident_bytes() - before
        index.save(folder / "index", compression=False)
        disk = bytes_in(folder)
        assert index.size() == rows and small.size() == SMALL
        for each in (index, small):
            getattr(each.search, "close", lambda: None)()
    return {
        "dim": dim,
        "kind": kind,
        "memory B": round(grown / rows),
        "disk B": round(disk / rows),
        "memory x": grown / rows / (4 * dim),
        "disk x": disk / rows / (4 * dim),
    }


def on_paper(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """GB that more rows of the largest embedding size would take."""
    dim = max(line["dim"] for line in lines)
    table = []
    for line in (line for line in lines if line["dim"] == dim):
        row: dict[str, Any] = {"dim": dim, "kind": line["kind"]}
        for count in PAPER:
            memory, disk = (line[name] * count / 1e9 for name in ("memory B", "disk B"))
            row[f"{count:.0e}".replace("e+0", "e")] = f"{memory:,.4g} | {disk:,.4g}"
        table.append(row)
    return table


def main() -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--dims", type=int, nargs="*", default=list(DIMS))
    parser.add_argument("--one", action="store_true", help="measure here, print JSON")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.kinds[0], chosen.rows, chosen.dims[0])))
        return 0
    lines, left_out = [], []
    for dim in chosen.dims:
        for kind in chosen.kinds:
            command = [sys.executable, "-m", "benchmarks.storage", "--one"]
            command += ["--kinds", kind, "--rows", str(chosen.rows), "--dims", str(dim)]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                left_out.append(f"{kind}: {ran.stderr.strip().splitlines()[-1]}")
                print(left_out[-1], flush=True)
                continue
            lines.append(json.loads(ran.stdout.splitlines()[-1]))
            print(lines[-1], flush=True)
    paper = on_paper(lines)
    print(f"\nGB in memory | on disk, on paper\n{format_table(paper)}")
    settings = {
        "rows_of_each": chosen.rows,
        "x": "times the bytes of the float32 vectors",
    }
    write_report("storage", lines, **settings, left_out=left_out)
    write_report("storage-on-paper", paper, cells="GB in memory | GB on disk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
