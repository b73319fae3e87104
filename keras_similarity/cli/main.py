"""The command `ksim`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import keras_similarity
from keras_similarity.cli import demo, search
from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.interrupts import insistent_interrupts

_INTERRUPTED = 130  # What shells report for a process that Ctrl-C ended.
_FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        arguments: What follows `ksim`; by default those that the process got.

    Returns:
        0; 2 after a failure that has been told in one sentence on stderr; 130 after
        Ctrl-C.
    """
    # A terminal that lacks a character shows its code, instead of ending the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = make_parser().parse_args(arguments)
    try:
        with insistent_interrupts():
            options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nksim: interrupted; nothing was changed.", file=sys.stderr)
        return _INTERRUPTED
    except (CommandError, ImportError) as error:
        print(f"ksim: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader, `head` say, has seen enough. Python would complain once more when
        # it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; a command is the function `options.run`."""
    parser = argparse.ArgumentParser(
        prog="ksim",
        description="Learn which pictures are alike, and find them again.",
        epilog="The framework is chosen by KERAS_BACKEND=jax|torch|tensorflow.",
    )
    parser.add_argument(
        "--version", action="version", version=f"ksim {keras_similarity.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, search):
        command.add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
