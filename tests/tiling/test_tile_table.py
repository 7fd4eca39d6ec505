import numpy as np
import pyarrow as pa
import pytest

from inkdot.geometry import grid_positions
from inkdot.labels import DEFAULT_HEADS, target_columns
from inkdot.records import TileSpec
from inkdot.slides.array_slide import ArraySlide
from inkdot.storage.schemas import tiles_schema
from inkdot.tiling.foreground.find_foreground import Foreground, ForegroundClass
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.tile_table import cut_tiles, empty_slide_message, with_targets

SPEC = TileSpec(32, 0.5, 16)
SLIDE = ArraySlide(np.zeros((200, 300, 3), np.uint8), 0.25)
GLASS = Glass((243.0, 243.0, 243.0), 0.01, found=True)


def foreground(*kept: tuple[int, int], class_: ForegroundClass = ForegroundClass.FOREGROUND) -> Foreground:
    """A mask of 16 level-0 px per pixel over the 300 x 200 slide with some pixels set."""
    mask = np.zeros((13, 19), np.uint8)
    for row, column in kept:
        mask[row, column] = class_
    return Foreground(mask, MaskFrame(0, 0, 16.0, 16.0, 19, 13, 4.0), GLASS, 0)


def test_tiles_with_enough_foreground_are_kept_in_the_grids_order():
    table = cut_tiles(SLIDE.info, SPEC, foreground((4, 4), (5, 4)), DEFAULT_HEADS, 0.05)
    places = list(zip(table.column("x_l0_px").to_pylist(), table.column("y_l0_px").to_pylist(), strict=True))
    # A tile is 64 level-0 px = 4 mask px: of all grid positions every 32 px, those that hold a set pixel.
    expected = [
        (x, y)
        for x, y in grid_positions(SLIDE.info, SPEC)
        if x <= 64 and x + 64 >= 80 and y <= 80 and y + 64 > 64
    ]
    assert places == sorted(expected, key=lambda place: (place[1], place[0]))
    by_place = dict(zip(places, table.column("foreground_fraction").to_pylist(), strict=True))
    assert by_place[64, 64] == pytest.approx(2 / 16)
    assert by_place[32, 32] == pytest.approx(2 / 16)
    assert by_place[64, 32] == pytest.approx(2 / 16)


def test_the_threshold_is_inclusive_and_empty_tiles_never_pass():
    one_pixel = foreground((4, 4))
    assert cut_tiles(SLIDE.info, SPEC, one_pixel, DEFAULT_HEADS, 1 / 16).num_rows > 0
    everything = len(list(grid_positions(SLIDE.info, SPEC)))
    assert cut_tiles(SLIDE.info, SPEC, one_pixel, DEFAULT_HEADS, 0.0).num_rows < everything


def test_the_schema_is_the_tile_tables_with_unknown_targets():
    table = cut_tiles(SLIDE.info, SPEC, foreground((4, 4)), DEFAULT_HEADS, 0.01)
    assert table.schema.equals(tiles_schema(DEFAULT_HEADS))
    for name in ("cluster_id", "edge_um", *target_columns(DEFAULT_HEADS)):
        assert table.column(name).null_count == table.num_rows


def test_targets_fill_their_columns_and_nan_is_null():
    table = cut_tiles(SLIDE.info, SPEC, foreground((4, 4), (5, 9)), DEFAULT_HEADS, 0.01)
    values = np.full(table.num_rows, np.nan, np.float32)
    values[1] = 0.25
    filled = with_targets(table, {"target.malignancy.malignant": values})
    assert filled.schema.equals(table.schema)
    column = filled.column("target.malignancy.malignant")
    assert column.null_count == table.num_rows - 1
    assert column[1].as_py() == 0.25
    assert filled.column("x_l0_px").equals(table.column("x_l0_px"))
    assert isinstance(filled, pa.Table)


def test_nothing_found_says_what_there_was():
    specks = foreground((4, 4), class_=ForegroundClass.SPECK)
    for ground, message in (
        (
            specks,
            "no tile has 0.01 of foreground; besides empty glass the slide shows speck smaller than min_object_um",
        ),
        (foreground(), "besides empty glass the slide shows nothing"),
    ):
        table = cut_tiles(SLIDE.info, SPEC, ground, DEFAULT_HEADS, 0.01)
        assert table.num_rows == 0
        assert table.schema.equals(tiles_schema(DEFAULT_HEADS))
        assert message in empty_slide_message(ground, 0.01)
