"""What people drew in other programs becomes targets of tiles; a damaged file costs its own slide only."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from inkdot.config import Config, config_from_mapping
from inkdot.records import Mpp
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages.tile import run
from inkdot.storage.layout import RunLayout
from inkdot.storage.ledger import read as read_ledger

SIDE = 64


@pytest.fixture
def config() -> Config:
    return config_from_mapping(
        {
            "tiling": {"mode": "grid", "side_px": SIDE, "mpp": 0.5, "stride_px": SIDE},
            "annotations": {"classes": {"Tumor": {"malignancy": "malignant", "morphology": "large_cell"}}},
        }
    )


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    image = np.full((512, 512, 3), 245, np.uint8)
    image[64:448, 64:448] = (90, 60, 150)
    image[64:448:8, 64:448] = (150, 90, 170)  # texture: solid areas are dropped as print
    for name in ("good", "bad"):
        write_array_pyramid(tmp_path / f"{name}.tif", image, mpp=Mpp.square(0.5))
    ring = [[128, 128], [256, 128], [256, 256], [128, 256], [128, 128]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    (tmp_path / "good.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    (tmp_path / "bad.geojson").write_text('{"type": "FeatureCollection", "features": [')
    table = tmp_path / "slides.csv"
    table.write_text("slide_id,path,annotation\ngood,good.tif,good.geojson\nbad,bad.tif,bad.geojson\n")
    return table


def test_drawn_regions_become_targets(cohort: Path, config: Config, tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    assert run(cohort, config, layout.root) == 1
    table = pq.read_table(layout.tiles("good"), partitioning=None)
    inside = [
        x >= 128 and x + SIDE <= 256 and y >= 128 and y + SIDE <= 256
        for x, y in zip(table["x_l0_px"].to_pylist(), table["y_l0_px"].to_pylist(), strict=True)
    ]
    assert sum(inside) == 4
    assert [value == 1.0 for value in table["target.malignancy.malignant"].to_pylist()] == inside
    assert [value == 1.0 for value in table["target.morphology.large_cell"].to_pylist()] == inside


def test_a_damaged_file_costs_its_own_slide_only(cohort: Path, config: Config, tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    run(cohort, config, layout.root)
    lines = {line.slide_id: line for line in read_ledger(layout.ledger)}
    assert lines["good"].outcome == "done"
    assert lines["bad"].outcome == "failed"
    assert "bad.geojson" in lines["bad"].reason
    assert not layout.tiles("bad").exists()


def test_another_label_is_another_table(cohort: Path, config: Config, tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    run(cohort, config, layout.root)
    changed = config.model_dump(mode="json")
    changed["annotations"]["classes"]["Tumor"]["morphology"] = "small_cell"
    run(cohort, config_from_mapping(changed), layout.root)
    table = pq.read_table(layout.tiles("good"), partitioning=None)
    assert sum(value == 1.0 for value in table["target.morphology.small_cell"].to_pylist()) == 4
