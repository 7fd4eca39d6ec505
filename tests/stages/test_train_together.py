"""`torchrun … inkdot train`: two processes on one CPU make the model that one makes, and only the first writes and speaks."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from inkdot.config import config_from_mapping
from inkdot.errors import UserError
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import train
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger
from inkdot.storage.model_files import read_model_file

SLIDES, IMAGES = 8, 24
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
        "images": {"mpp_of_all": "unknown", "near_duplicates": "warn"},
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
    """A folder with ``slides.csv`` of labelled slides and ``images.csv`` of labelled images.

    In ``unmarked.csv`` the slides have nothing but an label each, in ``mixed.csv`` one has no more.
    """
    folder = tmp_path_factory.mktemp("together")
    lines, labels = (
        ["slide_id,path,patient_id,stain,malignancy,annotation"],
        ["slide_id,geometry,head,label,reader,source"],
    )
    for index in range(SLIDES):
        rgb = painted(index, 256, [(44 + 80 * (k % 3), 44 + 80 * (k // 3)) for k in range(9)])
        write_array_pyramid(folder / f"s{index}.tif", rgb, mpp=Mpp.square(0.5), description="")
        lines.append(f"s{index},s{index}.tif,p{index},pap,{KINDS[index % 2]},labels.csv")
        everywhere = '"POLYGON ((0 0, 256 0, 256 256, 0 256, 0 0))"'
        labels.append(f"s{index},{everywhere},malignancy,{KINDS[index % 2]},r,annotation")
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    (folder / "unmarked.csv").write_text("\n".join(lines).replace(",labels.csv", ",") + "\n")
    unmarked = [line.replace(",labels.csv", ",") if k == 8 else line for k, line in enumerate(lines)]
    (folder / "mixed.csv").write_text("\n".join(unmarked) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    lines = ["path,malignancy,patient_id"]
    for index in range(IMAGES):
        cv2.imwrite(str(folder / f"{index}.png"), painted(index, 64, [(32, 32)])[..., ::-1])
        lines.append(f"{index}.png,{KINDS[index % 2]},p{index}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def start(
    table: Path,
    out: Path,
    processes: int,
    *options: str,
    program: Sequence[str] = ("-m", "inkdot.cli.app"),
    **training: object,
) -> subprocess.CompletedProcess[str]:
    path, kind = out.with_suffix(".yaml"), "images" if table.stem == "images" else "slides"
    path.write_text(json.dumps(settings(kind, **training)))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher += ["--log-dir", str(out.with_suffix(".torchrun"))]
    command = [sys.executable, "-W", "ignore", *(launcher if processes > 1 else [])]
    command += [*program, "train", "--config", str(path), f"--{kind}", str(table)]
    return subprocess.run(
        [*command, "--out", str(out), "--workers", "1", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def losses(out: Path) -> np.ndarray:
    """Of training and of validation, by epoch; of each head of the former too."""
    rows = list(csv.DictReader((out / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    names = [name for name in rows[0] if name.startswith("train_loss") or name.endswith("_loss")]
    return np.array([[float(row[name]) for name in names] for row in rows])


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
    assert one.shape == (2, 4)
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


BAGS: dict[str, object] = {"bag_tiles": 4, "hidden": 4, "self_supervised_epochs": 2}
LABELS = ["weak_labels", "pseudo_labels_1", "pseudo_labels_2", "pseudo_labels_3", "mil"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("table", "how", "recorded", "phases", "bound"),
    [
        ("unmarked", "labels", "labels", LABELS, 1e-4),
        ("unmarked", "self-supervised", "self-supervised", ["self_supervision", "mil"], 2e-3),
        ("unmarked", "none", "scratch", ["mil"], 1e-4),
        ("mixed", "labels", "tiles", [".", "mil"], 1e-4),
    ],
)
def test_two_processes_learn_from_slides_as_one_does(
    tables: Path, tmp_path: Path, table: str, how: str, recorded: str, phases: list[str], bound: float
) -> None:
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    # At higher rates the last digits decide, sooner where there is batch normalisation, as in front of embeddings.
    training = {"mil": BAGS | {"start": how}, "learning_rate": 0.0003 if "self" in how else 0.001}
    for layout, processes in zip(layouts, (1, 2), strict=True):
        done = start(tables / f"{table}.csv", layout.root, processes, **training)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("what it is worth:") == 1
        assert done.stderr.count("epoch 2 of 2: train_loss") == len(phases)
    found = [
        {path.parent.relative_to(own.root).as_posix() for path in own.root.rglob("metrics.csv")}
        for own in layouts
    ]
    assert found == [set(phases)] * 2
    for phase in phases:
        one, two = (losses(layout.root / phase) for layout in layouts)
        assert len(one) == 2
        np.testing.assert_allclose(two, one, rtol=bound, err_msg=phase)
    models = [read_model_file(layout.model) for layout in layouts]
    for model in models:
        assert model.attention is not None
        assert model.attention.start == recorded
    thresholds = [model.operating_points["malignancy"].threshold for model in models]
    assert thresholds[1] == pytest.approx(thresholds[0], abs=2e-3)
    # Which tiles were sure, and how many: the same ones, or the losses would not agree.
    cards = [(layout.model / "card.md").read_text(encoding="utf-8") for layout in layouts]
    taught = [[line for line in card.splitlines() if "surest of them" in line] for card in cards]
    assert taught[0] == taught[1]
    assert len(taught[0]) == (recorded == "labels")


_MORTAL = """
import os, signal, sys, threading, time
from pathlib import Path

