"""The command line: `ksim demo`, `ksim search`."""
