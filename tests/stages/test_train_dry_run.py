"""`train --dry-run` says what the run then does, and writes nothing."""

from pathlib import Path

import numpy as np
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.errors import UserError
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import tile, train
from inkdot.storage.layout import RunLayout


def config(**training: object) -> Config:
    return config_from_mapping(
        {
            "tiling": {
                "side_px": 32,
                "mpp": 1.0,
                "stride_px": 32,
                "mode": "grid",
                "min_foreground_fraction": 0.01,
            },
            "heads": [
                {
                    "name": "malignancy",
                    "classes": ["benign", "malignant"],
                    "flag_class": "malignant",
                }
            ],
            "model": {"backbone": "test_efficientnet"},
            "images": {"mpp_of_all": "unknown"},
            "training": {"epochs": 2, "batch_size": 4, "accelerator": "cpu", **training},
        }
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    lines = ["path,malignancy,patient_id"]
    for index in range(24):
        rgb = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        (folder / f"{index}.png").write_bytes(cv2.imencode(".png", rgb)[1].tobytes())
        lines.append(f"{index}.png,{('benign', 'malignant')[index % 2]},p{index // 2 * 2 + index % 2}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder / "images.csv"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_of_images_it_names_the_split_the_disk_and_the_steps_of_the_real_run(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert train.run_images(config(), images, tmp_path / "run", dry_run=True) == 0
    planned = said(capsys)
    assert not (tmp_path / "run").exists()
    assert train.run_images(config(), images, tmp_path / "run") == 0
    done = said(capsys)
    for line in ("Training: 18 images of 18 groups.", "Validation: 6 images of 6 groups."):
        assert line in planned
        assert line in done
    # 18 tiles in batches of 4, rounded: 4 steps an epoch.
    assert "Steps: 8 of 4 tiles in 2 epochs." in planned
    assert "Disk: about 74 kB" in planned  # 24 × 32 × 32 × 3 bytes
    assert RunLayout(tmp_path / "run").cached_images.stat().st_size == pytest.approx(73_728, abs=200)


def test_the_steps_of_rare_labels_are_those_of_the_real_run(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("inkdot.datasets.tile_sampler.SHORTEST_EPOCH", 4)
    rows = images.read_text().splitlines()
    rare = [
        row if index % 4 == 1 else row.replace(",malignant,", ",benign,")
        for index, row in enumerate(rows, -1)
    ]
    images.write_text("\n".join(rare) + "\n")
    own = config(rare_class_draws=1.0)
    assert train.run_images(own, images, tmp_path / "run", dry_run=True) == 0
    planned = said(capsys)
    assert train.run_images(own, images, tmp_path / "run") == 0
    done = said(capsys)
    assert (
        "An epoch draws 8 tiles from 18, those of the rarest class 1 times each; in 2 epochs 2 times." in done
    )
    assert "Steps: 4 of 4 tiles in 2 epochs." in planned
    assert " 4/4 " in done


def test_of_a_cross_validation_it_names_every_fold(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert train.run_images(config(), images, tmp_path / "run", folds=3, dry_run=True) == 0
    planned = said(capsys)
    assert "Fold 3 of 3:" in planned
    assert planned.count("Test: 8 images of 8 groups.") == 3
    assert "Steps: 3 times" in planned
    assert not (tmp_path / "run").exists()


def test_a_calibration_fold_without_a_class_is_refused_before_training(images: Path, tmp_path: Path):
    header, *rows = images.read_text().splitlines()
    # Two malignant groups: enough to train and validate one model, not without one of them.
    rows = [row if index < 4 else row.replace(",malignant,", ",benign,") for index, row in enumerate(rows)]
    images.write_text("\n".join([header, *rows]) + "\n")
    assert train.run_images(config(), images, tmp_path / "run", dry_run=True) == 0
    with pytest.raises(
        UserError, match=r"^calibration fold 1 of 2: .* or set training.calibration_folds to 0$"
    ):
        train.run_images(config(calibration_folds=2), images, tmp_path / "run", dry_run=True)


def test_a_image_that_is_missing_is_named(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (images.parent / "3.png").unlink()
    assert train.run_images(config(), images, tmp_path / "run", dry_run=True) == 1
    assert "fail: 3.png cannot be read" in said(capsys)


def test_what_makes_no_model_is_said_now(images: Path, tmp_path: Path):
    images.write_text(images.read_text().replace(",malignant,", ",benign,"))
    with pytest.raises(UserError, match="0 with malignant"):
        train.run_images(config(), images, tmp_path / "run", dry_run=True)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    lines = ["slide_id,path,patient_id,malignancy"]
    for index in range(8):
        rgb = np.full((256, 256, 3), 242, np.uint8)
        rgb[64:192, 64:192] = np.random.default_rng(index).integers(40, 160, (128, 128, 3), dtype=np.uint8)
        write_array_pyramid(folder / f"s{index}.tif", rgb, mpp=Mpp.square(0.5))
        lines.append(f"s{index},s{index}.tif,p{index // 2},{('benign', 'malignant')[index // 2 % 2]}")
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    return folder / "slides.csv"


def test_of_slides_not_tiled_it_bounds_and_says_so(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert train.run(config(), slides, tmp_path / "run", dry_run=True) == 0
    planned = said(capsys)
    assert "8 of 8 slides are not tiled yet, so tiles and split are estimates." in planned
    # 128 µm of 32 µm tiles and a started one: 5 × 5 of each slide at most.
    assert "At most 200 labelled tiles" in planned
    assert "For training: about 4 slides of 2 patients." in planned
    assert "For validation: about 4 slides of 2 patients." in planned
    assert not (tmp_path / "run").exists()


def test_a_slide_that_cannot_be_opened_is_in_the_table_and_in_the_exit_code(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (slides.parent / "s5.tif").write_bytes(b"no slide")
    assert train.run(config(), slides, tmp_path / "run", dry_run=True) == 1
    assert "8 slides, 1 would fail" in said(capsys)
    assert not (tmp_path / "run").exists()


def test_of_tiled_slides_without_labelled_tiles_it_says_what_training_would_say(slides: Path, tmp_path: Path):
    assert tile.run(slides, config(), tmp_path / "run") == 0
    before = sorted(path for path in (tmp_path / "run").rglob("*"))
    alone = config(mil={"use": "never"})
    with pytest.raises(UserError, match="0 with malignant"):
        train.run(alone, slides, tmp_path / "run", dry_run=True)
    assert sorted(path for path in (tmp_path / "run").rglob("*")) == before
