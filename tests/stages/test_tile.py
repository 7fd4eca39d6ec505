"""The stage as the command line calls it, on small painted slides."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, TilingConfig
from inkdot.errors import ManifestError, UserError
from inkdot.execution.backends import ExecutionSettings
from inkdot.labels import DEFAULT_HEADS
from inkdot.manifest import read_slides
from inkdot.pipeline.batch_settings import BatchSettings, SlideOverrides
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import tile
from inkdot.storage import ledger
from inkdot.storage.layout import RunLayout
from inkdot.storage.locking import locked
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer, read_table

CONFIG = Config(tiling=TilingConfig(side_px=64, mpp=1.0, stride_px=32, min_foreground_fraction=0.005))


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two good slides of 300 µm, a truncated one, and one without mpp; labels for the first."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for index, name in enumerate(("good_a", "good_b", "no_mpp")):
        rgb = np.full((600, 600, 3), 242, np.uint8)
        cv2.circle(rgb, (200 + 40 * index, 300), 14, (70, 55, 140), cv2.FILLED)
        cv2.circle(rgb, (450, 450), 14, (70, 55, 140), cv2.FILLED)
        write_array_pyramid(folder / f"{name}.tif", rgb, mpp=None if name == "no_mpp" else Mpp.square(0.5))
    (folder / "bad.tif").write_bytes((folder / "good_a.tif").read_bytes()[:3000])
    (folder / "labels.csv").write_text(
        "slide_id,geometry,head,label,reader,source\n"
        'good_a,"POLYGON ((180 280, 220 280, 220 320, 180 320, 180 280))",malignancy,malignant,r1,annotation\n'
        'good_a,"POLYGON ((430 430, 470 430, 470 470, 430 470, 430 430))",malignancy,benign,r1,annotation\n'
    )
    (folder / "slides.csv").write_text(
        "slide_id,path,annotation,malignancy\n"
        "good_b,good_b.tif,,benign\n"
        "bad,bad.tif,,\n"
        "no_mpp,no_mpp.tif,,\n"
        "good_a,good_a.tif,labels.csv,malignant\n"
    )
    return folder / "slides.csv"


def outcomes(layout: RunLayout) -> list[tuple[str, str]]:
    return [(line.slide_id, line.outcome) for line in ledger.read(layout.ledger)]


def data_files(root: Path) -> dict[str, bytes]:
    """Every file but the ledger, which holds time stamps, and the lock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in {"ledger.jsonl", ".inkdot.lock"}
    }


