"""Approximate search with NMSLIB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    ManhattanDistance,
    SquaredEuclideanDistance,
)
from keras_similarity.search.approximate import ApproximateSearch, Built
from keras_similarity.search.base import check_positive, register
from keras_similarity.types import Bools, Floats, Ints

# Our distance -> the space of NMSLIB that puts rows in the same order.
_SPACES: dict[type[Distance], str] = {
    CosineDistance: "cosinesimil",
    InnerProductSimilarity: "negdotprod",
    EuclideanDistance: "l2",
    SquaredEuclideanDistance: "l2",
    ManhattanDistance: "l1",
}
# What NMSLIB takes if it is not told.
_EF_SEARCH = 20
_FILE = "engine.nmslib"
# The graph does not say, and crashes over fewer vectors than it was made of.
_ROWS_FILE = "engine-rows.npy"


@register("nmslib")
class NMSLibSearch(ApproximateSearch):
    """Approximate search with NMSLIB, for programs written for TensorFlow Similarity.

    NMSLIB finds candidates, which are ranked by their exact distances. Its graphs take no
    further rows: new ones are searched exactly until there are half as many as old ones,
    and then another graph is made. Unlike TensorFlow Similarity's, Euclidean distances
    are not squared, and inner products are not divided by lengths.

    Args:
        distance: `"cosine"`, `"inner_product"`, `"euclidean"`, `"squared_euclidean"` or
            `"manhattan"`. `LinearSearch` takes any.
        dim: Embedding size.
        method: Of NMSLIB: `"hnsw"`, `"sw-graph"`, `"vp-tree"`, `"napp"` ...
        space_params: Of NMSLIB's space.
        data_type: 0: dense vectors, which are all that there are here.
        dtype: 0: float32.
        index_params: Of `createIndex`, e.g. `{"M": 30, "efConstruction": 200}`.
        query_params: Of `setQueryTimeParams`, e.g. `{"efSearch": 200}`.
        name: Name of the object.
        verbose: Above 0, prints when it makes a graph.
        exact_rows: Up to so many rows are searched exactly, without a graph; 1,000 by
            default.

    Raises:
        ImportError: If NMSLIB is not installed.
        ValueError: If the distance is not known, or the data are to be of another kind.

    Reference:
        [Boytsov and Naidan, 2013](https://doi.org/10.1007/978-3-642-41062-8_28)
    """

    default_name = "nmslib"
    can_extend = False

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        method: str = "hnsw",
        space_params: Mapping[str, Any] | None = None,
        data_type: int = 0,
        dtype: int = 0,
        index_params: Mapping[str, Any] | None = None,
        query_params: Mapping[str, Any] | None = None,
        name: str | None = None,
        verbose: int = 0,
        exact_rows: int | None = None,
    ) -> None:
        super().__init__(distance, dim, name, verbose, exact_rows)
        self.method = method
        self.space_params = None if space_params is None else dict(space_params)
        self.data_type = int(data_type)
        self.dtype = int(dtype)
        self.index_params = None if index_params is None else dict(index_params)
        self.query_params = None if query_params is None else dict(query_params)
        self._check_arguments()
        self._nmslib = import_optional("nmslib", extra="nmslib", needed_by="NMSLibSearch")

    def get_config(self) -> dict[str, Any]:
        names = ["method", "space_params", "data_type", "dtype"]
        names += ["index_params", "query_params"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @property
    def ef_search(self) -> int:
        """Nodes that HNSW looks at in a search, `query_params["efSearch"]`.

        More find more, slower. May be set at any time.
        """
        return int((self.query_params or {}).get("efSearch", _EF_SEARCH))

    @ef_search.setter
    def ef_search(self, value: int) -> None:
        value = check_positive("ef_search", value)
        self.query_params = {**(self.query_params or {}), "efSearch": value}
        # NMSLIB reads them while it searches.
        with self._lock.writing():
            if self._built is not None:
                self._built.engine.setQueryTimeParams(self.query_params)

    def tunable(self) -> dict[str, list[Any]]:
        if self._built is None or self.method != "hnsw":
            return {}
        return {"ef_search": [2**power for power in range(4, 11)]}

    def _tail_limit(self, rows: int) -> int:
        return max(super()._tail_limit(rows), rows // 2)

    def _made(self, vectors: Floats) -> Any:
        engine = self._filled_engine(vectors)
        engine.createIndex(self.index_params or {}, print_progress=False)
        engine.setQueryTimeParams(self.query_params or {})
        return engine

    def _candidates(
        self, engine: Any, queries: Floats, count: int, allowed: Bools | None
    ) -> Ints:
        rows = np.full((len(queries), count), -1, "int64")
        for row, (found, _) in zip(
            rows, engine.knnQueryBatch(queries, k=count), strict=True
        ):
            row[: len(found)] = found[:count]
        return rows

    def _write_engine(self, engine: Any, folder: Path) -> None:
        engine.saveIndex(str(folder / _FILE), save_data=False)
        np.save(folder / _ROWS_FILE, len(engine))

    def _read_engine(self, folder: Path, mmap: bool) -> Built | None:
        if not (folder / _FILE).exists():
            return None
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        rows = int(np.load(folder / _ROWS_FILE, allow_pickle=False))
        if not 0 < rows <= len(vectors):
            raise ValueError(
                f"The saved graph must have from 1 to {len(vectors)} rows. Received: "
                f"{rows}."
            )
        engine = self._filled_engine(vectors[:rows])
        engine.loadIndex(str(folder / _FILE), load_data=False)
        engine.setQueryTimeParams(self.query_params or {})
        return Built(engine, rows)

    def _filled_engine(self, vectors: Floats) -> Any:
        engine = self._nmslib.init(
            method=self.method,
            space=_SPACES[type(self.distance)],
            space_params=self.space_params,
            data_type=self._nmslib.DataType.DENSE_VECTOR,
            dtype=self._nmslib.DistType.FLOAT,
        )
        engine.addDataPointBatch(vectors)
        return engine

    def _check_arguments(self) -> None:
        if self.data_type or self.dtype:
            raise ValueError(
                "`data_type` and `dtype` must be 0, dense vectors of float32. Received: "
                f"data_type={self.data_type}, dtype={self.dtype}."
            )
        if type(self.distance) not in _SPACES:
            known = ", ".join(distance.__name__ for distance in _SPACES)
            raise ValueError(
                f"`distance` must be one of {known}. Received: distance="
                f"{type(self.distance).__name__}. `LinearSearch` takes any distance."
            )
