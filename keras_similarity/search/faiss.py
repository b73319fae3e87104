"""Approximate search with faiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.search.approximate import ApproximateSearch, Built
from keras_similarity.search.base import check_positive, register
from keras_similarity.search.candidates import FAISS_METRICS
from keras_similarity.search.faiss_recipe import (
    SHORT_NAMES,
    default_nlist,
    empty_engine,
    is_graph,
    is_whole,
    nlist_of,
    parameters,
    rows_wanted,
)
from keras_similarity.types import Bools, Floats, Ints

# Coded rows find this many times k candidates, which are ranked exactly.
_WIDENING = 4
# Rows that are handed over at once: linking one takes a millisecond, putting it into a
# list a hundredth of that.
_LINKED_AT_ONCE = 128
_LISTED_AT_ONCE = 8192
_FILE = "engine.faiss"
# Rows that lists and codes are learned from: so many a list, and at least so many. More
# take faiss much longer and find hardly more.
_SAMPLED_A_LIST = 64
_SAMPLED = 2**16
# What it was called, and how it was written, up to version 0.1.
_OLD_FILE = "ivfpq.npy"


@register("faiss")
class FaissSearch(ApproximateSearch):
    """Approximate search with any index of faiss.

    faiss finds candidates, which are ranked by their exact distances, for which the
    float32 rows are kept too. So the distances are exact, and what is approximate is who
    is found.

    | `algo` | what it is |
    |---|---|
    | `"ivfpq"` | inverted lists of product-quantised rows: least memory for the engine |
    | `"ivf"` | inverted lists of whole rows: built quickly, takes many changes |
    | `"ivfsq8"` | inverted lists of rows of bytes |
    | `"hnsw"` | a graph: quick for single queries, slow to build |
    | `"sq8"`, `"fp16"` | all rows, in bytes or half precision |
    | `"flat"` | all rows: exact |
    | other text | a [factory string](https://github.com/facebookresearch/faiss/wiki) |

    Lists and codes are learned as soon as there are enough rows; an index with fewer is
    searched exactly, which is fast enough there. Where `nlist` is not given, they are
    learned anew when there are four times as many rows, and the old engine answers until
    then. Filters are honoured inside the engine, which then looks at as many more lists
    or nodes as the filter leaves out rows.

    Args:
        distance: `"cosine"`, `"inner_product"`, `"euclidean"` or `"squared_euclidean"`;
            flat, HNSW and IVF of whole rows take `"manhattan"` too. `LinearSearch` takes
            any. A graph of inner products of vectors of many lengths finds little.
        dim: Embedding size.
        algo: One of the above.
        m: For PQ the codes a row, 8 by default, of which `dim` must be a multiple; for
            HNSW the links of a node, 32 by default.
        nbits: Bits a code, from 1 to 16.
        nlist: Number of lists: 1,024 for `"ivfpq"`; else, by default, 4 times the square
            root of the rows.
        nprobe: Number of lists searched, up to `nlist`: more find more, slower. 1 for
            `"ivfpq"`; else, by default, a thirty-second of the lists, at least 8. May be
            set at any time.
        name: Name of the object.
        verbose: Above 0, prints when it trains.
        ef_search: Of HNSW, nodes looked at: more find more, slower. May be set at any
            time.
        ef_construction: Of HNSW, nodes looked at when a row is linked.
        exact_rows: Up to so many rows are searched exactly, without an engine. By
            default: fewer than 39 for each list and code, or 10,000 with `"ivf"` and
            `"ivfsq8"`, or 1,000 where nothing is learned.

    Raises:
        ValueError: If an argument is out of its range or the distance is not known.

    Reference:
        [Jegou et al., 2011](https://doi.org/10.1109/TPAMI.2010.57);
        [Malkov and Yashunin, 2018](https://arxiv.org/abs/1603.09320);
        [Douze et al., 2024](https://arxiv.org/abs/2401.08281)

    Example:
        >>> from keras_similarity.search import FaissSearch
        >>> search = FaissSearch("euclidean", dim=2, algo="flat")
        >>> search.batch_add([[0.0, 0.0], [3.0, 4.0]], idxs=[7, 8])
        >>> ids, distances = search.lookup([0.0, 0.0], k=2)
        >>> ids.tolist(), distances.tolist()
        ([7, 8], [0.0, 5.0])
    """

    default_name = "faiss"
    can_filter = True

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        algo: str = "ivfpq",
        m: int | None = None,
        nbits: int = 8,
        nlist: int | None = None,
        nprobe: int | None = None,
        name: str | None = None,
        verbose: int = 0,
        *,
        ef_search: int = 64,
        ef_construction: int = 100,
        exact_rows: int | None = None,
    ) -> None:
        super().__init__(distance, dim, name, verbose, exact_rows)
        self.algo = algo
        if algo == "ivfpq":  # TensorFlow Similarity's.
            nlist = 1024 if nlist is None else nlist
            nprobe = 1 if nprobe is None else nprobe
        self.m = (32 if algo == "hnsw" else 8) if m is None else check_positive("m", m)
        self.nbits = check_positive("nbits", nbits)
        self.nlist = None if nlist is None else check_positive("nlist", nlist)
        self.nprobe = None if nprobe is None else check_positive("nprobe", nprobe)
        self.ef_search = check_positive("ef_search", ef_search)
        self.ef_construction = check_positive("ef_construction", ef_construction)
        self._check_arguments()
        if not self._is_flat:
            # Of the engine that there is, or will be.
            self._use_traits_of(self._empty_engine(rows=None))
        # An engine that is mapped must not be extended: faiss would end the process.
        self._mapped: Any = None

    def get_config(self) -> dict[str, Any]:
        names = ("algo", "m", "nbits", "nlist", "nprobe", "ef_search", "ef_construction")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def tunable(self) -> dict[str, list[Any]]:
        built = self._built
        if built is None:
            return {}
        lists = nlist_of(built.engine)
        if lists:
            powers = [2**power for power in range(lists.bit_length())]
            return {"nprobe": sorted({*powers, lists})}
        if is_graph(built.engine):
            return {"ef_search": [2**power for power in range(4, 11)]}
        return {}

    @property
    def default_exact_rows(self) -> int:
        return self._rows_wanted - 1

    def _candidate_count(self, k: int) -> int:
        return super()._candidate_count(k * self._widening)

    def _hand_over(self) -> None:
        if not self._is_flat:
            super()._hand_over()

    def _is_outgrown(self, engine: Any, rows: int) -> bool:
        # Twice the lists are right for four times the rows.
        is_ours = self._has_default_nlist and nlist_of(engine) > 0
        return is_ours and default_nlist(rows) >= 2 * nlist_of(engine)

    def _made(self, vectors: Floats) -> Any:
        engine = self._empty_engine(len(vectors))
        engine.train(_sample(vectors, nlist_of(engine)))
        engine.add(vectors)
        self._use_traits_of(engine)
        self.can_filter = self._takes_filters(engine)
        return engine

    def _extended(self, engine: Any, vectors: Floats) -> Any:
        import faiss

        if engine is self._mapped:
            engine = faiss.deserialize_index(faiss.serialize_index(engine))
            self._mapped = None
        engine.add(vectors)
        return engine

    def _candidates(
        self, engine: Any, queries: Floats, count: int, allowed: Bools | None
    ) -> Ints:
        how = parameters(engine, allowed, nprobe=self.nprobe, ef_search=self.ef_search)
        _, rows = engine.search(queries, count, params=how)
        return rows

    def _write_engine(self, engine: Any, folder: Path) -> None:
        import faiss

        faiss.write_index(engine, str(folder / _FILE))

    def _read_engine(self, folder: Path, mmap: bool) -> Built | None:
        import faiss

        if (folder / _FILE).exists():
            flags = faiss.IO_FLAG_MMAP_IFC if mmap else 0
            engine = faiss.read_index(str(folder / _FILE), flags)
        elif (folder / _OLD_FILE).exists():
            content = np.load(folder / _OLD_FILE, allow_pickle=False)
            engine = faiss.deserialize_index(content)
        else:
            return None
        self._check_same_engine(engine)
        self._mapped = engine if mmap else None
        self._use_traits_of(engine)
        self.can_filter = self._takes_filters(engine)
        return Built(engine, engine.ntotal)

    @property
    def _is_flat(self) -> bool:
        """Is the search exact, without an engine?"""
        return self.algo.lower() == "flat"

    @property
    def _has_default_nlist(self) -> bool:
        return self.nlist is None and "{nlist}" in SHORT_NAMES.get(self.algo, "")

    def _empty_engine(self, rows: int | None) -> Any:
        """The index of faiss for so many rows; with some number of lists for `None`."""
        nlist = self.nlist or (1 if rows is None else default_nlist(rows))
        text = SHORT_NAMES.get(self.algo, self.algo)
        factory = text.format(nlist=nlist, m=self.m, nbits=self.nbits)
        engine = empty_engine(self.distance, self.dim, factory)
        if hasattr(engine, "hnsw"):
            engine.hnsw.efConstruction = self.ef_construction
        return engine

    def _use_traits_of(self, engine: Any) -> None:
        self._rows_wanted = rows_wanted(engine, self._has_default_nlist)
        self._widening = 1 if is_whole(engine) else _WIDENING
        self.rows_at_once = _LINKED_AT_ONCE if is_graph(engine) else _LISTED_AT_ONCE

    def _takes_filters(self, engine: Any) -> bool:
        """Does faiss honour a filter in this index, and find as much with it?

        Some refuse. In a graph it sees only what is near the query: of a filter that goes
        with the vectors, such as a label, it finds little.
        """
        if is_graph(engine):
            return False
        try:
            query = np.zeros((1, self.dim), "float32")
            self._candidates(engine, query, 1, np.ones(engine.ntotal, bool))
        except RuntimeError:
            return False
        return True

    def _check_same_engine(self, engine: Any) -> None:
        ours = self._empty_engine(engine.ntotal)
        same = [
            (type(e).__name__, e.d, e.metric_type, nlist_of(e) if self.nlist else None)
            for e in (ours, engine)
        ]
        if same[0] != same[1]:
            raise ValueError(
                "The saved faiss index must have the class, embedding size, metric and "
                f"lists {same[0]}. Received: {same[1]}."
            )

    def _check_arguments(self) -> None:
        if not isinstance(self.algo, str):
            raise TypeError(f"`algo` must be text. Received: algo={self.algo!r}.")
        self._check_distance()
        if self.algo == "ivfpq" and self.dim % self.m:
            raise ValueError(
                f"`dim` must be a multiple of `m`, the codes a row. Received: "
                f"dim={self.dim}, m={self.m}. Change `m`, or use algo='flat'."
            )
        if self.nbits > 16 or (self.nlist and self.nprobe and self.nprobe > self.nlist):
            raise ValueError(
                "`nbits` must be at most 16, and `nprobe` at most `nlist`. Received: "
                f"nbits={self.nbits}, nprobe={self.nprobe}, nlist={self.nlist}."
            )

    def _check_distance(self) -> None:
        if type(self.distance) not in FAISS_METRICS:
            known = ", ".join(distance.__name__ for distance in FAISS_METRICS)
            raise ValueError(
                f"`distance` must be one of {known}. Received: distance="
                f"{type(self.distance).__name__}. `LinearSearch` takes any distance."
            )


def _sample(vectors: Floats, nlist: int) -> Floats:
    """Some of the rows, from everywhere among them, to learn from."""
    wanted = max(_SAMPLED_A_LIST * nlist, _SAMPLED)
    return np.ascontiguousarray(vectors[:: max(len(vectors) // wanted, 1)])
