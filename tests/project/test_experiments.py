"""The scripts that repeat what the documents say of learning, on as few slides as they run with."""

import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats


def test_all_of_a_few_patients_have_the_exact_interval(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    experiment = importlib.import_module("slide_labels_experiment")
    patients = np.repeat([f"p{i:02d}" for i in range(20)], 2)
    asked = np.arange(40) < 24  # of twelve patients
    own = {
        "patients": patients,
        "truth": asked,
        "scores": np.linspace(1, 0, 40),
        "ranks": np.where(asked, 1 + np.arange(40) % 15, -1),
    }
    judged = {arm: [own, own] for arm in ("slides", "naive")}
    for k in experiment.HITS_AT:
        pairs = (("slides", "naive"), ("slides", "naive_longer"))
        experiment.say_metric(f"slide_hit@{k}", judged, partial(experiment.hits, k=k), pairs, [asked])
    shown = capsys.readouterr().out
    low = stats.binomtest(12, 12).proportion_ci(0.95, "exact").low
    assert f"selftest_slide_hit@30 slides: 1.000 ({low:.3f} to 1.000) (Clopper-Pearson" in shown
    assert "1.000 (0.000 to 1.000)" not in shown
    assert "naive_longer" not in shown
    assert "selftest_slide_hit@30 slides less naive: +0.000" in shown


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("script", "options", "expected"),
    [
        (
            "epoch_choice_experiment.py",
            ["--way", "slides", "--slides", "12", "--runs", "1", "--epochs", "2", "--patience", "1"],
            ["patients", "loss", "last", "patients less loss", "loss less last"],
        ),
        (
            "frozen_start_experiment.py",
            ["--from-slides", "12", "--few", "12", "--draws", "1", "--epochs", "1"],
            ["of 12 scratch", "of 12 not held", "of 12 held for three less not held"],
        ),
    ],
)
def test_each_way_gets_its_metric_and_its_differences(
    repository: Path, tmp_path: Path, script: str, options: list[str], expected: list[str]
) -> None:
    words = [*options, "--test-slides", "12", "--work", str(tmp_path)]
    command = [sys.executable, str(repository / "scripts" / script), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in expected:
        assert f"selftest_slide_auc {name}: " in ended.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    metrics = [line for line in ended.stdout.splitlines() if line.startswith("selftest_slide_auc")]
    assert metrics == [line for line in again.stdout.splitlines() if line.startswith("selftest_slide_auc")]
