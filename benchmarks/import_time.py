"""What `import keras_similarity` costs over `import keras` on the same backend.

    KERAS_BACKEND=jax python -m benchmarks.import_time

The claim: at most 150 ms. `import keras` takes seconds and varies by more than that from
one process to the next, so the extra is timed in a process that has just imported Keras.
The whole of `import keras_similarity` in processes of its own, taking turns with these,
shows that nothing hides in the order. A run without Keras shows what the finding half
costs alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.report import times_summary, write_report

LIMIT_MS = 150.0

# Each process runs its statements in turn, each timed by itself.
KERAS = "import keras"
OURS = "import keras_similarity"

# Prints the wall times in milliseconds on the last line, below what Keras prints.
TIMED = """
import sys, time
times = []
for statement in sys.argv[1:]:
    start = time.perf_counter()
    exec(statement)
    times.append(1e3 * (time.perf_counter() - start))
print()
print(*times)
"""


def import_ms(*statements: str, **environment: str) -> list[float]:
    """Milliseconds that each statement takes, one after the other in a fresh process."""
    result = subprocess.run(
        [sys.executable, "-c", TIMED, *statements],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(number) for number in result.stdout.splitlines()[-1].split()]


def measure(backend: str, repeats: int) -> dict[str, list[float]]:
    """Times in ms of what the table has a row for."""
    times: dict[str, list[float]] = {
        "import keras": [],
        "import keras_similarity, after it": [],
        "import keras_similarity, alone": [],
        "import keras_similarity, KSIM_KERAS=0": [],
    }
    for turn in range(repeats + 1):
        found = [
            *import_ms(KERAS, OURS, KERAS_BACKEND=backend),
            *import_ms(OURS, KERAS_BACKEND=backend),
            *import_ms(OURS, KSIM_KERAS="0"),
        ]
        if turn:  # The first fills the caches.
            for column, milliseconds in zip(times.values(), found, strict=True):
                column.append(milliseconds)
    return times


def main() -> int:
    """Measures, prints and writes; returns 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description="Times `import keras_similarity`.")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    backend = os.environ.get("KERAS_BACKEND") or "jax"

    rows = [
        {"what": what, "backend": backend, **times_summary(times)}
        for what, times in measure(backend, options.repeats).items()
    ]
    write_report(f"import_time-{backend}", rows, unit="ms", limit_ms=LIMIT_MS)
    extra = rows[1]["median"]
    print(f"{extra:.0f} ms more than Keras on {backend}; the limit is {LIMIT_MS:.0f} ms.")
    return int(extra > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
