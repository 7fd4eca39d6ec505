"""The command line: what people type, and how errors reach them."""

from inkdot.cli.app import main

__all__ = ["main"]
