"""scripts/train.py and scripts/infer.py are the commands, not second ones."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("script", "command", "option"), [("train.py", "train", "--config"), ("infer.py", "predict", "--model")]
)
def test_the_script_is_the_command(repository: Path, script: str, command: str, option: str) -> None:
    shown = subprocess.run(
        [sys.executable, repository / "scripts" / script, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f" {command} " in shown.splitlines()[0]
    assert option in shown


def test_wrong_input_ends_as_it_does_for_the_command(repository: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            repository / "scripts/infer.py",
            tmp_path / "none.svs",
            "--model",
            tmp_path,
            "--out",
            tmp_path / "o",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1


def test_the_batch_script_gives_its_words_to_the_command(repository: Path, tmp_path: Path) -> None:
    shown = tmp_path / "inkdot"
    shown.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    shown.chmod(0o700)
    script = repository / "scripts/cluster/predict.sbatch"
    environment = {"PATH": "/usr/bin:/bin", "INKDOT": str(shown), "SLURM_CPUS_PER_TASK": "3"}

    def ran(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", script, *words], env=environment, capture_output=True, text=True, check=False
        )

    told = ran("my slides.csv", "run/model", "results")
    assert told.stdout.splitlines() == [
        *("predict", "my slides.csv", "--model", "run/model", "--out", "results", "--workers", "3")
    ]
    assert ran("slides.csv", "run/model").returncode == 2
