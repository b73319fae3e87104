"""docs/migration: tables name every class that has golden values, and examples run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_similarity as ksim
from tests.golden.cases import load
from tests.test_readme import blocks

PAGES = {
    "tfsim": "tensorflow-similarity.md",
    "pml": "pytorch-metric-learning.md",
}
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "migration"
EXAMPLES = [
    pytest.param(code, id=f"{peer}-{number}")
    for peer, page in PAGES.items()
    for number, (_, code) in enumerate(blocks(f"docs/migration/{page}"))
]
# Kinds of golden cases whose classes are still to come.
TO_COME = {"metric"}
LAYERS_TO_COME = {
    "ActivationStdLoggingLayer",
    "GeneralizedMeanPooling1D",
    "GeneralizedMeanPooling2D",
}
MODULES = (
    "classification_metrics",
    "distances",
    "losses",
    "matchers",
    "miners",
    "reducers",
    "regularizers",
    "retrieval_metrics",
    "training_metrics",
)


def table(peer):
    """The rows of the page's table of classes, as text."""
    page = (FOLDER / PAGES[peer]).read_text(encoding="utf-8")
    return page[page.index("## Classes") :].split("\n## ")[0]


@pytest.mark.parametrize("peer", PAGES)
def test_every_class_with_golden_values_is_in_the_table(peer):
    classes = {
        case.peer_class.rpartition(".")[2]
        if "keras" in case.peer_class
        else case.peer_class
        for case in load(peer)
        if case.kind not in TO_COME
    }
    classes = {name.partition(".")[0] for name in classes} - LAYERS_TO_COME
    rows = table(peer)
    assert {name for name in classes if name not in rows} == set()


@pytest.mark.parametrize("peer", PAGES)
@pytest.mark.parametrize("module", MODULES)
def test_what_a_table_calls_the_same_is_there(peer, module):
    rows = [row for row in table(peer).splitlines() if f"| `{module}" in row]
    public = getattr(ksim, module)
    for row in rows:
        there, here = row.strip("| ").split(" | ")
        if here.startswith("the same"):
            names = re.findall(r"`(?:\w+\.)?([A-Z]\w+)`", there)
            assert [name for name in names if not hasattr(public, name)] == []


@pytest.mark.parametrize("peer", PAGES)
def test_every_row_says_all_that_its_table_promises(peer):
    page = (FOLDER / PAGES[peer]).read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    columns = [row.strip("| ").split(" | ") for row in rows]
    width = 0
    for row, cells in zip(rows, columns, strict=True):
        if cells[0] in ("there", "here"):
            width = len(cells)
        assert len(cells) == width and "| |" not in row, row


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_example_runs(code, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
