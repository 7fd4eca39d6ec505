"""The cache of training tiles against reading the slide directly."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, TilingConfig, TrainingConfig
from inkdot.datasets.tile_cache import cache_tiles, cached_pixels, labelled_tiles
from inkdot.datasets.trainable_heads import without_heads
from inkdot.errors import UnreadableSlideError
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import Mpp, SlideEntry
from inkdot.slides import open_slide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.tiling.tile_pixels import read_tile

CONFIG = Config(tiling=TilingConfig(side_px=48, mpp=0.7, stride_px=32, min_foreground_fraction=0.01))


@pytest.fixture
def entry(tmp_path: Path) -> SlideEntry:
    rgb = np.full((500, 400, 3), 240, np.uint8)
    for index in range(6):
        cv2.circle(rgb, (60 + 50 * index, 80 + 60 * index), 14, (60 + 10 * index, 50, 140), cv2.FILLED)
    write_array_pyramid(tmp_path / "s.tif", rgb, mpp=Mpp.square(0.5))
    return SlideEntry("s", tmp_path / "s.tif", on_slide={"malignancy": "benign"})


@pytest.fixture
def layout(entry: SlideEntry, tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    tile_slide(entry, CONFIG, layout)
    return layout


def test_cached_pixels_are_those_of_the_slide_in_the_order_of_the_table(entry: SlideEntry, layout: RunLayout):
    assert cache_tiles(entry, CONFIG, layout) == "done"
    table, _ = read_table(layout.tiles("s"), TILES_VERSION)
    pixels = cached_pixels(entry, layout)
    assert len(pixels) == table.num_rows > 5
    with closing(open_slide(entry)) as slide:
        for row, tile in zip(table.to_pylist(), pixels, strict=True):
            np.testing.assert_array_equal(
                tile, read_tile(slide, CONFIG.tiling.spec, row["x_l0_px"], row["y_l0_px"])
            )
    assert isinstance(pixels, np.memmap)


def test_a_valid_cache_is_reused_and_another_is_read_again(entry: SlideEntry, layout: RunLayout):
    cache_tiles(entry, CONFIG, layout)
    assert cache_tiles(entry, CONFIG, layout) == "reused"
    fewer = CONFIG.model_copy(update={"training": TrainingConfig(max_tiles_per_slide=3)})
    assert cache_tiles(entry, fewer, layout) == "done"
    assert len(cached_pixels(entry, layout)) == 3
    chosen = labelled_tiles(entry, fewer, layout)
    assert len(chosen.targets) == 3
    assert chosen.selection.left_out > 0
    layout.cached_tiles_metadata("s").write_text("{")  # damaged
    assert cache_tiles(entry, fewer, layout) == "done"


def test_a_cache_of_all_heads_is_not_taken_for_one_of_fewer(entry: SlideEntry, tmp_path: Path):
    """Rows that only the other head labels are in the one and not in the other."""
    both = SlideEntry("s", entry.path, on_slide={"morphology": "small_cell", "malignancy": "malignant"})
    layout = RunLayout(tmp_path / "heads")
    tile_slide(both, CONFIG, layout)
    table, _ = read_table(layout.tiles("s"), TILES_VERSION)
    assert table.num_rows > 0
    fewer, _ = without_heads(CONFIG, ["morphology"])
    assert cache_tiles(both, CONFIG, layout) == "done"
    assert cache_tiles(both, fewer, layout) == "done"
    assert len(cached_pixels(both, layout)) == len(labelled_tiles(both, fewer, layout).targets)
    assert cache_tiles(both, fewer, layout) == "reused"


def test_a_slide_without_labels_has_an_empty_cache(entry: SlideEntry, tmp_path: Path):
    unlabelled = SlideEntry("s", entry.path)
    layout = RunLayout(tmp_path / "other")
    tile_slide(unlabelled, CONFIG, layout)
    assert cache_tiles(unlabelled, CONFIG, layout) == "done"
    assert cached_pixels(unlabelled, layout).shape == (0, 48, 48, 3)


def test_a_slide_that_fails_leaves_no_partial_cache(entry: SlideEntry, layout: RunLayout):
    entry.path.write_bytes(entry.path.read_bytes()[:1500])
    with pytest.raises(UnreadableSlideError):
        cache_tiles(entry, CONFIG, layout)
    assert not layout.cached_tiles("s").exists()
    assert not list(layout.tile_cache.glob("*"))
