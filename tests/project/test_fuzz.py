"""The fuzzer of scripts/fuzz finds nothing in 200 cases, and finds what is planted."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its limits are those of Linux")


@pytest.mark.slow
def test_two_hundred_cases_end_in_a_result_or_in_one_line(repository: Path) -> None:
    told = fuzz(repository, "--cases", "200", "--seed", "0")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "200 cases in" in told.stdout
    assert ": 0 findings" in told.stdout


def fuzz(repository: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, repository / "scripts" / "fuzz", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


PLANTED = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import judge
from kinds import KINDS, sound
judge.CPU_SECONDS, judge.MEMORY_BYTES = 2, 100 << 20
def grows(): return b"x" * (200 << 20)
def unclear(): raise ValueError("two\\nlines")
def hangs():
    while True: pass
kind, corpus = KINDS["labels.csv"], Path(sys.argv[2])
for planted in (lambda: 1 / 0, unclear, os.abort, hangs, grows, lambda: None):
    own = replace(kind, allowed=(ValueError,), read=lambda folder, path: planted())
    print(judge.run_case(own, corpus, "0", None, corpus / "kept").word)
"""


@pytest.mark.slow
def test_it_finds_planted_failures_of_each_kind(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "labels.csv").write_text("slide_id,geometry\ns,POINT EMPTY\n", encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-c", PLANTED, repository / "scripts" / "fuzz", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["error", "message", "signal", "hang", "memory", "read"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["0-labels.csv"]
