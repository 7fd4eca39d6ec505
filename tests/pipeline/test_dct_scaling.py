"""The config's word on shrinking while decoding reaches the reader."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkdot.config import Config, TilingConfig
from inkdot.datasets.tile_cache import cache_tiles, cached_pixels
from inkdot.pipeline.tile_slide import tile_slide
from inkdot.records import Mpp, SlideEntry
from inkdot.slides.openslide_backend import OpenSlideSlide
from inkdot.slides.pyramid import write_array_pyramid
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import TILES_VERSION
from inkdot.storage.tables.parquet_tables import read_table
from inkdot.tiling.tile_pixels import read_tile


@pytest.mark.parametrize("dct_scaling", [True, False])
def test_training_tiles_are_shrunk_as_the_config_says(tmp_path: Path, dct_scaling: bool) -> None:
    rgb = np.random.default_rng(2).integers(225, 246, (600, 600, 3), dtype=np.uint8)
    for index in range(6):
        cv2.circle(rgb, (80 + 80 * index, 90 + 70 * index), 25, (60 + 10 * index, 50, 140), cv2.FILLED)
    write_array_pyramid(tmp_path / "s.tif", rgb, mpp=Mpp.square(0.25), downsamples=(1, 4), quality=80)
    entry = SlideEntry("s", tmp_path / "s.tif", on_slide={"malignancy": "benign"})
    tiling = TilingConfig(
        side_px=48, mpp=0.5, stride_px=48, min_foreground_fraction=0.01, dct_scaling=dct_scaling
    )
    config, layout = Config(tiling=tiling), RunLayout(tmp_path / "run")
    tile_slide(entry, config, layout)
    cache_tiles(entry, config, layout)
    table, _ = read_table(layout.tiles("s"), TILES_VERSION)
    with closing(OpenSlideSlide(entry)) as slide:
        every_pixel = [
            read_tile(slide, tiling.spec, row["x_l0_px"], row["y_l0_px"]) for row in table.to_pylist()
        ]
    assert len(every_pixel) > 4
    assert np.array_equal(np.array(every_pixel), cached_pixels(entry, layout)) is not dct_scaling
