"""What an index is and how it does, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_similarity.indexer.calibration import Calibration

if TYPE_CHECKING:
    from keras_similarity.indexer.indexer import Indexer


def summary_text(index: Indexer, calibration: Calibration | None) -> str:
    """Parts and size of an index, and its cutpoints if it is calibrated."""
    waiting = index.size() - index.searchable()
    lines = {
        "examples": f"{index.size():,}"
        + (f" ({waiting:,} not built yet)" if waiting else ""),
        "embedding size": str(index.embedding_size),
        "distance": str(index.distance),
        "search": type(index.search).__name__,
        "store": type(index.kv_store).__name__,
        "calibrated": _calibrated(index, calibration) if calibration else "no",
    }
    text = "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items())
    return f"{text}\n{calibration.text(4)}" if calibration else text


def _calibrated(index: Indexer, calibration: Calibration) -> str:
    """By which metric, with what, and if that was another index."""
    text = f"by {calibration.metric}"
    made = calibration.made_with
    if not made:  # Saved by an earlier version.
        return text
    text += f", {made['matcher']}, k={made['k']}"
    if made["examples"] != index.searchable():
        text += f", when there were {made['examples']:,} examples: calibrate again"
    return text


def stats_text(stats: Mapping[str, Any]) -> str:
    """`Indexer.stats()`, line by line."""
    seconds = stats["query_performance"].items()
    return "\n".join(
        [
            "[Info]",
            f"size: {stats['size']:,}",
            f"lookups: {stats['num_lookups']:,}",
            "[Seconds a lookup]",
            *(f"{name}: {value:.6f}" for name, value in seconds),
        ]
    )
