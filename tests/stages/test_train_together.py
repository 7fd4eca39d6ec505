"""`torchrun … inkdot train`: two processes on one CPU train one model; only rank zero writes and prints."""

import csv
import json
import os
import signal
import socket
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
from inkdot.storage.models.model_files import read_model_file

SLIDES, IMAGES = 8, 24
KINDS = ("benign", "malignant")


BACKBONE, WITH_BATCH_NORM = "test_convnext", "mobilenetv3_small_050"


def settings(*, backbone: str = BACKBONE, **training: object) -> dict[str, object]:
    tiling = {"mode": "grid", "side_px": 32, "mpp": 1.0, "stride_px": 32, "adequacy": {"min_nuclei": 0}}
    loop = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "accelerator": "cpu"}
    return {
        "tiling": tiling,
        "heads": [{"name": "malignancy", "classes": list(KINDS), "calls": {}, "flag_class": "malignant"}],
        "model": {"backbone": backbone, "dropout": 0.0, "precision": "float32"},
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

    In ``unmarked.csv`` the slides have nothing but a label each, in ``mixed.csv`` one of them.
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
    backbone: str = BACKBONE,
    **training: object,
) -> subprocess.CompletedProcess[str]:
    path, kind = out.with_suffix(".yaml"), "images" if table.stem == "images" else "slides"
    path.write_text(json.dumps(settings(backbone=backbone, **training)))
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
def test_two_processes_train_the_model_of_one_without_batch_normalisation(
    tables: Path, tmp_path: Path, kind: str
) -> None:
    table = tables / f"{kind}.csv"
    for name, processes in (("one", 1), ("two", 2)):
        done = start(table, tmp_path / name, processes)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("performance:") == 1
        assert done.stderr.count("epoch 2 of 2: train_loss") == 1
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    one, two = (losses(layout.root) for layout in layouts)
    assert one.shape == (2, 4)
    np.testing.assert_allclose(two, one, rtol=1e-3)
    # Every slide was tiled and read once.
    outcomes = [[(line.stage, line.outcome) for line in read_ledger(layout.ledger)] for layout in layouts]
    assert sorted(outcomes[0]) == sorted(outcomes[1])
    points = [read_model_file(layout.model).operating_points["malignancy"] for layout in layouts]
    assert points[1].threshold == pytest.approx(points[0].threshold, abs=2e-3)
    # A rerun finds all done: no epoch, tile or weight is computed again.
    before = layouts[1].model.joinpath("weights.safetensors").read_bytes(), two.tolist()
    again = start(table, tmp_path / "two", 2)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("resuming after epoch 2") == 1
    assert "epoch 1 of 2: train_loss" not in again.stderr
    after = layouts[1].model.joinpath("weights.safetensors").read_bytes(), losses(layouts[1].root).tolist()
    assert after == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_batch_normalisation_of_several_processes_on_a_cpu_is_noted_once_and_on_the_card(
    tables: Path, tmp_path: Path
) -> None:
    done = start(tables / "images.csv", tmp_path / "run", 2, backbone=WITH_BATCH_NORM, epochs=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Batch normalisation: each of 2 processes") == 1
    card = (RunLayout(tmp_path / "run").model / "card.md").read_text(encoding="utf-8")
    assert "Batch normalisation: each of 2 processes" in card


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_error_on_rank_zero_ends_the_other_process_and_is_printed_once(
    tables: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(RunLayout(tmp_path / "run").lock):  # taken on rank zero only, while the other waits
        done = start(tables / "images.csv", tmp_path / "run", 2)
    assert done.returncode == 1
    assert done.stderr.count("inkdot: ") == 1
    assert done.stderr.count("expected a free output folder, found another inkdot working in it") == 1
    assert "Traceback" not in done.stderr.split("inkdot: ")[0]


BAGS: dict[str, object] = {"bag_tiles": 4, "hidden": 4}
PHASES = ["weak_labels", "pseudo_labels_1", "pseudo_labels_2", "pseudo_labels_3", "mil"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("table", "backbone_start", "recorded", "phases"),
    [
        ("unmarked", "pseudo-labels", "pseudo-labels", PHASES),
        ("unmarked", "none", "scratch", ["mil"]),
        ("mixed", "pseudo-labels", "tiles", [".", "mil"]),
    ],
)
def test_two_processes_train_from_slide_labels_as_one_does(
    tables: Path, tmp_path: Path, table: str, backbone_start: str, recorded: str, phases: list[str]
) -> None:
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    training = {"mil": BAGS | {"start": backbone_start}}
    for layout, processes in zip(layouts, (1, 2), strict=True):
        done = start(tables / f"{table}.csv", layout.root, processes, **training)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("performance:") == 1
        assert done.stderr.count("epoch 2 of 2: train_loss") == len(phases)
    found = [
        {path.parent.relative_to(own.root).as_posix() for path in own.root.rglob("metrics.csv")}
        for own in layouts
    ]
    assert found == [set(phases)] * 2
    for phase in phases:
        one, two = (losses(layout.root / phase) for layout in layouts)
        assert len(one) == 2
        np.testing.assert_allclose(two, one, rtol=1e-3, err_msg=phase)
    models = [read_model_file(layout.model) for layout in layouts]
    for model in models:
        assert model.attention is not None
        assert model.attention.start == recorded
    thresholds = [model.operating_points["malignancy"].threshold for model in models]
    assert thresholds[1] == pytest.approx(thresholds[0], abs=2e-3)
    # The number of pseudo-labels is the same.
    cards = [(layout.model / "card.md").read_text(encoding="utf-8") for layout in layouts]
    lines = [[line for line in card.splitlines() if "with pseudo-labels" in line] for card in cards]
    assert lines[0] == lines[1]
    assert len(lines[0]) == (recorded == "pseudo-labels")


_KILLED = """
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
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_the_process_that_is_left_says_that_another_one_ended(tables: Path, tmp_path: Path) -> None:
    """Started without torchrun, which would end it first."""
    (tmp_path / "killed.py").write_text(_KILLED)
    (tmp_path / "run.yaml").write_text(json.dumps(settings(mil=BAGS)))
    out = RunLayout(tmp_path / "run")
    program = [str(tmp_path / "killed.py"), "1", str(out.phase(PHASES[0]).metrics_csv)]
    command = [sys.executable, "-W", "ignore", *program, "train", "--config", str(tmp_path / "run.yaml")]
    command += ["--slides", str(tables / "unmarked.csv"), "--out", str(out.root), "--workers", "1"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "OMP_NUM_THREADS": "1"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    left, killed = (
        subprocess.Popen(
            command,
            env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    )
    printed = left.communicate(timeout=500)[1]
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert left.returncode == 2, printed[-3000:]
    assert printed.count("found that another one ended") == 1, printed[-3000:]
    assert not out.model.exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_killed_in_a_phase_ends_both_and_a_rerun_resumes_to_the_same_bytes(
    tables: Path, tmp_path: Path
) -> None:
    """With batch normalisation, whose statistics differ between the processes."""
    (tmp_path / "killed.py").write_text(_KILLED)
    whole, cut = RunLayout(tmp_path / "whole"), RunLayout(tmp_path / "cut")
    table, training = tables / "unmarked.csv", {"mil": BAGS, "backbone": WITH_BATCH_NORM}
    assert start(table, whole.root, 2, **training).returncode == 0
    for rank, number in enumerate(
        (0, 2, 4)
    ):  # the first, a middle and the last phase: each kill starts two processes anew
        program = [str(tmp_path / "killed.py"), str(rank % 2), str(cut.phase(PHASES[number]).metrics_csv)]
        done = start(table, cut.root, 2, program=program, **training)
        assert done.returncode == 1
        # torchrun may end the other process before that one finds the connection lost.
        assert done.stderr.count("inkdot: ") <= 1, done.stderr[-3000:]
        assert done.stderr.count("Signal 9 (SIGKILL) received") >= 1, done.stderr[-3000:]
        assert not cut.model.exists()
        assert number == 4 or not cut.phase(PHASES[number + 1]).root.exists()
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
def test_processes_with_different_checkpoints_are_refused(tables: Path, tmp_path: Path) -> None:
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
def test_two_processes_cross_validate_as_one_does_without_batch_normalisation(
    tables: Path, tmp_path: Path
) -> None:
    layouts = [RunLayout(tmp_path / name) for name in ("one", "two")]
    training = {"epochs": 1, "mil": BAGS, "validation_fraction": 0.4}
    for layout, processes in zip(layouts, (1, 2), strict=True):
        done = start(tables / "unmarked.csv", layout.root, processes, "--folds", "2", **training)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stderr.count("fold 2 of 2") == 1
        assert done.stderr.count("metrics: ") == 1
    phases = [path.parent.relative_to(layouts[0].root) for path in layouts[0].root.rglob("metrics.csv")]
    assert len(phases) == 2 * len(PHASES)
    for phase in phases:
        one, two = (losses(layout.root / phase) for layout in layouts)
        np.testing.assert_allclose(two, one, rtol=1e-3, err_msg=str(phase))
    oof = [
        list(csv.DictReader(layout.out_of_fold_csv.read_text(encoding="utf-8").splitlines()))
        for layout in layouts
    ]
    assert oof[0]
    for one, two in zip(*oof, strict=True):
        assert (one["name"], one["fold"]) == (two["name"], two["fold"])
        score = "p.malignancy.malignant"
        assert float(two[score]) == pytest.approx(float(one[score]), abs=1e-3)
    for fold in range(2):
        splits = [layout.fold(fold).split_csv.read_bytes() for layout in layouts]
        assert splits[0] == splits[1]


ALWAYS = {"mil": BAGS | {"use": "always"}}


@pytest.mark.parametrize(
    ("kind", "size", "folds", "training", "message"),
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
def test_a_batch_size_that_does_not_fit_is_refused_before_tiling(
    tables: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    size: str,
    folds: int | None,
    training: dict[str, object],
    message: str,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    config = config_from_mapping(settings(**training))
    stage = train.run_images if kind == "images" else train.run
    with pytest.raises(UserError, match=message):
        stage(config, tables / f"{kind}.csv", tmp_path / "run", folds=folds)
    assert not (tmp_path / "run").exists()
