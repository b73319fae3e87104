"""The code of the README and of CONTRIBUTING runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_similarity.backend import framework

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python *(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ["README.md", "CONTRIBUTING.md"]
PAGES += sorted(page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/**/*.md"))
LINK = re.compile(r"\]\(([^)#\s]+)")


def blocks(page: str) -> list[tuple[str, str]]:
    """Tag (a framework, `numpy`, or nothing) and code of each Python block of a page."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def cases() -> list:
    # Those for NumPy run once, where there is no Keras.
    marks = {"numpy": pytest.mark.keras_free}
    return [
        pytest.param(
            tag, code, id=f"{page}-{tag or 'any'}-{number}", marks=marks.get(tag, ())
        )
        for page in ("README.md", "CONTRIBUTING.md")
        for number, (tag, code) in enumerate(blocks(page))
    ]


@pytest.mark.parametrize(("tag", "code"), cases())
def test_the_example_runs(tag, code, tmp_path):
    if tag not in ("", "numpy") and tag != framework():
        pytest.skip(f"an example for {tag}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.keras_free
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    path = ROOT / page
    links = LINK.findall(path.read_text(encoding="utf-8"))
    missing = [
        link for link in links if "://" not in link and not (path.parent / link).exists()
    ]
    assert not missing
    assert links or path.name != "README.md"


def test_the_readme_has_an_example_for_each_way_to_use_it():
    assert {tag for tag, _ in blocks("README.md")} == {"", "torch", "jax", "numpy"}