from inkdot.cli.app import main

own, last = sys.argv.pop(1), Path(sys.argv.pop(1))


def watch():
    while not last.exists():
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


if os.environ["RANK"] == own:
    threading.Thread(target=watch, daemon=True).start()
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_whichever_is_killed_in_whatever_phase_both_stop_and_go_on_to_the_same_bytes(
    tables: Path, tmp_path: Path
) -> None:
    """Sums over two processes do not depend on their order; those over more may, in their last digits."""
    (tmp_path / "mortal.py").write_text(_MORTAL)
    whole, cut = RunLayout(tmp_path / "whole"), RunLayout(tmp_path / "cut")
    table, training = tables / "unmarked.csv", {"mil": BAGS}
    assert start(table, whole.root, 2, **training).returncode == 0
    for rank, phase in enumerate(LABELS):
        program = [str(tmp_path / "mortal.py"), str(rank % 2), str(cut.phase(phase).metrics_csv)]
        done = start(table, cut.root, 2, program=program, **training)
        assert done.returncode == 1
        assert done.stderr.count("inkdot: ") <= 1, done.stderr[-3000:]
        if rank % 2:
            assert done.stderr.count("found another one gone") == 1
        assert not cut.model.exists()
        assert not cut.phase(LABELS[min(rank + 1, 4)]).root.exists() or rank == 4
    assert start(table, cut.root, 2, **training).returncode == 0
    for name in ("model/weights.safetensors", "model/model.json", "mil/metrics.csv"):
        assert (cut.root / name).read_bytes() == (whole.root / name).read_bytes()


_ELSEWHERE = """
import os, sys

from inkdot.cli.app import main

own = sys.argv.pop(1)
if os.environ["RANK"] == "1":
    sys.argv[sys.argv.index("--out") + 1] = own
main()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_processes_that_find_different_checkpoints_do_not_wait_for_each_other_for_ever(
    tables: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.py").write_text(_ELSEWHERE)
    table, out, program = tables / "images.csv", tmp_path / "run", [str(tmp_path / "elsewhere.py")]
    assert start(table, out, 1).returncode == 0
    (tmp_path / "other").mkdir()
    done = start(table, out, 2, program=[*program, str(tmp_path / "other")])
    assert done.returncode == 1
    assert done.stderr.count("inkdot: ") == 1
    assert "inkdot: expected all processes to find the same epochs done, found 2, 0; give them" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["unmarked", "images"])
def test_two_processes_cross_validate_as_one_does(tables: Path, tmp_path: Path, kind: str) -> None:
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    training = {"epochs": 1, "mil": BAGS, "validation_fraction": 0.4, "learning_rate": 0.0005}
    for layout, processes in zip(layouts, (1, 2), strict=True):
        done = start(tables / f"{kind}.csv", layout.root, processes, "--folds", "2", **training)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("fold 2 of 2") == 1
        assert done.stderr.count("metrics: ") == 1
    phases = [path.parent.relative_to(layouts[0].root) for path in layouts[0].root.rglob("metrics.csv")]
    assert len(phases) == 2 * (len(LABELS) if kind == "unmarked" else 1)
    for phase in phases:
        one, two = (losses(layout.root / phase) for layout in layouts)
        np.testing.assert_allclose(two, one, rtol=1e-4, err_msg=str(phase))
    judged = [
        list(csv.DictReader(layout.out_of_fold_csv.read_text(encoding="utf-8").splitlines()))
        for layout in layouts
    ]
    assert judged[0]
    for one, two in zip(*judged, strict=True):
        assert (one["name"], one["fold"]) == (two["name"], two["fold"])
        score = "p.malignancy.malignant"
        assert float(two[score]) == pytest.approx(float(one[score]), abs=1e-3)
    for fold in range(2):
        splits = [layout.fold(fold).split_csv.read_bytes() for layout in layouts]
        assert splits[0] == splits[1]


ALWAYS = {"mil": BAGS | {"use": "always"}}


@pytest.mark.parametrize(
    ("kind", "size", "folds", "training", "words"),
    [
        ("slides", "3", None, {}, r"training\.batch_size: expected a multiple of 3 for 3 processes.*found 8"),
        (
            "images",
            "2",
            None,
            {"gradient_accumulation": 8},
            r"training\.batch_size: expected a multiple of 16 for 2 proc",
        ),
        ("images", "3", 3, {}, r"training\.batch_size: expected a multiple of 3 for 3 processes.*found 8"),
        ("slides", "4", None, ALWAYS, r"as many slides of a step.*found 8; set it to 16"),
        ("unmarked", "4", None, {"mil": BAGS}, r"a multiple of 16 for 4 processes.*found 8; set it"),
        ("mixed", "4", 3, {"mil": BAGS}, r"a multiple of 16 for 4 processes.*found 8; set it to 16"),
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
    config = config_from_mapping(settings("images" if kind == "images" else "slides", **training))
    stage = train.run_images if kind == "images" else train.run
    with pytest.raises(UserError, match=words):
        stage(config, tables / f"{kind}.csv", tmp_path / "run", folds=folds)
    assert not (tmp_path / "run").exists()
