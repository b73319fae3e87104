"""Results that are there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.interrupts import no_interrupts


@contextmanager
def staged_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder whose files move to `path` when the `with` block ends well.

    It lies beside `path`, so that moving a file is one step. After an exception, Ctrl-C
    included, it is removed and `path` is as it was. Files of the same names are
    replaced; other files in `path` stay. Ctrl-C during the move, which takes an instant,
    comes too late: it does nothing.

    Raises:
        CommandError: If the folder cannot be written.
    """
    target = Path(path).absolute()
    if target.exists() and not target.is_dir():
        raise CommandError(f"The output {str(path)!r} is a file, not a folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise CommandError(
            f"The output folder {str(path)!r} cannot be made: {error.strerror}."
        ) from error
    try:
        yield folder
        with no_interrupts():
            _move_files(folder, target)
    finally:
        with no_interrupts():
            shutil.rmtree(folder, ignore_errors=True)


def _move_files(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for child in sorted(source.iterdir()):
        if child.is_dir():
            _move_files(child, target / child.name)
        else:
            os.replace(child, target / child.name)
