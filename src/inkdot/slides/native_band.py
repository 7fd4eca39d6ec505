"""Cache of decoded native tiles: the rows of the file under the tiles that are being read."""

from collections.abc import Callable, Hashable

import numpy as np

from inkdot.records import RgbArray

LARGEST_BYTES = 128 * 2**20
"""Enough for two rows of full-size native tiles of a slide 80,000 px wide."""


class TileBand:
    """Keeps decoded tiles of one plane (level and scale) while reading moves down the slide.

    Tile tables are sorted by y, so rows above the current rectangle are no longer needed. Where the cache would exceed its
    limit, the row that is needed last is dropped first, and decoded again if needed.

    Arrays of dropped tiles are reused: allocating new ones would cost a third of the decoding time.

    Args:
        largest_bytes: Limit of all kept pixels in bytes.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._largest_bytes = largest_bytes
        self._bytes = 0
        self._plane: Hashable = None
        self._shape = (0, 0, 3)
        self._spare: list[RgbArray] = []
        self._rows: dict[int, dict[int, RgbArray]] = {}
        self._first, self._last = 0, 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all kept pixels."""
        return self._bytes

    def move_to(
        self, plane: Hashable, tile_shape: tuple[int, int, int], first_row: int, last_row: int
    ) -> None:
        """Set the rows of native tiles (both inclusive) that are read now; rows above them are dropped.

        Args:
            plane: Level and scale; tiles of another plane are dropped.
            tile_shape: Shape of a decoded native tile of this plane.
            first_row: First row of native tiles under the rectangle.
            last_row: Last row of native tiles under the rectangle.
        """
        if plane != self._plane:
            self.clear()
            self._plane, self._shape = plane, tile_shape
        if first_row > self._first:
            for row in [row for row in self._rows if row < first_row]:
                self._drop_row(row)
        self._first, self._last = first_row, last_row

    def tile(
        self, column: int, row: int, decode: Callable[[int, int, RgbArray], None], *, keep: bool
    ) -> RgbArray:
        """The tile at (column, row) of the current plane, decoded unless cached.

        Its pixels are valid until the next call: copy them.

        Args:
            column: Column of native tiles.
            row: Row of native tiles.
            decode: Fills an array with the pixels of the tile; called with column, row and the array.
            keep: The tile may be needed again.
        """
        known = self._rows.get(row)
        if known is not None and column in known:
            return known[column]
        pixels = self._spare.pop() if self._spare else np.empty(self._shape, np.uint8)
        try:
            decode(column, row, pixels)
        except BaseException:
            self._spare.append(pixels)
            raise
        if not keep:
            self._spare.append(pixels)
            return pixels
        self._rows.setdefault(row, {})[column] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self._largest_bytes:
            self._drop_one()
        return pixels

    def clear(self) -> None:
        """Drop all tiles."""
        self._rows.clear()
        self._spare.clear()
        self._plane = None
        self._bytes = 0
        self._first = 0

    def _drop_row(self, row: int) -> None:
        tiles = self._rows.pop(row).values()
        self._bytes -= sum(pixels.nbytes for pixels in tiles)
        self._spare += tiles

    def _drop_one(self) -> None:
        # Rows below the current ones were read before reading moved up again: they are needed last.
        lowest = max(self._rows)
        row = lowest if lowest > self._last else min(self._rows)
        tiles = self._rows[row]
        pixels = tiles.pop(next(iter(tiles)))
        self._bytes -= pixels.nbytes
        self._spare.append(pixels)
        if not tiles:
            del self._rows[row]
