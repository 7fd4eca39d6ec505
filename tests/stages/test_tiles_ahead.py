"""Several threads read the tiles of a slide in the order and with the pixels of one."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from inkdot.errors import UnreadableSlideError
from inkdot.pipeline.scoring.infer_tiles import BLOCK_TILES, tiles_ahead
from inkdot.records import SlideEntry, TileSpec
from inkdot.slides import open_slide
from inkdot.storage.hashing import slide_fingerprint
from inkdot.tiling.tile_pixels import read_tiles
from inkdot.units import TilePx


@pytest.fixture
def entry(dotted_slide: Callable[..., Path], tmp_path: Path) -> SlideEntry:
    return SlideEntry("s0", dotted_slide(tmp_path / "s0.tif", seed=0), preparation="thinprep")


def test_threads_change_neither_order_nor_pixels(entry: SlideEntry) -> None:
    with closing(open_slide(entry)) as slide:
        width, height = slide.info.size_l0_px
        spec = TileSpec(TilePx(32), slide.info.mpp.x, TilePx(32))
        count = 5 * BLOCK_TILES + 7
        # Overlapping tiles over the whole slide, so that no two are alike where there is stain.
        xs = [index * 37 % (width - 32) for index in range(count)]
        ys = [index * (height - 32) // count for index in range(count)]
        expected = np.stack(list(read_tiles(slide, spec, xs, ys)))
    assert len(np.unique(expected.reshape(count, -1), axis=0)) > BLOCK_TILES
    table = pa.table({"x_l0_px": xs, "y_l0_px": ys})
    for threads in (1, 3, 50):
        with tiles_ahead(entry, table, spec, None, dct_scaling=True, threads=threads) as pixels:
            found = np.stack(list(pixels))
        np.testing.assert_array_equal(found, expected)
    assert not [one for one in threading.enumerate() if one.name == "prefetch"]


def test_a_slide_that_is_another_file_is_refused_by_every_thread(entry: SlideEntry, tmp_path: Path) -> None:
    table = pa.table({"x_l0_px": [0] * 4 * BLOCK_TILES, "y_l0_px": [0] * 4 * BLOCK_TILES})
    fingerprint = slide_fingerprint(entry.path)
    other = SlideEntry("s0", tmp_path / "other.tif")
    other.path.write_bytes(entry.path.read_bytes()[:-1])
    spec = TileSpec(TilePx(32), 0.5, TilePx(32))
    with (
        pytest.raises(UnreadableSlideError),
        tiles_ahead(other, table, spec, fingerprint, dct_scaling=True, threads=4) as pixels,
    ):
        list(pixels)
