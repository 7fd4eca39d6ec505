"""A batch loses nothing: killed at any point, on a full disk, with slides that cannot be read, it says what is missing."""

import ctypes
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from inkdot import __version__
from inkdot.config import config_from_mapping
from inkdot.manifest import read_slides
from inkdot.model.model_folder import save_model
from inkdot.model.network import NetworkSpec, TileNetwork
from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import predict, tile
from inkdot.storage import ledger
from inkdot.storage.layout import RunLayout
from inkdot.storage.models.model_files import ModelFile
from inkdot.storage.models.model_records import OperatingPoint, TrainedOn
from inkdot.storage.tables.predictions import read_predictions

SIDE = 64
CONFIG = config_from_mapping(
    {"tiling": {"side_px": SIDE, "mpp": 0.5, "stride_px": SIDE}, "model": {"backbone": "test_resnet"}}
)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX's")


def make_model(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = TileNetwork(NetworkSpec("test_resnet", 0.0, CONFIG.head_records, SIDE))
    description = ModelFile(
        inkdot=__version__,
        backbone="test_resnet",
        dropout=0.0,
        preparation="thinprep",
        heads=CONFIG.heads,
        tiling=CONFIG.tiling,
        normalisation_mean=list(network.spec.normalisation_mean),
        normalisation_std=list(network.spec.normalisation_std),
        temperatures={"malignancy": 1.0, "morphology": 1.0},
        operating_points={
            "malignancy": OperatingPoint(
                class_name="malignant", threshold=0.5, target_sensitivity=0.95, sensitivity=None, specificity=None
            )
        },
        validation_metrics={},
        trained_on=TrainedOn(
            synthetic=False, slides=2, patients=2, tiles_per_class={}, preparations=[], stains=[], sites=1, scanners=1
        ),
        config_sha256="0" * 64,
        weights_sha256="",
    )  # fmt: skip
    save_model(folder, network, description)
    return folder


def make_slide(path: Path, seed: int, *, cells: int = 40, side_px: int = 600) -> Path:
    generator = np.random.default_rng(seed)
    image = np.full((side_px, side_px, 3), 245, np.uint8)
    for _ in range(cells):
        x, y = generator.integers(20, side_px - 20, 2).tolist()
        cv2.circle(image, (x, y), int(generator.integers(6, 14)), generator.integers(30, 150, 3).tolist(), -1)
    path.parent.mkdir(exist_ok=True)
    write_array_pyramid(path, image, mpp=Mpp.square(0.5))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    for seed in range(3):
        make_slide(tmp_path / "slides" / f"s{seed}.tif", seed)
    return tmp_path / "slides"


def save_without_scale(path: Path) -> None:
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    rgb.save(path)


def data_paths(folder: Path) -> list[Path]:
    others = {"ledger.jsonl", ".inkdot.lock"}
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in others]


def data_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in data_paths(folder)}


