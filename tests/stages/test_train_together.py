"""`torchrun … inkdot train`: two processes on one CPU make the model that one makes, and only the first writes and speaks."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from inkdot.artefacts.layout import RunLayout
from inkdot.artefacts.ledger import read as read_ledger
from inkdot.artefacts.model_files import read_model_file
from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import train

SLIDES, PICTURES = 8, 24
KINDS = ("benign", "malignant")


BACKBONES = {"slides": ("test_convnext", 0.003), "images": ("mobilenetv3_small_050", 0.0005)}
"""Without batch normalisation and with, each with a learning rate; a higher one makes the last digits decide."""


def settings(kind: str = "slides", **training: object) -> dict[str, object]:
    tiling = {"mode": "grid", "side_px": 32, "mpp": 1.0, "stride_px": 32, "adequacy": {"min_nuclei": 0}}
    backbone, rate = BACKBONES[kind]
    loop = {"epochs": 2, "batch_size": 8, "learning_rate": rate, "accelerator": "cpu"}
    return {
        "tiling": tiling,
        "heads": [{"name": "malignancy", "classes": list(KINDS), "calls": {}, "flag_class": "malignant"}],
        "model": {"backbone": backbone, "dropout": 0.2, "precision": "float32"},
        "images": {"mpp_of_all": "unknown", "near_identical": "warn"},
        "training": loop | training,
    }


def painted(seed: int, side: int, centres: list[tuple[int, int]]) -> np.ndarray:
    """White with cells, red ones where the seed is odd, the class of :data:`KINDS`."""
    generator = np.random.default_rng(seed)
    rgb = np.full((side, side, 3), 240, np.uint8)
    for x, y in centres:
        shifted = tuple(int(c + generator.integers(-10, 10)) for c in (x, y))
        cv2.circle(rgb, shifted, 14, (150, 40, 70) if seed % 2 else (70, 90, 190), cv2.FILLED)
    return rgb


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``slides.csv`` of labelled slides and ``images.csv`` of labelled pictures."""
    folder = tmp_path_factory.mktemp("together")
    lines, labels = (
        ["slide_id,path,patient_id,stain,malignancy,annotation"],
        ["slide_id,place,head,answer,reader,source"],
    )
    for index in range(SLIDES):
        rgb = painted(index, 256, [(44 + 80 * (k % 3), 44 + 80 * (k // 3)) for k in range(9)])
        write_array_pyramid(folder / f"s{index}.tif", rgb, mpp=Mpp.square(0.5), description="")
        lines.append(f"s{index},s{index}.tif,p{index},pap,{KINDS[index % 2]},labels.csv")
        everywhere = '"POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"'
        labels.append(f"s{index},{everywhere},malignancy,{KINDS[index % 2]},r,annotation")
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    lines = ["path,malignancy,patient_id"]
    for index in range(PICTURES):
        cv2.imwrite(str(folder / f"{index}.png"), painted(index, 64, [(32, 32)])[..., ::-1])
        lines.append(f"{index}.png,{KINDS[index % 2]},p{index}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def start(table: Path, out: Path, processes: int) -> subprocess.CompletedProcess[str]:
    path = out.with_suffix(".yaml")
    path.write_text(json.dumps(settings(table.stem)))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, "-W", "ignore", *(launcher if processes > 1 else [])]
    command += ["-m", "inkdot.cli.app", "train", "--config", str(path), f"--{table.stem}", str(table)]
    return subprocess.run(
        [*command, "--out", str(out), "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def losses(out: Path) -> np.ndarray:
    rows = csv.DictReader((out / "metrics.csv").read_text(encoding="utf-8").splitlines())
    return np.array([[float(row["train_loss"]), float(row["validation_loss"])] for row in rows])


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["slides", "images"])
def test_two_processes_make_the_model_of_one(tables: Path, tmp_path: Path, kind: str) -> None:
    table = tables / f"{kind}.csv"
    for name, processes in (("one", 1), ("two", 2)):
        done = start(table, tmp_path / name, processes)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("what it is worth:") == 1
        assert done.stderr.count("epoch 2 of 2: train_loss") == 1
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    one, two = (losses(layout.root) for layout in layouts)
    assert one.shape == (2, 2)
    np.testing.assert_allclose(two, one, rtol=1e-4)
    # Every slide was tiled and read once, by whoever.
    outcomes = [[(line.stage, line.outcome) for line in read_ledger(layout.ledger)] for layout in layouts]
    assert sorted(outcomes[0]) == sorted(outcomes[1])
    points = [read_model_file(layout.model).operating_points["malignancy"] for layout in layouts]
    assert points[1].threshold == pytest.approx(points[0].threshold, abs=2e-3)
    # Started again, they find all done: no epoch, no tile and no weight is made anew.
    before = layouts[1].model.joinpath("weights.safetensors").read_bytes(), two.tolist()
    again = start(table, tmp_path / "two", 2)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("going on after epoch 2") == 1
    assert "epoch 1 of 2: train_loss" not in again.stderr
    after = layouts[1].model.joinpath("weights.safetensors").read_bytes(), losses(layouts[1].root).tolist()
    assert after == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_when_the_first_stops_the_other_does_not_wait_and_its_reason_is_said_once(
    tables: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(RunLayout(tmp_path / "run").lock):  # known to the first only, when the other waits already
        done = start(tables / "images.csv", tmp_path / "run", 2)
    assert done.returncode == 1
    assert done.stderr.count("inkdot: ") == 1
    assert done.stderr.count("expected a free output folder, found another inkdot working in it") == 1
    assert "Traceback" not in done.stderr.split("inkdot: ")[0]


ALWAYS = {"slide_labels": {"use": "always"}}


@pytest.mark.parametrize(
    ("kind", "size", "folds", "training", "words"),
    [
        ("slides", "3", None, {}, r"training\.batch_size: expected a multiple of 3 for 3 processes.*found 8"),
        (
            "images",
            "2",
            None,
            {"accumulate": 8},
            r"training\.batch_size: expected a multiple of 16 for 2 proc",
        ),
        ("slides", "2", 3, {}, r"--folds: expected `inkdot train` started alone, found one of 2 processes"),
        ("images", "2", 3, {}, r"--folds: expected `inkdot train` started alone, found one of 2 processes"),
        ("slides", "2", None, ALWAYS, "one process for learning from slides as wholes, found 2"),
    ],
)
def test_what_several_processes_cannot_do_is_said_before_anything_is_tiled(
    tables: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    size: str,
    folds: int | None,
    training: dict[str, object],
    words: str,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    config = config_from_mapping(settings(kind, **training))
    stage = train.run if kind == "slides" else train.run_images
    with pytest.raises(UserError, match=words):
        stage(config, tables / f"{kind}.csv", tmp_path / "run", folds=folds)
    assert not (tmp_path / "run").exists()
