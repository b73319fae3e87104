"""Approximate search with USearch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    SquaredEuclideanDistance,
)
from keras_similarity.search.approximate import ApproximateSearch, Built
from keras_similarity.search.base import check_positive, register
from keras_similarity.search.codes import check_float16
from keras_similarity.types import Bools, Floats, Ints

# Our distance -> the metric of USearch that puts rows in the same order.
_METRICS: dict[type[Distance], str] = {
    CosineDistance: "cos",
    InnerProductSimilarity: "ip",
    EuclideanDistance: "l2sq",
    SquaredEuclideanDistance: "l2sq",
}
_DTYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "i8"}
_FILE = "engine.usearch"


@register("usearch")
class UsearchSearch(ApproximateSearch):
    """Approximate search in a graph of USearch, of vectors in few bytes.

    USearch finds candidates, which are ranked by their exact distances. It knows no
    filters: it is asked for as many more candidates as a filter leaves out.

    Args:
        distance: `"cosine"`, `"inner_product"`, `"euclidean"` or `"squared_euclidean"`;
            with `"int8"` only cosine, since USearch scales each vector by its own
            length. `LinearSearch` takes any. A graph of inner products of vectors of many
            lengths finds little.
        dim: Embedding size.
        dtype: What the graph keeps: `"float32"`, `"float16"` (values up to 65,504),
            `"bfloat16"` or `"int8"`. Half precision is also the quickest.
        connectivity: Links of a node.
        expansion_add: Nodes looked at when a row is linked.
        expansion_search: Nodes looked at in a search: more find more, slower. May be set
            at any time.
        name: Name of the object.
        verbose: Above 0, prints when it makes a graph.
        exact_rows: Up to so many rows are searched exactly, without a graph; 1,000 by
            default.

    Raises:
        ImportError: If USearch is not installed.
        ValueError: If an argument is out of its range or the distance is not known.

    Reference:
        [Malkov and Yashunin, 2018](https://arxiv.org/abs/1603.09320)
    """

    default_name = "usearch"

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        dtype: str = "float16",
        connectivity: int = 16,
        expansion_add: int = 128,
        expansion_search: int = 64,
        name: str | None = None,
        verbose: int = 0,
        exact_rows: int | None = None,
    ) -> None:
        super().__init__(distance, dim, name, verbose, exact_rows)
        self.dtype = dtype
        self.connectivity = check_positive("connectivity", connectivity)
        self.expansion_add = check_positive("expansion_add", expansion_add)
        self.expansion_search = check_positive("expansion_search", expansion_search)
        self._check_arguments()
        # Before USearch, or else faiss' factory ends the process.
        import faiss  # noqa: F401

        self._usearch = import_optional(
            "usearch.index", extra="usearch", needed_by="UsearchSearch"
        )
        # An engine that is mapped cannot be extended.
        self._mapped: Any = None

    def get_config(self) -> dict[str, Any]:
        names = ("dtype", "connectivity", "expansion_add", "expansion_search")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def tunable(self) -> dict[str, list[Any]]:
        if self._built is None:
            return {}
        return {"expansion_search": [2**power for power in range(4, 11)]}

    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        array = super().check(embeddings, name)
        if self.dtype == "float16" and type(self.distance) is not CosineDistance:
            check_float16(array, name)
        return array

    def _candidate_count(self, k: int) -> int:
        return super()._candidate_count(k if self.dtype.startswith("float") else 2 * k)

    def _made(self, vectors: Floats) -> Any:
        return self._extended(self._empty_engine(), vectors)

    def _extended(self, engine: Any, vectors: Floats) -> Any:
        if engine is self._mapped:
            engine, self._mapped = engine.copy(), None
        engine.add(np.arange(len(engine), len(engine) + len(vectors)), vectors)
        return engine

    def _candidates(
        self, engine: Any, queries: Floats, count: int, allowed: Bools | None
    ) -> Ints:
        if engine.expansion_search != self.expansion_search:
            engine.expansion_search = self.expansion_search
        found = engine.search(queries, count)
        # A batch of one is answered with flat arrays, as long as what was found.
        is_one = len(queries) == 1
        rows = (found.keys[None] if is_one else found.keys).astype("int64")
        counts = np.array([rows.shape[1]]) if is_one else found.counts
        # A short row is padded with key 0, which is also a row.
        return np.where(np.arange(rows.shape[1]) < counts[:, None], rows, -1)

    def _write_engine(self, engine: Any, folder: Path) -> None:
        engine.save(str(folder / _FILE))

    def _read_engine(self, folder: Path, mmap: bool) -> Built | None:
        file = folder / _FILE
        if not file.exists():
            return None
        engine = self._empty_engine()
        # Loading makes of it whatever is in the file.
        expected = self._kind_of(engine)
        (engine.view if mmap else engine.load)(str(file))
        if self._kind_of(engine) != expected:
            raise ValueError(
                f"The saved graph must have the embedding size, metric and dtype "
                f"{expected}. Received: {self._kind_of(engine)}."
            )
        self._mapped = engine if mmap else None
        return Built(engine, len(engine))

    def _empty_engine(self) -> Any:
        return self._usearch.Index(
            ndim=self.dim,
            metric=_METRICS[type(self.distance)],
            dtype=_DTYPES[self.dtype],
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
            expansion_search=self.expansion_search,
        )

    @staticmethod
    def _kind_of(engine: Any) -> tuple[int, str, str]:
        return engine.ndim, engine.metric_kind.name, engine.dtype.name

    def _check_arguments(self) -> None:
        if self.dtype not in _DTYPES:
            raise ValueError(
                f"`dtype` must be one of {', '.join(_DTYPES)}. Received: "
                f"dtype={self.dtype!r}."
            )
        known = [CosineDistance] if self.dtype == "int8" else list(_METRICS)
        if type(self.distance) not in known:
            raise ValueError(
                f"`distance` must be one of {', '.join(d.__name__ for d in known)} with "
                f"dtype={self.dtype!r}. Received: distance="
                f"{type(self.distance).__name__}. `LinearSearch` takes any distance."
            )
