"""The code of `docs/scale-out.md` runs as it stands there, on milvus-lite."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras_free

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/scale-out.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python numpy\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_run(tmp_path):
    for package in ("pymilvus", "milvus_lite", "lancedb"):
        pytest.importorskip(package)
    assert len(BLOCKS) == 3
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MILVUS_")}
    for number, code in enumerate(BLOCKS):
        (tmp_path / str(number)).mkdir()
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / str(number),
            env={**inherited, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        assert ran.stdout
