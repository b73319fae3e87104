"""Runs the whole suite: once without a framework, then once per backend.

Each run is a process of its own, because Keras takes its backend when it is imported; two
run at a time, and what one prints comes when it has ended. After a run that fails no
other is begun, unless `--keep-going` is given. The last line has the sums. `make test`
calls this:

    python tests/run.py --core .venv-core/bin/python --backends jax torch tensorflow
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Modules whose examples must run without Keras too.
FINDING = [
    "arrays.py",
    "classification_metrics",
    "databases",
    "datasets",
    "distances",
    "evaluators",
    "growing.py",
    "indexer",
    "matchers",
    "persistence.py",
    "preprocessing",
    "registry.py",
    "retrieval_metrics",
    "search",
    "set_metrics",
    "stores",
    "types.py",
    "visualization",
]
NOTHING_COLLECTED = 5


@dataclass
class Run:
    """One process of pytest."""

    title: str
    python: str
    arguments: list[str]
    backend: str | None = None


def plan(core: str | None, backends: list[str], selected: list[str]) -> list[Run]:
    """The runs of the whole suite, or of what the pytest arguments `selected` name."""
    runs = []
    if core:
        runs.append(Run("without a framework", core, ["-m", "keras_free", *selected]))
    if core and not selected:
        examples = [f"keras_similarity/{name}" for name in FINDING]
        arguments = ["--doctest-modules", *examples]
        runs.append(Run("examples without a framework", core, arguments))
    # In two parts, of which each takes about as long as the other.
    parts = {
        "golden values": ["tests/golden"],
        "the rest": [
            "--doctest-modules",
            "keras_similarity",
            "tests",
            "--ignore=tests/golden",
        ],
    }
    if selected:
        parts = {"what was chosen": selected}
    for backend in backends:
        for title, arguments in parts.items():
            command = ["-m", "not keras_free", *arguments]
            runs.append(Run(f"on {backend}, {title}", sys.executable, command, backend))
    return runs


def execute(run: Run, *, may_be_empty: bool) -> tuple[Counter[str], str]:
    """Runs pytest; returns the counts and what it printed.

    A process that died or ran no test counts as a failure.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.xml")
        command = [run.python, "-m", "pytest", "-q", f"--junitxml={report}"]
        result = subprocess.run(
            [*command, *run.arguments],
            cwd=ROOT,
            env=environment(run.backend, keras_home=scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        counts = read_report(report) if report.exists() else Counter()
    printed = result.stdout
    is_empty = result.returncode == NOTHING_COLLECTED and may_be_empty
    if result.returncode != 0 and not counts["failed"] and not is_empty:
        printed += f"pytest ended with exit code {result.returncode}.\n"
        counts["failed"] = 1
    seconds = time.monotonic() - start
    return counts, f"== Tests {run.title}\n{printed}== {seconds:.0f} s\n"


def read_report(path: Path) -> Counter[str]:
    """Sums of a JUnit report; errors, in collecting for example, count as failures."""
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(path).iter("testcase"):
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            counts["failed"] += 1
        elif "skipped" in outcomes:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts


def environment(backend: str | None, *, keras_home: str) -> dict[str, str]:
    """The environment of a run: its backend, and no keras.json but its own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERAS_BACKEND", "KSIM_KERAS")
    }
    chosen = {"KERAS_BACKEND": backend} if backend else {}
    quiet = {"KERAS_HOME": keras_home, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**inherited, **chosen, **quiet}


def main() -> int:
    """Runs what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description="Runs the suite on each backend.")
    parser.add_argument("--core", help="python of an environment without a framework")
    parser.add_argument("--backends", nargs="*", default=["jax", "torch", "tensorflow"])
    parser.add_argument(
        "--keep-going", action="store_true", help="after a failed run too"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after `--`")
    options = parser.parse_args()

    total: Counter[str] = Counter()
    runs = plan(options.core, options.backends, options.pytest)
    left_out = []

    def run_unless_failed(run: Run) -> None:
        if total["failed"] and not options.keep_going:
            left_out.append(run.title)
            return
        counts, printed = execute(run, may_be_empty=bool(options.pytest))
        with printing:
            total.update(counts)
            print(printed, flush=True)

    printing = threading.Lock()
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(run_unless_failed, runs))
    if left_out:
        print(f"Not run after the failure: tests {', '.join(left_out)}.")
    names = ("passed", "failed", "skipped")
    print(", ".join(f"{total[name]} {name}" for name in names))
    return 0 if total["passed"] and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
