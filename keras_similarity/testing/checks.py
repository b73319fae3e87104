"""What all suites of checks share: which run, and what becomes of what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Faults = dict[str, list[str]]


def faults_of(
    checks: Mapping[str, Any],
    skip: Sequence[str],
    run: Callable[[str, Any], Iterable[str]],
) -> Faults:
    """Sentences about what is wrong, by the name of the check that found it.

    Args:
        checks: Name -> check.
        skip: Names of checks to leave out.
        run: `run(name, check)` gives sentences. An error ends the check, and is one more.

    Raises:
        ValueError: If `skip` names no check.
    """
    unknown = sorted(set(skip) - set(checks))
    if unknown:
        raise ValueError(
            f"`skip` must name checks: {', '.join(checks)}. Received: {unknown}."
        )
    found = {}
    for name, check in checks.items():
        if name in skip:
            continue
        sentences: list[str] = []
        try:
            sentences.extend(run(name, check))  # Keeps those before an error.
        except Exception as error:
            rule = (check.__doc__ or "").partition("\n")[0]
            what = f"{rule} But: " if rule else ""
            sentences.append(f"{what}{type(error).__name__}: {error}")
        if sentences:
            found[name] = sentences
    return found


def raise_faults(what: str, found: Faults, checks: Mapping[str, Any]) -> None:
    """Raises an `AssertionError` with all that was found, if anything was."""
    if not found:
        return
    lines = [f"- {name}: {text}." for name, texts in found.items() for text in texts]
    raise AssertionError(
        f"{what} breaks {len(found)} of {len(checks)} rules:\n" + "\n".join(lines)
    )
