"""What every benchmark ends with: a table for the eye, JSON for the machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"

# Whose versions a reader needs in order to judge a number.
PACKAGES = (
    "keras-similarity",
    "keras",
    "jax",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
    "faiss-cpu",
    "usearch",
    "lancedb",
    "pymilvus",
    "milvus-lite",
    "pytorch-metric-learning",
)

Row = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """What ran it: processor, cores, memory and versions; no names of hosts or paths."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
    }


def times_summary(times: Sequence[float]) -> dict[str, float]:
    """Median and minimum of times, and how many there are."""
    return {
        "median": statistics.median(times),
        "minimum": min(times),
        "repeats": len(times),
    }


def write_report(name: str, rows: Sequence[Row], **settings: Any) -> Path:
    """Prints `rows` as a table and writes `results/NAME.json` and `NAME.md`.

    Args:
        name: Name of the benchmark, and of the backend where it has one, e.g.
            `"import_time-jax"`.
        rows: What was measured; rows may leave columns out.
        **settings: What holds for all rows: sizes, repeats, limits.

    Returns:
        The path of the JSON.
    """
    table = format_table(rows)
    print(f"\n{name}\n{table}\n")
    RESULTS.mkdir(exist_ok=True)
    words = "\n".join(
        f"- {key}: {_in_words(value)}" for key, value in {**machine(), **settings}.items()
    )
    page = f"# {name}\n\n{words}\n\n```text\n{table}\n```\n"
    (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")
    path = RESULTS / f"{name}.json"
    report = {"name": name, "machine": machine(), "settings": settings, "rows": rows}
    path.write_text(json.dumps(report, indent=2, default=str) + "\n")
    return path


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def format_table(rows: Sequence[Row]) -> str:
    """The rows as columns of text, numbers to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_format(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    is_text = [
        all(isinstance(row.get(column), str | None) for row in rows) for column in columns
    ]

    def line(texts: Sequence[str]) -> str:
        aligned = [
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(texts, widths, is_text, strict=True)
        ]
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(columns), rule, *map(line, cells)])


def _format(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def _memory_gib() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(total / 2**30, 1)
