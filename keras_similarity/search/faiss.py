"""Approximate search with faiss."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    SquaredEuclideanDistance,
)
from keras_similarity.growing import GrowingArray
from keras_similarity.search.base import Search, check_positive, register
from keras_similarity.search.candidates import FAISS_METRICS
from keras_similarity.search.exact import nearest, prepared, rank
from keras_similarity.search.linear import read_vectors
from keras_similarity.search.lock import ReadersWriterLock
from keras_similarity.types import Bools, Floats, Ints

logger = logging.getLogger(__name__)

# By algorithm. Product quantisation knows squared Euclidean and inner product.
_DISTANCES: dict[str, tuple[type[Distance], ...]] = {
    "flat": tuple(FAISS_METRICS),
    "ivfpq": (
        CosineDistance,
        InnerProductSimilarity,
        EuclideanDistance,
        SquaredEuclideanDistance,
    ),
}
# Rows a cluster below which faiss calls its k-means poorly trained.
_ROWS_A_CLUSTER = 39
# The codes find this many times k candidates, which are ranked exactly.
_CANDIDATES = 4
# Up to this share of the rows is searched exactly where only they may be found.
_SELECTIVE = 0.1


@register("faiss")
class FaissSearch(Search):
    """Approximate search with faiss' inverted lists and product quantisation.

    Coded rows are scanned in the `nprobe` lists nearest to the query; the best are
    ranked by their exact distances, for which the float32 rows are kept too. So the
    distances are exact, and what is approximate is who is found.

    Lists and codes are learned once, as soon as there are 39 rows for each of the
    `nlist` lists and each of the `2**nbits` codes (39,936 by default). An index with
    fewer rows is searched exactly, which is fast enough there.

    Args:
        distance: `"cosine"`, `"inner_product"`, `"euclidean"` or `"squared_euclidean"`;
            `algo="flat"` takes `"manhattan"` too. `LinearSearch` takes any.
        dim: Embedding size.
        algo: `"ivfpq"`, or `"flat"`, which is exact.
        m: Codes a row; `dim` must be a multiple of it.
        nbits: Bits a code, from 1 to 16.
        nlist: Number of lists.
        nprobe: Number of lists searched, up to `nlist`: more find more, slower.
        name: Name of the object.
        verbose: Above 0, prints when it trains.

    Raises:
        ValueError: If an argument is out of its range or the distance is not known.

    Reference:
        [Jegou et al., 2011](https://doi.org/10.1109/TPAMI.2010.57)

    Example:
        >>> from keras_similarity.search import FaissSearch
        >>> search = FaissSearch("euclidean", dim=2, algo="flat")
        >>> search.batch_add([[0.0, 0.0], [3.0, 4.0]], idxs=[7, 8])
        >>> ids, distances = search.lookup([0.0, 0.0], k=2)
        >>> ids.tolist(), distances.tolist()
        ([7, 8], [0.0, 5.0])
    """

    default_name = "faiss"

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        algo: str = "ivfpq",
        m: int = 8,
        nbits: int = 8,
        nlist: int = 1024,
        nprobe: int = 1,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        self.algo = algo
        self.m = check_positive("m", m)
        self.nbits = check_positive("nbits", nbits)
        self.nlist = check_positive("nlist", nlist)
        self.nprobe = check_positive("nprobe", nprobe)
        self._check_arguments()
        self._vectors = GrowingArray("float32", self.dim)
        self._ivfpq: Any = None
        # faiss may be searched by many threads, but by none while rows are added.
        self._lock = ReadersWriterLock()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "algo": self.algo,
            "m": self.m,
            "nbits": self.nbits,
            "nlist": self.nlist,
            "nprobe": self.nprobe,
        }

    @property
    def is_trained(self) -> bool:
        """Have lists and codes been learned? Until then the search is exact."""
        return self._ivfpq is not None

    def _add(self, embeddings: Floats) -> None:
        vectors = prepared(self.distance, embeddings)
        before = len(self._vectors)
        self._vectors.extend(vectors)
        try:
            if self._ivfpq is not None:
                with self._lock.writing():
                    self._ivfpq.add(vectors)
            elif self.algo == "ivfpq" and len(self._vectors) >= self._training_rows:
                # Lookups go on, exactly, until the new index is complete.
                self._ivfpq = self._trained(self._vectors.rows)
        except BaseException:
            self._vectors.truncate(before)
            raise

    def _find(
        self, queries: Floats, k: int, allowed: Bools | None
    ) -> tuple[Ints, Floats]:
        # Among few rows the exact ones are found as soon, and lists would miss them.
        is_exact = self._ivfpq is None or (
            allowed is not None and allowed.sum() <= _SELECTIVE * len(allowed)
        )
        if is_exact:
            return nearest(self.distance, queries, self._vectors.rows, k, allowed)
        queries = prepared(self.distance, queries)
        with self._lock.reading():
            _, rows = self._ivfpq.search(
                queries, _CANDIDATES * k, params=self._parameters(allowed)
            )
        # After the search: the vectors then hold every row that it found.
        return rank(self.distance, queries, self._vectors.rows, rows, k)

    def _parameters(self, allowed: Bools | None) -> Any:
        """What faiss is to search by; `None` for what the index has."""
        if allowed is None:
            return None
        import faiss

        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        # With a selector faiss forgets what the index has: one list would be searched.
        return faiss.SearchParametersIVF(sel=selector, nprobe=self.nprobe)

    def tunable(self) -> dict[str, list[int]]:
        if self._ivfpq is None:
            return {}
        powers = [2**power for power in range(self.nlist.bit_length())]
        return {"nprobe": sorted({*powers, self.nlist})}

    def set_parameters(self, **parameters: Any) -> None:
        super().set_parameters(**parameters)
        if self._ivfpq is not None:
            with self._lock.writing():
                self._ivfpq.nprobe = self.nprobe

    def _clear(self) -> None:
        self._vectors.truncate()
        self._ivfpq = None

    def _write(self, folder: Path) -> None:
        import faiss

        np.save(folder / "vectors.npy", self._vectors.rows)
        if self._ivfpq is not None:
            np.save(folder / "ivfpq.npy", faiss.serialize_index(self._ivfpq))

    def _read(self, folder: Path, mmap: bool) -> None:
        vectors = read_vectors(folder, rows=self.size(), dim=self.dim)
        if (folder / "ivfpq.npy").exists():
            self._ivfpq = self._read_ivfpq(folder)
        self._vectors.extend(vectors)

    @property
    def _training_rows(self) -> int:
        return _ROWS_A_CLUSTER * max(self.nlist, 2**self.nbits)

    def _trained(self, vectors: Floats) -> Any:
        import faiss

        message = f"Training {self.nlist} lists and {self.m} codes on {len(vectors)} rows"
        logger.info(message)
        if self.verbose:
            print(message)
        metric = getattr(faiss, FAISS_METRICS[type(self.distance)])
        is_product = metric == faiss.METRIC_INNER_PRODUCT
        coarse = (faiss.IndexFlatIP if is_product else faiss.IndexFlatL2)(self.dim)
        index = faiss.IndexIVFPQ(coarse, self.dim, self.nlist, self.m, self.nbits, metric)
        index.nprobe = self.nprobe
        index.train(vectors)
        index.add(vectors)
        return index

    def _read_ivfpq(self, folder: Path) -> Any:
        import faiss

        index = faiss.deserialize_index(np.load(folder / "ivfpq.npy", allow_pickle=False))
        saved = (index.ntotal, index.d, getattr(index, "nlist", None))
        if saved != (self.size(), self.dim, self.nlist):
            raise ValueError(
                "The saved faiss index must have the rows, embedding size and lists "
                f"{(self.size(), self.dim, self.nlist)}. Received: {saved}."
            )
        index.nprobe = self.nprobe
        return index

    def _check_arguments(self) -> None:
        if self.algo not in _DISTANCES:
            raise ValueError(
                f"`algo` must be one of {', '.join(_DISTANCES)}. Received: "
                f"algo={self.algo!r}."
            )
        known = _DISTANCES[self.algo]
        if type(self.distance) not in known:
            raise ValueError(
                f"`distance` must be one of {', '.join(d.__name__ for d in known)} with "
                f"algo={self.algo!r}. Received: distance={type(self.distance).__name__}. "
                "`LinearSearch` takes any distance."
            )
        if self.algo == "ivfpq" and self.dim % self.m:
            raise ValueError(
                f"`dim` must be a multiple of `m`, the codes a row. Received: "
                f"dim={self.dim}, m={self.m}. Change `m`, or use algo='flat'."
            )
        if self.nbits > 16 or self.nprobe > self.nlist:
            raise ValueError(
                "`nbits` must be at most 16, and `nprobe` at most `nlist`. Received: "
                f"nbits={self.nbits}, nprobe={self.nprobe}, nlist={self.nlist}."
            )
