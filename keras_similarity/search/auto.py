"""The search that suits the rows."""

from __future__ import annotations

from typing import Any

from keras_similarity.distances import Distance, InnerProductSimilarity
from keras_similarity.search.base import register
from keras_similarity.search.candidates import FAISS_METRICS
from keras_similarity.search.faiss import FaissSearch

# From this width on comparing takes so long that a graph, which compares with the fewest
# rows, is worth its build.
_WIDE = 256


@register("auto")
class AutoSearch(FaissSearch):
    """Exact search up to some 100,000 rows, approximate search beyond.

    Up to that number exact search is quicker than a graph, for batches of queries. Beyond
    it, vectors are searched in inverted lists, or, from a width of 256 on, in a graph
    (but not for inner products, in whose graphs little is found); `algo` says which. An
    index that grows past the limit answers exactly until its engine is made. A distance
    that faiss does not know is searched exactly, however many rows there are.

    Args:
        distance: A `Distance` (also one of your own), its name or its config.
        dim: Embedding size.
        exact_rows: Up to so many rows are searched exactly.
        nprobe: Of lists, as in `FaissSearch`.
        ef_search: Of a graph, as in `FaissSearch`.
        name: Name of the object.
        verbose: Above 0, prints when an engine is made.

    Example:
        >>> from keras_similarity.search import AutoSearch
        >>> search = AutoSearch("manhattan", dim=2)
        >>> search.batch_add([[0.0, 0.0], [3.0, 4.0]], idxs=[7, 8])
        >>> ids, distances = search.lookup([0.0, 0.0], k=2)
        >>> ids.tolist(), distances.tolist()
        ([7, 8], [0.0, 7.0])
    """

    default_name = "auto"

    def __init__(
        self,
        distance: Distance | str,
        dim: int,
        exact_rows: int = 100_000,
        nprobe: int | None = None,
        ef_search: int = 64,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            distance,
            dim,
            algo="auto",
            nprobe=nprobe,
            name=name,
            verbose=verbose,
            ef_search=ef_search,
            exact_rows=exact_rows,
        )

    def get_config(self) -> dict[str, Any]:
        names = ("distance", "dim", "exact_rows", "nprobe", "ef_search", "name")
        config = super().get_config()
        return {name: config[name] for name in (*names, "verbose")}

    def _check_distance(self) -> None:
        # Any will do: it says what to search by.
        if type(self.distance) not in FAISS_METRICS:
            self.algo = "flat"
        elif self.dim < _WIDE or type(self.distance) is InnerProductSimilarity:
            self.algo = "ivf"
        else:
            self.algo, self.m = "hnsw", 32
