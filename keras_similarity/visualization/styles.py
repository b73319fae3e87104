"""Looks that differ without colour too."""

from __future__ import annotations

from typing import Any

#: Lines differ in dash and marker as well as in colour.
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#1b6ca8", "linestyle": "solid", "marker": "o"},
    {"color": "#b5321c", "linestyle": "dashed", "marker": "s"},
    {"color": "#222222", "linestyle": "dashdot", "marker": "^"},
    {"color": "#7a4ea3", "linestyle": "dotted", "marker": "D"},
    {"color": "#2e7d4f", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
)
#: Positive and negative: blue and plain, red and hatched.
POSITIVE: dict[str, Any] = {"color": "#1b6ca8"}
NEGATIVE: dict[str, Any] = {"color": "#b5321c", "hatch": "////"}


def line_style(index: int) -> dict[str, Any]:
    """The look of one of several lines."""
    return LINES[index % len(LINES)]
