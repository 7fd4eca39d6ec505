"""The command line as a person types it, without a second process."""

import os
import sys
from typing import Protocol

import pytest

from inkdot.cli import main


class CommandLine(Protocol):
    """Runs a command and demands its exit code."""

    def __call__(self, *arguments: object, code: int = 0) -> None: ...


@pytest.fixture
def inkdot(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    def run(*arguments: object, code: int = 0) -> None:
        words = [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in arguments]
        monkeypatch.setattr(sys, "argv", ["inkdot", *words])
        found: object = 0
        try:
            main()
        except SystemExit as end:
            found = end.code or 0
        assert found == code, f"inkdot {' '.join(words)}: expected exit code {code}, found {found}"

    return run