def test_bad_slides_fail_alone_and_by_name(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = RunLayout(tmp_path / "run")
    assert tile.run(cohort, CONFIG, layout.root, BatchSettings(execution=ExecutionSettings(workers=2))) == 1
    assert sorted(outcomes(layout)) == [
        ("bad", "failed"),
        ("good_a", "done"),
        ("good_b", "done"),
        ("no_mpp", "failed"),
    ]
    assert sorted(path.stem for path in (layout.root / "tiles").iterdir()) == ["good_a", "good_b"]
    said = capsys.readouterr().err
    assert "2 done, 2 failed" in said
    assert "no_mpp" in said
    assert "--mpp" in said


def test_the_run_folder_says_what_was_used(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    tile.run(cohort, CONFIG, layout.root)
    assert Config.model_validate_json(layout.config_json.read_text()) == CONFIG
    listed = read_slides(layout.slides_csv, DEFAULT_HEADS)
    assert [entry.slide_id for entry in listed] == ["bad", "good_a", "good_b", "no_mpp"]
    assert all(entry.path.exists() for entry in listed)


def test_labels_and_slide_labels_become_targets(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    tile.run(cohort, CONFIG, layout.root)
    columns = read_table(layout.tiles("good_a"), TILES_VERSION)[0].to_pydict()
    by_region = dict(
        zip(
            zip(columns["x_l0_px"], columns["y_l0_px"], strict=True),
            columns["target.malignancy.malignant"],
            strict=True,
        )
    )
    assert by_region[128, 256] == 1.0  # holds the malignant region
    assert by_region[384, 384] == 0.0  # holds the benign one
    good_b = read_table(layout.tiles("good_b"), TILES_VERSION)[0].to_pydict()
    assert set(good_b["target.malignancy.malignant"]) == {0.0}


def test_a_second_run_reuses_what_is_done_and_tries_the_rest_again(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    tile.run(cohort, CONFIG, layout.root)
    before = data_files(layout.root)
    assert tile.run(cohort, CONFIG, layout.root) == 1
    assert sorted(outcomes(layout)[4:]) == [
        ("bad", "failed"),
        ("good_a", "reused"),
        ("good_b", "reused"),
        ("no_mpp", "failed"),
    ]
    assert data_files(layout.root) == before


def test_a_changed_config_tiles_again(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    tile.run(cohort, CONFIG, layout.root)
    wider = CONFIG.model_copy(update={"tiling": CONFIG.tiling.model_copy(update={"stride_px": 64})})
    tile.run(cohort, wider, layout.root)
    assert ("good_a", "done") in outcomes(layout)[4:]
    assert read_footer(layout.tiles("good_a"), TILES_VERSION)["tile_spec"] == {
        "side_px": 64,
        "mpp": 1.0,
        "stride_px": 64,
    }


@pytest.mark.slow
def test_twice_the_same_bytes_whatever_the_number_of_processes(cohort: Path, tmp_path: Path):
    tile.run(cohort, CONFIG, tmp_path / "first", BatchSettings(execution=ExecutionSettings(workers=1)))
    tile.run(cohort, CONFIG, tmp_path / "second", BatchSettings(execution=ExecutionSettings(workers=3)))
    first, second = data_files(tmp_path / "first"), data_files(tmp_path / "second")
    assert set(first) == {
        "assessment.csv",
        "config.json",
        "slides.csv",
        "masks/good_a.png",
        "masks/good_b.png",
        "tiles/good_a.parquet",
        "tiles/good_b.parquet",
    }
    assert first == second


def test_overrides_hold_for_every_slide(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    tile.run(
        cohort,
        CONFIG,
        layout.root,
        BatchSettings(overrides=SlideOverrides(mpp=0.4, stain="pap", preparation="cytospin")),
    )
    assert ("no_mpp", "done") in outcomes(layout)
    slide = read_footer(layout.tiles("good_a"), TILES_VERSION)["slide"]
    assert isinstance(slide, dict)
    assert (slide["mpp_x"], slide["mpp_source"]) == (0.4, "manifest")
    listed = read_slides(layout.slides_csv, DEFAULT_HEADS)
    assert {(entry.stain, entry.preparation, entry.mpp) for entry in listed} == {
        ("pap", "cytospin", Mpp.square(0.4))
    }


def test_one_slide_and_a_folder_will_do(cohort: Path, tmp_path: Path):
    (cohort.parent / "bad.tif").unlink()
    (cohort.parent / "no_mpp.tif").unlink()
    cohort.unlink()  # a folder is read by its slides.csv where it has one
    assert tile.run(cohort.parent / "good_a.tif", CONFIG, tmp_path / "one") == 0
    assert tile.run(cohort.parent, CONFIG, tmp_path / "all") == 0
    assert (tmp_path / "all" / "tiles" / "good_b.parquet").exists()


def test_a_wrong_labels_table_is_refused_before_any_slide_is_touched(cohort: Path, tmp_path: Path):
    labels = cohort.parent / "labels.csv"
    labels.write_text(labels.read_text().replace("benign", "bening"))
    with pytest.raises(ManifestError, match=r"labels\.csv: line 3: column label.*bening"):
        tile.run(cohort, CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_no_slide_uses_are_mentioned(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    labels = cohort.parent / "labels.csv"
    labels.write_text(
        labels.read_text() + labels.read_text().splitlines()[1].replace("good_a", "good_z") + "\n"
    )
    tile.run(cohort, CONFIG, tmp_path / "run")
    assert "1 rows name slides" in capsys.readouterr().err


def test_a_folder_in_use_is_refused(cohort: Path, tmp_path: Path):
    layout = RunLayout(tmp_path / "run")
    with locked(layout.lock), pytest.raises(UserError, match="another inkdot"):
        tile.run(cohort, CONFIG, layout.root)
    assert not layout.config_json.exists()


def test_the_config_is_json_a_person_can_read(cohort: Path, tmp_path: Path):
    tile.run(cohort, CONFIG, tmp_path / "run")
    text = (tmp_path / "run" / "config.json").read_text()
    assert json.loads(text)["tiling"]["side_px"] == 64
    assert text.count("\n") > 20
