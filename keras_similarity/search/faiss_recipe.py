"""Which index of faiss to make, and how to search it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_similarity.distances import Distance, InnerProductSimilarity
from keras_similarity.search.candidates import FAISS_METRICS
from keras_similarity.types import Bools

#: Short names, as factory strings.
SHORT_NAMES = {
    "flat": "Flat",
    "ivfpq": "IVF{nlist},PQ{m}x{nbits}",
    "ivf": "IVF{nlist},Flat",
    "ivfsq8": "IVF{nlist},SQ8",
    "hnsw": "HNSW{m}",
    "sq8": "SQ8",
    "fp16": "SQfp16",
}
# Rows a cluster below which faiss calls its k-means poorly trained.
_ROWS_A_CLUSTER = 39
# From so many rows on are lists worth it whose number is ours to choose.
_LISTED_ROWS = 10_000
_UNTRAINED_ROWS = 1000


def default_nlist(rows: int) -> int:
    """The number of lists that suits so many rows."""
    return max(min(int(4 * rows**0.5), rows // _ROWS_A_CLUSTER), 1)


def default_nprobe(nlist: int) -> int:
    """How many of them to look into."""
    return min(max(8, nlist // 32), nlist)


def _check_order_of_imports() -> None:
    """Refuses what would end the process.

    The factory of faiss crashes on the C++ runtime that USearch brings, if USearch came
    first; the other order is safe.
    """
    for name in sys.modules:
        if name == "faiss":
            return
        if name == "usearch" and sys.platform == "linux":
            raise ImportError(
                "`faiss` must be imported before `usearch`; the other order crashes. "
                "Put `import faiss` first."
            )


def empty_engine(distance: Distance, dim: int, factory: str) -> Any:
    """A new index of faiss.

    Raises:
        ImportError: If USearch was imported before faiss, which would crash.
        ValueError: If faiss does not know the text, or the index would not serve: it
            cannot compare by the distance, or not take rows in turns.
    """
    import faiss

    _check_order_of_imports()
    metric = getattr(faiss, FAISS_METRICS[type(distance)])
    try:
        engine = faiss.index_factory(dim, factory, metric)
    except RuntimeError as error:
        # Without the function and the line of faiss' own code.
        reason = re.sub(r".*\.(cpp|h):\d+: ", "", str(error), flags=re.DOTALL).strip()
        raise ValueError(
            f"`algo` must be one of {', '.join(SHORT_NAMES)}, or a factory string of "
            f"faiss for vectors of size {dim} and {distance.name}. Received: {factory!r} "
            f"(faiss says: {reason})."
        ) from error
    names = [type(part).__name__ for part in parts(engine)]
    if any(name.startswith(("IndexIDMap", "IndexNSG", "IndexNN")) for name in names):
        raise ValueError(
            "`algo` must be an index that takes rows in turns and numbers them itself. "
            f"Received: {factory!r}, which is {names[0]}."
        )
    if not _can_compare(engine, distance, metric):
        raise ValueError(
            f"`distance` must be one that {factory!r} of faiss compares by. Received: "
            f"distance={type(distance).__name__}. `LinearSearch` takes any distance."
        )
    return engine


def _can_compare(engine: Any, distance: Distance, metric: int) -> bool:
    import faiss

    if metric == faiss.METRIC_L1:
        # Of others some only fail when they are searched, by ending the process.
        quantizer = getattr(engine, "quantizer", None)
        is_listed_exactly = quantizer is None or (
            type(faiss.downcast_index(quantizer)) is faiss.IndexFlat
        )
        return is_whole(engine) and is_listed_exactly
    # Some forget the metric. For vectors of unit length L2 is as good.
    is_forgotten = any(part.metric_type != metric for part in parts(engine))
    return not (is_forgotten and type(distance) is InnerProductSimilarity)


def parts(engine: Any) -> Iterator[Any]:
    """An index of faiss, and those inside it."""
    import faiss

    yield engine
    if isinstance(engine, faiss.IndexPreTransform):
        yield from parts(faiss.downcast_index(engine.index))
    elif isinstance(engine, faiss.IndexRefine):
        yield from parts(faiss.downcast_index(engine.base_index))


def is_graph(engine: Any) -> bool:
    """Are rows linked one by one, which takes long?"""
    import faiss

    return any(isinstance(part, faiss.IndexHNSW) for part in parts(engine))


def is_whole(engine: Any) -> bool:
    """Are rows kept as they are, so that their distances differ by rounding only?"""
    import faiss

    whole = (faiss.IndexFlat, faiss.IndexIVFFlat, faiss.IndexHNSWFlat)
    return type(engine) in whole


def nlist_of(engine: Any) -> int:
    """The number of lists; 0 if there are none."""
    return max((getattr(part, "nlist", 0) for part in parts(engine)), default=0)


def rows_wanted(engine: Any, has_default_nlist: bool) -> int:
    """How many rows there should be to learn from, or to be worth a graph."""
    import faiss

    if has_default_nlist:
        return _LISTED_ROWS
    clusters = nlist_of(engine)
    for part in parts(engine):
        if isinstance(part, (faiss.IndexPQ, faiss.IndexIVFPQ)):
            clusters = max(clusters, 2**part.pq.nbits)
    return max(_ROWS_A_CLUSTER * clusters, 1 if clusters else _UNTRAINED_ROWS)


def parameters(
    engine: Any, allowed: Bools | None, *, nprobe: int | None, ef_search: int
) -> Any:
    """What faiss is to search by, in all parts of an index.

    With a selector faiss forgets the settings that an index has, so they are given each
    time. The fewer rows may be found, the farther off the nearest of them are, and the
    more lists have to be looked at; most of their rows are then passed over.
    """
    import faiss

    selector, share = None, 1.0
    if allowed is not None:
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        share = max(float(allowed.mean()), 1e-3)
    return _parameters(engine, selector, share, nprobe, ef_search)


def _parameters(
    engine: Any, selector: Any, share: float, nprobe: int | None, ef_search: int
) -> Any:
    import faiss

    rest = (selector, share, nprobe, ef_search)
    if isinstance(engine, faiss.IndexPreTransform):
        inner = _parameters(faiss.downcast_index(engine.index), *rest)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(engine, faiss.IndexRefine):
        inner = _parameters(faiss.downcast_index(engine.base_index), *rest)
        return faiss.IndexRefineSearchParameters(
            k_factor=engine.k_factor, base_index_params=inner
        )
    options = {} if selector is None else {"sel": selector}
    if isinstance(engine, faiss.IndexIVF):
        probed = nprobe or default_nprobe(engine.nlist)
        probed = min(int(np.ceil(probed / share**2)), engine.nlist)
        return faiss.SearchParametersIVF(nprobe=probed, **options)
    if isinstance(engine, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=ef_search, **options)
    return faiss.SearchParameters(**options) if options else None
