"""A pathologist's verdict on a region becomes a training row, through the files that stages write."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, TilingConfig
from inkdot.datasets.tile_cache import cache_tiles, cached_pixels, labelled_tiles
from inkdot.manifest import read_slides
from inkdot.records import Mpp
from inkdot.review.verdicts.verdict_table import COLUMNS, VERDICTS_VERSION
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.stages import tile
from inkdot.stages.review import import_verdicts as review_import
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION, TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table

GRID = Config(tiling=TilingConfig(side_px=64, mpp=1.0, stride_px=64, min_foreground_fraction=0.001))
SHIFTED = Config(tiling=TilingConfig(side_px=48, mpp=1.0, stride_px=40, min_foreground_fraction=0.001))
CLUSTERS = Config(tiling=TilingConfig(side_px=64, mpp=1.0, stride_px=64, mode="clusters"))
GROUP_UM = [(100.0, 80.0), (112.0, 86.0), (118.0, 74.0)]
LONE_UM = (420.0, 300.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide of 512 x 384 µm with three dark cells together and one alone."""
    rgb = np.full((768, 1024, 3), 242, np.uint8)
    for x, y in [*GROUP_UM, LONE_UM]:
        cv2.circle(rgb, (round(x / 0.5), round(y / 0.5)), 12, (70, 55, 140), cv2.FILLED)
    write_array_pyramid(tmp_path / "S1.tif", rgb, mpp=Mpp.square(0.5), downsamples=(1, 4))
    (tmp_path / "slides.csv").write_text("slide_id,path,patient_id\nS1,S1.tif,P1\n")
    return tmp_path


def save_verdicts(folder: Path, reader: str, regions: dict[str, str]) -> Path:
    """Save malignancy verdicts by region, in the form of the page."""
    path = folder / f"{reader}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for region, verdict in regions.items():
            row = {
                "slide_id": "S1",
                "geometry": region,
                "head": "malignancy",
                "verdict": verdict,
                "reader": reader,
            }
            row |= {"time": "2026-01-01T00:00:00.000Z", "shown": "scores", "rank": "1", "score": "0.5"}
            writer.writerow(row | {"model_sha256": "ab" * 32, "schema": VERDICTS_VERSION})
    return path


def tiled_again(folder: Path, config: Config) -> tuple[RunLayout, Path]:
    """Tile with the imported labels."""
    (folder / "reviewed.csv").write_text(
        "slide_id,path,patient_id,annotation\nS1,S1.tif,P1,labels.csv\n", encoding="utf-8"
    )
    layout = RunLayout(folder / "again")
    assert tile.run(folder / "reviewed.csv", config, layout.root) == 0
    return layout, folder / "reviewed.csv"


def training_rows(layout: RunLayout, manifest: Path, config: Config) -> dict[tuple[int, int], list[float]]:
    """What training sees: the middle of each labelled tile (µm) and its targets, benign and malignant."""
    (entry,) = read_slides(manifest, config.head_records)
    cache_tiles(entry, config, layout)
    tiles = labelled_tiles(entry, config, layout)
    assert len(cached_pixels(entry, layout)) == len(tiles.selection.rows)
    table, _ = read_table(layout.tiles("S1"), TILES_VERSION)
    x, y = (table.column(name).to_numpy()[tiles.selection.rows] for name in ("x_l0_px", "y_l0_px"))
    half = config.tiling.spec.side_um / 2
    middles = [(round(a * 0.5 + half), round(b * 0.5 + half)) for a, b in zip(x, y, strict=True)]
    return dict(zip(middles, tiles.targets[:, :2].tolist(), strict=True))


def test_a_verdict_on_a_tile_trains_it_even_after_another_tiling(folder: Path) -> None:
    layout = RunLayout(folder / "run")
    assert tile.run(folder / "slides.csv", GRID, layout.root) == 0
    table, _ = read_table(layout.tiles("S1"), TILES_VERSION)
    corners = list(zip(table.column("x_l0_px").to_pylist(), table.column("y_l0_px").to_pylist(), strict=True))
    assert (768, 512) in corners
    square = "POLYGON ((768 512, 896 512, 896 640, 768 640, 768 512))"  # the lone cell's tile
    saved = [
        save_verdicts(folder, "dr-a", {square: "malignant"}),
        save_verdicts(folder, "dr-b", {square: "benign"}),
    ]
    review_import.run(saved, folder / "labels.csv")
    same, manifest = tiled_again(folder, GRID)
    assert training_rows(same, manifest, GRID) == {(416, 288): [0.5, 0.5]}  # two readers, one each
    other, manifest = tiled_again(folder, SHIFTED)
    rows = training_rows(other, manifest, SHIFTED)
    assert rows
    assert all(abs(x - 416) < 56 and abs(y - 288) < 56 for x, y in rows)
    assert all(targets == [0.5, 0.5] for targets in rows.values())


def test_a_verdict_on_a_cluster_trains_the_tile_on_it(folder: Path) -> None:
    layout = RunLayout(folder / "run")
    assert tile.run(folder / "slides.csv", CLUSTERS, layout.root) == 0
    clusters, _ = read_table(layout.clusters("S1"), CLUSTERS_VERSION)
    group, lone = clusters.column("geometry").to_pylist()
    saved = save_verdicts(folder, "dr-a", {group: "malignant", lone: "benign"})
    review_import.run([saved], folder / "labels.csv")
    again, manifest = tiled_again(folder, CLUSTERS)
    rows = training_rows(again, manifest, CLUSTERS)
    (group_at,) = [region for region, targets in rows.items() if targets == [0.0, 1.0]]
    (lone_at,) = [region for region, targets in rows.items() if targets == [1.0, 0.0]]
    assert group_at == pytest.approx((109, 80), abs=3)
    assert lone_at == pytest.approx(LONE_UM, abs=3)


def test_a_region_marked_as_missed_trains_the_tile_on_it_through_the_slides_that_import_writes(
    folder: Path,
) -> None:
    x, y = (coordinate / 0.5 for coordinate in LONE_UM)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    corners = [(round(x + 32 * np.cos(angle)), round(y + 32 * np.sin(angle))) for angle in angles]
    circle = ", ".join(f"{a} {b}" for a, b in [*corners, corners[0]])  # a click in the viewer, 32 µm wide
    fixed = {"slide_id": "S1", "reader": "dr-a", "time": "2026-01-01T00:00:00.000Z", "shown": "scores"}
    rows = [
        {"kind": "missed", "geometry": f"POLYGON (({circle}))", "head": "missed", "verdict": "malignant"},
        {"kind": "slide", "head": "category", "verdict": "MAL", "means": "malignant"},
    ]
    with (folder / "verdicts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list[str](COLUMNS), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(fixed | row | {"model_sha256": "ab" * 32, "schema": VERDICTS_VERSION})
    reviewed = folder / "reviewed.csv"
    review_import.run(
        [folder / "verdicts.csv"], folder / "labels.csv", slides=folder / "slides.csv", slides_out=reviewed
    )
    for config in (CLUSTERS, GRID):
        layout = RunLayout(folder / f"again-{config.tiling.mode}")
        assert tile.run(reviewed, config, layout.root) == 0
        (entry,) = read_slides(reviewed, config.head_records)
        assert entry.on_slide == {"malignancy": "malignant"}
        found = training_rows(layout, reviewed, config)
        assert all(targets == [0.0, 1.0] for targets in found.values())
        ((at_x, at_y),) = found
        assert abs(at_x - LONE_UM[0]) < 32
        assert abs(at_y - LONE_UM[1]) < 32
