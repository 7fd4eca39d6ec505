import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from fixtures.red_cell_slides import red_cell_pixels

from inkdot.config import Config, LabellingConfig, TilingConfig
from inkdot.errors import ImplausibleMppError, MissingMppError, ResolutionError, UnreadableSlideError
from inkdot.pipeline.tile_slide import TileTask, tile_slide
from inkdot.records import Mpp, SlideEntry
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION, TILES_VERSION
from inkdot.storage.tables.labels_table import RegionLabel, write_labels
from inkdot.storage.tables.parquet_tables import read_table

CONFIG = Config(tiling=TilingConfig(side_px=64, mpp=1.0, stride_px=64, min_foreground_fraction=0.001))
MPP = Mpp.square(0.5)
CELLS_UM = [(100.0, 80.0), (420.0, 300.0)]


def paint(path: Path, cells_um: list[tuple[float, float]] = CELLS_UM, mpp: Mpp | None = MPP) -> Path:
    """A slide of 512 x 384 µm with round dark cells of 12 µm."""
    rgb = np.full((768, 1024, 3), 242, np.uint8)
    for x, y in cells_um:
        cv2.circle(rgb, (round(x / 0.5), round(y / 0.5)), 12, (70, 55, 140), cv2.FILLED)
    write_array_pyramid(path, rgb, mpp=mpp, downsamples=(1, 4))
    return path


@pytest.fixture
def entry(tmp_path: Path) -> SlideEntry:
    return SlideEntry("one", paint(tmp_path / "one.tif"))


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "run")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_table_holds_the_tiles_with_cells_and_says_what_it_was_made_from(
    entry: SlideEntry, layout: RunLayout
):
    assert tile_slide(entry, CONFIG, layout) == "done"
    table, facts = read_table(layout.tiles("one"), TILES_VERSION)
    # 64 µm tiles are 128 level-0 px; the cells are in columns 1 and 6, rows 1 and 4.
    regions = set(zip(table.column("x_l0_px").to_pylist(), table.column("y_l0_px").to_pylist(), strict=True))
    assert regions == {(128, 128), (768, 512)}
    assert facts["tile_spec"] == {"side_px": 64, "mpp": 1.0, "stride_px": 64}
    slide = facts["slide"]
    assert isinstance(slide, dict)
    assert (slide["slide_id"], slide["mpp_x"], slide["mpp_source"]) == ("one", 0.5, "metadata")
    assert {"tiling_sha256", "slide_fingerprint", "labels_sha256"} <= set(facts)
    assert layout.mask("one").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_reuses_and_writes_nothing(entry: SlideEntry, layout: RunLayout):
    tile_slide(entry, CONFIG, layout)
    before = layout.tiles("one").stat().st_mtime_ns
    assert tile_slide(entry, CONFIG, layout) == "reused"
    assert layout.tiles("one").stat().st_mtime_ns == before


def with_label(entry: SlideEntry, label: str, reader: str = "r1") -> SlideEntry:
    path = entry.path.parent / "labels.csv"
    cell = shapely.box(180, 140, 220, 180)
    other = RegionLabel("two", shapely.box(0, 0, 9, 9), "malignancy", "malignant", "r1", "annotation")
    write_labels(path, [RegionLabel("one", cell, "malignancy", label, reader, "annotation"), other])
    return replace(entry, annotation=path)


def changes() -> dict[str, Callable[[SlideEntry, Config, RunLayout], tuple[SlideEntry, Config]]]:
    def repaint(entry: SlideEntry, config: Config, layout: RunLayout) -> tuple[SlideEntry, Config]:
        paint(entry.path, [*CELLS_UM, (250.0, 200.0)])
        return entry, config

    def damage(entry: SlideEntry, config: Config, layout: RunLayout) -> tuple[SlideEntry, Config]:
        layout.tiles("one").write_bytes(layout.tiles("one").read_bytes()[:-20])
        return entry, config

    def lose_mask(entry: SlideEntry, config: Config, layout: RunLayout) -> tuple[SlideEntry, Config]:
        layout.mask("one").unlink()
        return entry, config

    tiling = CONFIG.tiling.model_copy(update={"stride_px": 32})
    return {
        "the slide file": repaint,
        "the tiling": lambda entry, config, _: (entry, config.model_copy(update={"tiling": tiling})),
        "the labelling": lambda entry, config, _: (
            entry,
            config.model_copy(update={"labelling": LabellingConfig(min_region_fraction=0.6)}),
        ),
        "the heads": lambda entry, config, _: (entry, config.model_copy(update={"heads": config.heads[:1]})),
        "a label": lambda entry, config, _: (with_label(entry, "malignant"), config),
        "an label about the slide": lambda entry, config, _: (
            replace(entry, on_slide={"malignancy": "benign"}),
            config,
        ),
        "the stated mpp": lambda entry, config, _: (replace(entry, mpp=Mpp.square(0.4)), config),
        "a damaged table": damage,
        "a missing image": lose_mask,
    }


