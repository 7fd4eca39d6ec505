"""The band keeps what neighbouring tiles share, and no more than it may."""

from inkdot.records import RgbArray
from inkdot.slides.native_band import TileBand

SHAPE = (16, 16, 3)
TILE_BYTES = 16 * 16 * 3


class Source:
    """Tiles filled with their own column; notes what was decoded."""

    def __init__(self) -> None:
        self.decoded: list[tuple[int, int]] = []

    def __call__(self, column: int, row: int, into: RgbArray) -> None:
        self.decoded.append((column, row))
        into[:] = 10 * row + column


def sweep(band: TileBand, source: Source, rows: int, columns: int, height: int, overlap: int) -> int:
    """Read every window of ``height`` rows and two columns, top to bottom; returns the most bytes ever held."""
    most = 0
    for top in range(0, rows - height + 1, height - overlap):
        for left in range(columns - 1):
            band.move_to("plane", SHAPE, top, top + height - 1)
            for row in range(top, top + height):
                for column in (left, left + 1):
                    assert (band.tile(column, row, source, keep=True) == 10 * row + column).all()
            most = max(most, band.held_bytes)
    return most


def test_shared_tiles_are_decoded_once() -> None:
    band, source = TileBand(), Source()
    most = sweep(band, source, rows=9, columns=8, height=3, overlap=1)
    assert len(source.decoded) == len(set(source.decoded)) == 9 * 8
    assert most == 3 * 8 * TILE_BYTES  # the rows under the present tiles, never the slide


def test_a_bound_below_the_band_costs_work_not_memory() -> None:
    bound = 16 * TILE_BYTES  # two of the three rows
    band, source = TileBand(bound), Source()
    assert sweep(band, source, rows=9, columns=8, height=3, overlap=1) <= bound
    # Two of three rows are enough: the row that the next tiles share is kept.
    assert len(source.decoded) == 9 * 8
    band, source = TileBand(5 * TILE_BYTES), Source()
    assert sweep(band, source, rows=9, columns=8, height=3, overlap=1) <= 5 * TILE_BYTES
    assert len(source.decoded) > 9 * 8


def test_a_bound_of_nothing_still_reads() -> None:
    band, source = TileBand(0), Source()
    assert sweep(band, source, rows=4, columns=3, height=2, overlap=1) == 0


def test_another_plane_shares_nothing() -> None:
    band, source = TileBand(), Source()
    band.move_to("one", SHAPE, 0, 0)
    band.tile(0, 0, source, keep=True)
    band.move_to("two", SHAPE, 0, 0)
    assert band.held_bytes == 0
    band.tile(0, 0, source, keep=True)
    assert source.decoded == [(0, 0), (0, 0)]


def test_going_back_up_makes_room_from_below() -> None:
    band, source = TileBand(4 * TILE_BYTES), Source()
    band.move_to("plane", SHAPE, 7, 7)
    for column in range(4):
        band.tile(column, 7, source, keep=True)
    band.move_to("plane", SHAPE, 0, 0)
    for _ in range(2):
        for column in range(3):
            band.tile(column, 0, source, keep=True)
    assert len(source.decoded) == 4 + 3
    assert band.held_bytes == 4 * TILE_BYTES