def started(*words: object, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from inkdot.cli import main; main()", *(str(word) for word in words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, shown = process.communicate(timeout=300)
    return process.returncode, " ".join(shown.split())


# ---- tried again


@pytest.mark.slow
def test_only_what_failed_is_tried_again(slides: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    good = (slides / "s1.tif").read_bytes()
    (slides / "s1.tif").write_bytes(good[: len(good) // 2])
    assert predict.run([slides], model, out) == 1
    lines = len(list(ledger.read(out / "ledger.jsonl")))
    (slides / "s1.tif").write_bytes(good)
    (slides / "s0.tif").touch()
    assert predict.run([slides], model, out, batch=BatchSettings(retry_failed=True)) == 0
    again = list(ledger.read(out / "ledger.jsonl"))[lines:]
    assert {(line.slide_id, line.outcome) for line in again} <= {("s1", "done"), ("s1", "reused")}
    assert {"tile", "predict"} <= {line.stage for line in again}
    assert predict.run([slides], model, tmp_path / "undisturbed") == 0
    assert data_files(out) == data_files(tmp_path / "undisturbed")


@pytest.mark.slow
def test_what_the_command_says_of_all_slides_is_said_of_those_tried_again_only(
    slides: Path, model: Path, tmp_path: Path
) -> None:
    out = RunLayout(tmp_path / "results")
    save_without_scale(slides / "s1.tif")

    def listed() -> dict[str, tuple[Mpp | None, str]]:
        return {entry.slide_id: (entry.mpp, entry.stain) for entry in read_slides(out.slides_csv, ())}

    assert (
        predict.run([slides], model, out.root, batch=BatchSettings(overrides=SlideOverrides(stain="pap")))
        == 1
    )
    assert (
        predict.run(
            [slides],
            model,
            out.root,
            batch=BatchSettings(overrides=SlideOverrides(mpp=0.4, stain="he"), retry_failed=True),
        )
        == 0
    )
    # Whoever opens them for a image must see them at the scale at which they were scored.
    wanted = {"s0": (None, "pap"), "s1": (Mpp.square(0.4), "he"), "s2": (None, "pap")}
    assert listed() == wanted
    assert predict.run([slides], model, out.root, batch=BatchSettings(retry_failed=True)) == 0
    assert listed() == wanted


def test_the_same_in_tiling(slides: Path, tmp_path: Path) -> None:
    out = RunLayout(tmp_path / "run")
    save_without_scale(slides / "s1.tif")
    assert tile.run(slides, CONFIG, out.root) == 1
    assert (
        tile.run(
            slides, CONFIG, out.root, BatchSettings(overrides=SlideOverrides(mpp=0.4), retry_failed=True)
        )
        == 0
    )
    assert tile.run(slides, CONFIG, out.root, BatchSettings(retry_failed=True)) == 0
    assert [entry.mpp for entry in read_slides(out.slides_csv, ())] == [None, Mpp.square(0.4), None]


@pytest.mark.slow
def test_slides_of_an_earlier_list_are_named(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict.run([slides / "s0.tif", slides / "s1.tif"], model, tmp_path / "results")
    assert "another list" not in capsys.readouterr().err
    predict.run([slides / "s2.tif"], model, tmp_path / "results")
    shown = " ".join(capsys.readouterr().err.split())
    assert (
        "the folder also holds results of 2 slides of another list (s0, s1): predictions.csv does not list them"
        in shown
    )


@pytest.mark.slow
def test_a_table_that_cannot_be_written_costs_no_slide_and_is_said_after_the_summary(
    slides: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = RunLayout(tmp_path / "results")
    (slides / "s1.tif").write_bytes(b"")
    out.assessment_csv.mkdir(parents=True)
    assert tile.run(slides, CONFIG, out.root) == 1
    told = capsys.readouterr().err
    assert "Failed slides" in told.split(f"{out.assessment_csv}: expected a writable file")[0]
    out.predictions_csv.mkdir()
    assert predict.run([slides], model, out.root) == 1
    told = capsys.readouterr().err
    assert "Failed slides" in told.split(f"{out.predictions_csv}: expected a writable file")[0]
    out.assessment_csv.rmdir()
    out.predictions_csv.rmdir()
    (slides / "s1.tif").unlink()
    make_slide(slides / "s1.tif", 1)
    assert predict.run([slides], model, out.root) == 0


@pytest.mark.slow
def test_with_another_model_everything_is_tried_again(slides: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    predict.run([slides], model, out)
    make_model(model, seed=1)
    lines = len(list(ledger.read(out / "ledger.jsonl")))
    predict.run([slides], model, out, batch=BatchSettings(retry_failed=True))
    again = [line for line in ledger.read(out / "ledger.jsonl") if line.stage == "predict"]
    assert [line.outcome for line in again] == ["done"] * 6
    assert len(list(ledger.read(out / "ledger.jsonl"))) == 2 * lines


def test_tiling_tries_only_what_failed_or_is_missing(slides: Path, tmp_path: Path) -> None:
    (slides / "s1.tif").write_bytes(b"")
    assert tile.run(slides, CONFIG, tmp_path / "run") == 1
    make_slide(slides / "s1.tif", 1)
    (tmp_path / "run" / "tiles" / "s2.parquet").unlink()
    lines = len(list(ledger.read(tmp_path / "run" / "ledger.jsonl")))
    assert tile.run(slides, CONFIG, tmp_path / "run", BatchSettings(retry_failed=True)) == 0
    again = [line.slide_id for line in ledger.read(tmp_path / "run" / "ledger.jsonl")][lines:]
    assert sorted(again) == ["s1", "s2"]


# ---- killed


@POSIX
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_any_point_a_rerun_gives_the_same_bytes(slides: Path, model: Path, tmp_path: Path) -> None:
    expected = tmp_path / "undisturbed"
    assert predict.run([slides], model, expected) == 0
    whole = len(data_files(expected))
    chance = np.random.default_rng(4)
    moments = np.linspace(1, whole - 1, 10).astype(int).tolist()
    for number, files in enumerate(moments):  # killed a moment after so many files are there
        out = tmp_path / f"killed{files}"
        alone = ("--workers", 1, "--slide-timeout", 0) if number % 2 else ()
        process = started("predict", slides, "--model", model, "--out", out, *alone)
        # Names alone: a file may get its final one between the listing and the reading.
        while process.poll() is None and (not out.exists() or len(data_paths(out)) < files):
            time.sleep(0.005)
        time.sleep(float(chance.uniform(0.0, 0.1)))
        process.send_signal(signal.SIGKILL)
        process.communicate()  # until the last of its processes has let go of what it writes to
        for path in out.rglob("*.parquet"):
            if ".partial" not in path.name:
                pq.read_table(path)  # no half file under a final name
        for path in (*out.rglob("*.jpg"), *out.rglob("*.png")):
            if ".partial" not in path.name:
                Image.open(path).load()
        assert predict.run([slides], model, out) == 0
        assert data_files(out) == data_files(expected)


# ---- slides that cannot be read


def without_root_rights() -> None:
    """Root may read every file unless its capabilities to do so are dropped (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="drops root's rights as Linux does")
@pytest.mark.timeout(400)
def test_each_bad_slide_is_named_with_its_stage_and_reason(slides: Path, model: Path, tmp_path: Path) -> None:
    good = (slides / "s0.tif").read_bytes()
    (slides / "truncated.tif").write_bytes(good[: len(good) // 3])
    (slides / "zero.tif").write_bytes(b"")
    (slides / "words.svs").write_text("no slide")
    (slides / "png_inside.tif").write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    make_slide(slides / "glass.tif", 9, cells=0)
    make_slide(slides / "locked.tif", 10).chmod(0)
    table = tmp_path / "slides.csv"
    names = [*(path.name for path in slides.iterdir()), "vanished.tif"]
    rows = [f"{Path(name).stem},slides/{name},0.5" for name in sorted(names)]
    table.write_text("\n".join(["slide_id,path,mpp", *rows]) + "\n")
    out = tmp_path / "results"
    process = started("predict", table, "--model", model, "--out", out, before=without_root_rights)
    code, shown = ended(process)
    assert code == 1
    reasons = {
        row["slide_id"]: row["reason"]
        for row in read_predictions(out / "predictions.csv")
        if row["outcome"] == "failed"
    }
    # Empty glass is a finding, not a failure.
    (glass,) = (row for row in read_predictions(out / "predictions.csv") if row["slide_id"] == "glass")
    assert (glass["outcome"], glass["call"]) == ("done", "inadequate")
    assert set(reasons) == {"truncated", "zero", "words", "locked", "vanished", "png_inside"} - (
        set() if "png_inside" in reasons else {"png_inside"}
    )
    assert "0 bytes" in reasons["zero"]
    assert "nothing there" in reasons["vanished"]
    assert "expected a readable slide file, found: Permission denied" in reasons["locked"]
    doctor = started("doctor", table, before=without_root_rights)
    told, _ = doctor.communicate(timeout=120)
    assert doctor.returncode == 1
    assert "Permission denied" in told
    assert "Failed slides" in shown
    for name in reasons:
        assert name in shown
    assert {row["slide_id"] for row in read_predictions(out / "predictions.csv")} == {
        Path(name).stem for name in names
    }


# ---- no room


def small_files_only() -> None:
    """To the program a file that may not grow looks like a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


@pytest.mark.slow
@POSIX
@pytest.mark.timeout(400)
def test_on_a_full_disk_the_slides_that_fit_are_done(slides: Path, tmp_path: Path) -> None:
    make_slide(slides / "large.tif", 5, cells=3000, side_px=3000)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"tiling": {"side_px": SIDE, "mpp": 0.5, "stride_px": SIDE}}))
    process = started("tile", slides, "--config", config, "--out", tmp_path / "run", before=small_files_only)
    code, shown = ended(process)
    assert code == 1
    outcomes = {
        line.slide_id: (line.outcome, line.reason) for line in ledger.read(tmp_path / "run" / "ledger.jsonl")
    }
    assert {name for name, (outcome, _) in outcomes.items() if outcome == "done"} == {"s0", "s1", "s2"}
    assert "make room, or choose another --out" in outcomes["large"][1]
    assert "large" in shown
    assert [path for path in (tmp_path / "run").rglob("*") if ".partial" in path.name] == []


@POSIX
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_images_that_find_no_room_cost_no_scores(slides: Path, model: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3)).astype(np.uint8)
    noise[100:500, 100:500] = 245
    for x, y in np.random.default_rng(1).integers(140, 460, (30, 2)).tolist():
        cv2.circle(noise, (x, y), 10, (90, 60, 120), -1)
    write_array_pyramid(slides / "noisy.tif", noise, mpp=Mpp.square(0.5))
    roomy, out = tmp_path / "roomy", tmp_path / "results"
    assert predict.run([slides], model, roomy, predict.PredictSettings(runtime="torch")) == 0
    sizes = {name: len(data) for name, data in data_files(roomy).items()}
    largest = sizes.pop("overview/noisy.jpg")
    limit = (largest + max(sizes.values())) // 2
    assert max(sizes.values()) < limit < largest

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    options = ("--model", model, "--out", out, "--runtime", "torch")  # nothing is kept beside the model
    code, shown = ended(started("predict", slides, *options, before=little_room))
    assert code == 1
    (failed,) = (line for line in ledger.read(out / "ledger.jsonl") if line.outcome == "failed")
    assert (failed.stage, failed.slide_id) == ("images", "noisy")
    assert "make room, or choose another --out" in failed.reason
    assert "noisy" in shown.split("Failed slides")[1]
    assert {row["outcome"] for row in read_predictions(out / "predictions.csv")} == {"done"}
    assert not (out / "overview" / "noisy.jpg").exists()
    assert (
        predict.run(
            [slides], model, out, predict.PredictSettings(runtime="torch"), BatchSettings(retry_failed=True)
        )
        == 0
    )
    assert data_files(out) == data_files(roomy)