@pytest.mark.parametrize("what", changes())
def test_it_is_done_again_when_it_no_longer_fits(entry: SlideEntry, layout: RunLayout, what: str):
    tile_slide(entry, CONFIG, layout)
    assert tile_slide(*changes()[what](entry, CONFIG, layout), layout) == "done"


def test_changed_labels_about_other_slides_change_nothing(entry: SlideEntry, layout: RunLayout):
    labelled = with_label(entry, "malignant")
    tile_slide(labelled, CONFIG, layout)
    assert labelled.annotation is not None
    text = labelled.annotation.read_text().replace("(9 0, 9 9, 0 9, 0 0, 9 0)", "(8 0, 8 8, 0 8, 0 0, 8 0)")
    labelled.annotation.write_text(text)
    assert "(8 0" in text
    assert tile_slide(labelled, CONFIG, layout) == "reused"
    assert tile_slide(with_label(entry, "malignant", reader="r2"), CONFIG, layout) == "done"


def test_labels_and_slide_labels_reach_the_table(entry: SlideEntry, layout: RunLayout):
    labelled = replace(
        with_label(entry, "malignant"), on_slide={"malignancy": "malignant", "morphology": "large_cell"}
    )
    tile_slide(labelled, CONFIG, layout)
    table, _ = read_table(layout.tiles("one"), TILES_VERSION)
    assert table.column("target.malignancy.malignant").to_pylist() == [1.0, None]
    assert table.column("target.morphology.large_cell").to_pylist() == [1.0, None]


def test_the_same_slide_gives_the_same_bytes(entry: SlideEntry, tmp_path: Path):
    first, second = RunLayout(tmp_path / "first"), RunLayout(tmp_path / "second")
    for layout in (first, second):
        tile_slide(with_label(entry, "malignant"), CONFIG, layout)
    assert digest(first.tiles("one")) == digest(second.tiles("one"))
    assert digest(first.mask("one")) == digest(second.mask("one"))


def test_a_slide_that_turned_bad_leaves_no_table_behind(entry: SlideEntry, layout: RunLayout):
    tile_slide(entry, CONFIG, layout)
    entry.path.write_bytes(b"no slide")
    with pytest.raises(UnreadableSlideError):
        tile_slide(entry, CONFIG, layout)
    assert not layout.tiles("one").exists()
    entry.path.unlink()
    with pytest.raises(UnreadableSlideError, match="nothing there"):
        tile_slide(entry, CONFIG, layout)


@pytest.mark.parametrize(
    ("preparation", "why"), [("section", "no tissue was found"), ("thinprep", "no nucleated cell was found")]
)
def test_an_empty_slide_cut_by_a_grid_is_inadequate(
    tmp_path: Path, layout: RunLayout, preparation: str, why: str
):
    empty = SlideEntry("empty", paint(tmp_path / "empty.tif", []))
    tile_slide(empty, CONFIG.model_copy(update={"preparation": preparation}), layout)
    table, facts = read_table(layout.tiles("empty"), TILES_VERSION)
    assert table.num_rows == 0
    assert facts["assessment"]["adequate"] is False
    assert facts["assessment"]["why"].startswith(why)
    (warning,) = facts["slide"]["warnings"]
    assert "besides empty glass the slide shows nothing" in warning


