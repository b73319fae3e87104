"""Results as tables of text."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def as_text(rows: Sequence[Row]) -> str:
    """Rows of the same columns as aligned text, numbers to the right."""
    names, cells = (
        list(rows[0]),
        [[_cell(value) for value in row.values()] for row in rows],
    )
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if isinstance(value, str) else cell.rjust(width)
            for cell, width, value in zip(line, widths, rows[0].values(), strict=True)
        ).rstrip()
        for line in (names, *cells)
    ]
    return "\n".join(lines)


def as_html(rows: Sequence[Row], caption: str) -> str:
    """Rows of the same columns as a table, for notebooks."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values())
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
