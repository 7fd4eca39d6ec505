"""The command line: commands, options, and the one line that reports wrong input."""

from inkdot.cli.app import main

__all__ = ["main"]