def test_slides_that_cannot_be_tiled_say_why(tmp_path: Path, layout: RunLayout):
    no_mpp = SlideEntry("no_mpp", paint(tmp_path / "no_mpp.tif", mpp=None))
    with pytest.raises(MissingMppError, match="--mpp"):
        tile_slide(no_mpp, CONFIG, layout)
    assert tile_slide(replace(no_mpp, mpp=Mpp.square(0.5)), CONFIG, layout) == "done"
    fine = CONFIG.model_copy(update={"tiling": TilingConfig(mpp=0.25)})
    with pytest.raises(ResolutionError):
        tile_slide(replace(no_mpp, mpp=Mpp.square(0.5)), fine, layout)


def test_a_refused_slide_is_offered_the_scale_of_its_red_cells_and_not_given_it(
    tmp_path: Path, layout: RunLayout
):
    path = tmp_path / "one.tif"
    write_array_pyramid(path, red_cell_pixels(0.5), mpp=None, downsamples=(1, 4))
    with pytest.raises(
        MissingMppError,
        match=r"--mpp where a command has it; \d+ red cells .* suggest about 0\.(4[89]|5|5[01]) µm/px .*not used",
    ):
        tile_slide(SlideEntry("one", path), CONFIG, layout)
    assert not layout.tiles("one").exists()
    with pytest.raises(MissingMppError, match="no estimate from red cells: red cells of sections are cut"):
        tile_slide(SlideEntry("one", path, preparation="section"), CONFIG, layout)
    write_array_pyramid(path, red_cell_pixels(0.5), mpp=Mpp.square(20.0), downsamples=(1, 4))
    with pytest.raises(
        ImplausibleMppError, match=r"found 20 x 20; .* suggest about 0\.(4[89]|5|5[01]) µm/px"
    ):
        tile_slide(SlideEntry("one", path), CONFIG, layout)


def test_a_scale_that_red_cells_contradict_is_a_warning_of_the_slide(tmp_path: Path, layout: RunLayout):
    path = tmp_path / "one.tif"
    write_array_pyramid(path, red_cell_pixels(0.5), mpp=Mpp.square(1.0), downsamples=(1, 4))
    config = CONFIG.model_copy(update={"preparation": "cytospin"})
    tile_slide(SlideEntry("one", path), config, layout)
    _, facts = read_table(layout.tiles("one"), TILES_VERSION)
    slide = facts["slide"]
    assert isinstance(slide, dict)
    assert [
        text
        for text in slide["warnings"]
        if text.startswith(("red cells measure 14.", "red cells measure 15."))
    ]
    tile_slide(SlideEntry("one", path, mpp=Mpp.square(0.5)), config, layout)
    _, facts = read_table(layout.tiles("one"), TILES_VERSION)
    assert "red cells" not in str(facts["slide"])


def test_a_slide_too_coarse_by_a_wrong_scale_is_told_of_its_red_cells_before_a_rescan(
    tmp_path: Path, layout: RunLayout
):
    path = tmp_path / "one.tif"
    write_array_pyramid(path, red_cell_pixels(0.5), mpp=Mpp.square(2.0), downsamples=(1, 4))
    with pytest.raises(
        ResolutionError,
        match=r"^red cells measure (29|30|31)\..* would fit\), or .* at most 1\.250 .* rescan",
    ):
        tile_slide(SlideEntry("one", path), CONFIG, layout)
    # At a scale that the red cells confirm, a finer scan is what helps.
    fine = CONFIG.model_copy(update={"tiling": TilingConfig(mpp=0.25)})
    with pytest.raises(ResolutionError, match=r"^expected a slide of at most 0\.3"):
        tile_slide(SlideEntry("one", path, mpp=Mpp.square(0.5)), fine, layout)


def test_no_spot_is_searched_for_on_a_slide_that_is_listed_as_a_smear(entry: SlideEntry, layout: RunLayout):
    smear = replace(entry, preparation="smear")
    assert [tile_slide(one, CONFIG, layout) for one in (smear, smear)] == ["done", "reused"]
    assert read_table(layout.tiles("one"), TILES_VERSION)[1]["with_spot"] is False
    assert tile_slide(replace(smear, preparation="cytospin"), CONFIG, layout) == "done"
    assert read_table(layout.tiles("one"), TILES_VERSION)[1]["with_spot"] is True


