"""The kinds of index that Milvus builds, and their parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# So few rows that a filter leaves are searched as well as can be.
FEW = 50_000
# The parameters of a lookup that find the most.
_MOST = {"nprobe": 16384, "ef": 4096, "search_list": 1000}
# Those that must be `k` at least.
_AT_LEAST_K = ("ef", "search_list")


@dataclass(frozen=True)
class IndexKind:
    """A kind of index.

    Attributes:
        type: What Milvus calls it.
        build: Parameters that it is built with.
        search: Parameters of lookups.
    """

    type: str
    build: Mapping[str, int] = field(default_factory=dict)
    search: Mapping[str, int] = field(default_factory=dict)


KINDS = {
    "flat": IndexKind("FLAT"),
    "hnsw": IndexKind("HNSW", {"M": 16, "efConstruction": 200}, {"ef": 64}),
    "ivf_flat": IndexKind("IVF_FLAT", {"nlist": 1024}, {"nprobe": 16}),
    "diskann": IndexKind("DISKANN", search={"search_list": 100}),
}


def name_of(type_: str) -> str | None:
    """Our name of a kind of index of Milvus; `None` if we have none."""
    return {kind.type: name for name, kind in KINDS.items()}.get(type_)


def thorough(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that find the most."""
    return {name: max(v, _MOST.get(name, v)) for name, v in parameters.items()}


def for_filtered(parameters: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Parameters for the `count` rows that a filter leaves: they are farther apart."""
    most = thorough(parameters)
    if count <= FEW:
        return most
    is_known = _MOST.keys() & parameters.keys()
    return {
        name: min(4 * value, most[name]) if name in is_known else value
        for name, value in parameters.items()
    }


def for_neighbors(parameters: Mapping[str, Any], k: int) -> dict[str, Any]:
    """Parameters with which `k` neighbours can be found."""
    return {n: max(v, k) if n in _AT_LEAST_K else v for n, v in parameters.items()}


def check_choice(argument: str, value: Any, known: Collection[str]) -> None:
    """Raises a `ValueError` unless the value is one of those known."""
    if value not in known:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(known)}. Received: {value!r}."
        )
