"""Reads the golden cases: what other libraries answer, and to what.

`data/README.md` says how they were made and what their fields mean. The environment
variable `KSIM_GOLDEN` names another folder to read them from.
"""

import functools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PEERS = ("tfsim", "pml")


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a peer, with its arguments and its answers as arrays."""

    peer: str
    id: str
    kind: str
    peer_class: str
    kwargs: dict[str, Any]
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    tags: tuple[str, ...]
    note: str
    # All fields as they are written, for those that few cases have (`steps`, `call`).
    fields: dict[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What decides how a case is run."""
        return self.peer, self.kind, self.peer_class

    @property
    def is_peer_quirk(self) -> bool:
        """Is this behaviour that looks unintended, which a library may leave?"""
        return "peer_quirk" in self.tags


def folder() -> Path:
    """Where the golden files are."""
    return Path(os.environ.get("KSIM_GOLDEN") or Path(__file__).parent / "data")


@functools.cache
def load(peer: str) -> tuple[Case, ...]:
    """All cases of a peer, `"tfsim"` or `"pml"`."""
    document = json.loads((folder() / f"{peer}_cases.json").read_text())
    with np.load(folder() / f"{peer}_arrays.npz") as archive:
        arrays = dict(archive)
    return tuple(_case(peer, fields, arrays) for fields in document["cases"])


def assert_close(actual: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Compares within `tolerance * max(1, |v|)`; a NaN equals a NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    if expected.dtype.kind in "US":
        assert actual.tolist() == expected.tolist(), what
        return
    finite = np.where(np.isfinite(expected), np.abs(expected), 1.0)
    bound = tolerance * np.maximum(1.0, finite)
    with np.errstate(invalid="ignore"):
        is_close = np.abs(actual.astype("float64") - expected) <= bound
    is_same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    assert (is_close | is_same).all(), f"{what}\n{actual}\nexpected\n{expected}"


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _case(peer: str, fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> Case:
    return Case(
        peer=peer,
        id=fields["id"],
        kind=fields["kind"],
        peer_class=fields["peer_class"],
        kwargs=_parse(fields["kwargs"]),
        inputs={name: arrays[key] for name, key in fields["inputs"].items()},
        expected={name: arrays[key] for name, key in fields["expected"].items()},
        tags=tuple(fields.get("tags") or ()),
        note=fields.get("note") or "",
        fields=fields,
    )


def _parse(value: Any) -> Any:
    """Undoes what JSON makes of infinities and of class ids that are keys."""
    if isinstance(value, dict):
        return {
            int(key) if key.lstrip("-").isdigit() else key: _parse(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_parse(item) for item in value]
    return float(value) if value in ("inf", "-inf") else value