def test_the_task_for_the_engine_does_the_same(entry: SlideEntry, layout: RunLayout):
    assert TileTask(CONFIG, layout)(entry) == "done"
    assert tile_slide(entry, CONFIG, layout) == "reused"


CLUSTERS = CONFIG.model_copy(
    update={"tiling": TilingConfig(side_px=64, mpp=1.0, stride_px=64, mode="clusters")}
)


def test_tiles_on_clusters_come_with_a_table_and_counts(entry: SlideEntry, layout: RunLayout):
    paint(entry.path, [*CELLS_UM, (112.0, 86.0), (118.0, 74.0)])
    assert tile_slide(entry, CLUSTERS, layout) == "done"
    tiles, facts = read_table(layout.tiles("one"), TILES_VERSION)
    clusters, cluster_facts = read_table(layout.clusters("one"), CLUSTERS_VERSION)
    assert clusters.column("nuclei").to_pylist() == [3, 1]
    assert clusters.column("tile_rows").to_pylist() == [[0], [1]]
    assert tiles.column("cluster_id").to_pylist() == [0, 1]
    assert tiles.column("edge_um").to_pylist() == clusters.column("edge_um").to_pylist()
    # The first tile's middle is the cluster's: x from 94 to 124 µm, y from 68 to 92.
    corner = tiles.column("x_l0_px")[0].as_py() * 0.5, tiles.column("y_l0_px")[0].as_py() * 0.5
    assert corner == pytest.approx((109 - 32, 80 - 32), abs=1.5)
    counted = facts["object_counts"]
    assert isinstance(counted, dict)
    assert (counted["nuclei"], counted["clusters"]) == (4, 2)
    assert counted["assessable_mm2"] == pytest.approx(0.512 * 0.384, rel=0.02)
    assert cluster_facts["slide_fingerprint"] == facts["slide_fingerprint"]


def test_clusters_are_reused_made_again_when_lost_and_removed_with_the_mode(
    entry: SlideEntry, layout: RunLayout
):
    tile_slide(entry, CLUSTERS, layout)
    assert tile_slide(entry, CLUSTERS, layout) == "reused"
    layout.clusters("one").unlink()
    assert tile_slide(entry, CLUSTERS, layout) == "done"
    assert layout.clusters("one").exists()
    assert tile_slide(entry, CONFIG, layout) == "done"
    assert not layout.clusters("one").exists()


def test_a_spent_budget_is_a_warning_of_the_slide(entry: SlideEntry, layout: RunLayout):
    tiling = CLUSTERS.tiling.model_copy(update={"max_tiles": 1})
    tile_slide(entry, CLUSTERS.model_copy(update={"tiling": tiling}), layout)
    tiles, facts = read_table(layout.tiles("one"), TILES_VERSION)
    assert tiles.num_rows == 1
    slide = facts["slide"]
    assert isinstance(slide, dict)
    assert slide["warnings"] == [
        "1 of 2 clusters and lone cells were not looked at: 1 beyond tiling.max_tiles (1)"
    ]


def test_clusters_twice_give_the_same_bytes(entry: SlideEntry, tmp_path: Path):
    first, second = RunLayout(tmp_path / "first"), RunLayout(tmp_path / "second")
    for layout in (first, second):
        tile_slide(entry, CLUSTERS, layout)
    assert digest(first.clusters("one")) == digest(second.clusters("one"))
    assert digest(first.tiles("one")) == digest(second.tiles("one"))


def test_a_slide_of_nothing_but_red_cells_is_inadequate_and_no_failure(tmp_path: Path, layout: RunLayout):
    rgb = np.full((600, 600, 3), 242, np.uint8)
    cv2.circle(rgb, (300, 300), 9, (228, 180, 150), cv2.FILLED)
    write_array_pyramid(tmp_path / "red.tif", rgb, mpp=MPP, downsamples=(1, 4))
    tile_slide(SlideEntry("red", tmp_path / "red.tif"), CLUSTERS, layout)
    table, facts = read_table(layout.tiles("red"), TILES_VERSION)
    assert table.num_rows == 0
    assert (facts["assessment"]["adequate"], facts["assessment"]["why"]) == (
        False,
        "no nucleated cell was found",
    )
    assert read_table(layout.clusters("red"), CLUSTERS_VERSION)[0].num_rows == 0
    assert layout.mask("red").exists()
