"""What `import keras_similarity` costs over `import keras` on the same backend.

    KERAS_BACKEND=jax python -m benchmarks.import_time

The claim: at most 150 ms. Each import is timed in a process of its own, the two taking
turns, so that a machine that gets slower meets both; the first pair fills the caches and
does not count. A run without Keras shows what the finding half alone costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.report import times_summary, write_report

LIMIT_MS = 150.0

IMPORTS = {
    "import keras": "import keras",
    "import keras_similarity": "import keras_similarity",
}

# Prints the wall time of an import in milliseconds, what Keras itself prints aside.
TIMED = """
import time
start = time.perf_counter()
{statement}
print("\\nms", 1e3 * (time.perf_counter() - start))
"""


def import_ms(statement: str, **environment: str) -> float:
    """Milliseconds that `statement` takes in a fresh process."""
    result = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout.split()[-1])


def extra_ms(backend: str, repeats: int) -> tuple[list[dict[str, object]], float]:
    """Rows of the table, and the median of the extra time."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(repeats + 1):
        for name, statement in IMPORTS.items():
            milliseconds = import_ms(statement, KERAS_BACKEND=backend)
            if turn:
                times[name].append(milliseconds)
    rows: list[dict[str, object]] = [
        {"what": name, "backend": backend, **times_summary(values)}
        for name, values in times.items()
    ]
    keras, ours = times.values()
    # Of neighbouring runs: a load that comes and goes hits both sides of a difference.
    extras = [b - a for a, b in zip(keras, ours, strict=True)]
    summary = times_summary(extras)
    rows.append({"what": "the difference", "backend": backend, **summary})
    return rows, summary["median"]


def main() -> int:
    """Measures, prints and writes; returns 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description="Times `import keras_similarity`.")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    backend = os.environ.get("KERAS_BACKEND") or "jax"

    rows, extra = extra_ms(backend, options.repeats)
    finding = [import_ms("import keras_similarity", KSIM_KERAS="0") for _ in range(5)]
    rows.append({"what": "with KSIM_KERAS=0", "backend": "", **times_summary(finding)})
    write_report(f"import_time-{backend}", rows, unit="ms", limit_ms=LIMIT_MS)
    print(f"{extra:.0f} ms more than Keras on {backend}; the limit is {LIMIT_MS:.0f} ms.")
    return int(extra > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
