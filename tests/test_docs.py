"""The sessions in the pages of `docs` run, and answer as they say there."""

import doctest
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras_free

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize("page", ["calibration.md"])
def test_sessions_run(page):
    failed, attempted = doctest.testfile(
        str(DOCS / page),
        module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
        encoding="utf-8",
    )
    assert attempted > 10 and failed == 0
