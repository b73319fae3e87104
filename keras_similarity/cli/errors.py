"""Failures that a user of the command line can do something about."""


class CommandError(Exception):
    """Ends a command with its message, one clear sentence, and exit status 2."""
