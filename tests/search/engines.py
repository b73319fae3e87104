"""Every engine, made so that with 2,000 rows it does more than search exactly."""

import importlib.util

import pytest

from keras_similarity.search import (
    AutoSearch,
    FaissSearch,
    LinearSearch,
    NMSLibSearch,
    UsearchSearch,
)


def _faiss(algo, **options):
    return lambda distance, dim: FaissSearch(
        distance, dim, algo=algo, exact_rows=500, **options
    )


def _usearch(dtype):
    return lambda distance, dim: UsearchSearch(
        distance, dim, dtype=dtype, exact_rows=500, expansion_search=128
    )


def _nmslib(distance, dim):
    return NMSLibSearch(distance, dim, query_params={"efSearch": 200}, exact_rows=500)


#: Name -> how to make it, the recall it has to reach, and the package it needs. Threads
#: link the rows of a graph in another order each time: those are seldom below 0.98, and
#: fail no test by chance.
ENGINES = {
    "linear": (LinearSearch, 1.0, None),
    "float16": (lambda d, n: LinearSearch(d, n, storage="float16"), 0.98, None),
    "auto": (lambda d, n: AutoSearch(d, n, exact_rows=500), 0.95, None),
    "flat": (_faiss("flat"), 1.0, None),
    "ivfpq": (_faiss("ivfpq", m=4, nbits=4, nlist=8, nprobe=6), 0.8, None),
    "ivf": (_faiss("ivf"), 0.95, None),
    "ivfsq8": (_faiss("ivfsq8"), 0.95, None),
    "hnsw": (_faiss("hnsw", m=16, ef_construction=60), 0.93, None),
    "fp16": (_faiss("fp16"), 0.99, None),
    "sq8": (_faiss("sq8"), 0.99, None),
    "IVF16,Flat": (_faiss("IVF16,Flat", nprobe=8), 0.95, None),
    "PCA12,IVF8,Flat": (_faiss("PCA12,IVF8,Flat", nprobe=8), 0.6, None),
    "usearch float16": (_usearch("float16"), 0.93, "usearch"),
    "usearch bfloat16": (_usearch("bfloat16"), 0.93, "usearch"),
    "usearch int8": (_usearch("int8"), 0.93, "usearch"),
    "nmslib": (_nmslib, 0.93, "nmslib"),
}


def needs(package):
    """Skips where an optional package is missing."""
    is_missing = package is not None and importlib.util.find_spec(package) is None
    return pytest.mark.skipif(is_missing, reason=f"needs {package}")


def every_engine():
    """Parameters `make` and `recall`."""
    return [
        pytest.param(make, recall, id=name, marks=needs(package))
        for name, (make, recall, package) in ENGINES.items()
    ]
