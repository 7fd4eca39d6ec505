"""Source of the tiles of a scene for the pyramid writer."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from inkdot.records import RgbArray
from inkdot.synthetic.cells.scene import Box, OdArray, Scene, SparseBackdrop
from inkdot.synthetic.rendering.chromatin import textures
from inkdot.synthetic.rendering.paint import Painter, Stamp
from inkdot.synthetic.rendering.scanner import HALO_PX, Scanner, Sensor
from inkdot.synthetic.rendering.stains import Stain

TILE_SIDE_PX = 256
_POOL_SIZE = 24


class TileSource(Protocol):
    """What the pyramid writer reads: a size, tiles in row order, and the empty ones among them by number."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        ...

    @property
    def pool(self) -> Sequence[RgbArray]:
        """Tiles of empty glass."""
        ...

    def tile(self, column: int, row: int) -> RgbArray | int:
        """One level-0 tile, or the number of an empty one."""
        ...


class SceneSource:
    """Render a scene tile by tile, row by row; only cells of the current row are kept in memory.

    Args:
        scene: Scene to render.
        mpp: Micrometres per pixel.
        stain: Stain of the laboratory.
        scanner: Scanner properties.
        seed: Seed of textures and sensor noise.
        focus_um: Height of the focal plane in µm.
        halo_px: Margin in pixels around a tile in which density is rendered.
    """

    def __init__(
        self,
        scene: Scene,
        mpp: float,
        stain: Stain,
        scanner: Scanner,
        seed: int,
        focus_um: float = 0.0,
        halo_px: int = HALO_PX,
    ) -> None:
        self._scene = scene
        self._halo_px = halo_px
        self._mpp = mpp
        self.size_px = (round(scene.width_um / mpp), round(scene.height_um / mpp))
        rng = np.random.default_rng([seed, 0x7E87])
        self._painter = Painter(mpp, stain, textures(mpp), focus_um, scanner.blur_um)
        self._sensor = Sensor(scanner, stain.white, rng)
        self._seed = seed
        self._pool: list[RgbArray] = []
        self._cells_of: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._last_row: dict[int, int] = {}
        self._backdrops_of: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._stamps: dict[int, Stamp] = {}
        self._row = -1
        self._sort_into_tiles()

    @property
    def pool(self) -> Sequence[RgbArray]:
        """Tiles of empty glass, uint8 RGB, made on first access."""
        side = TILE_SIDE_PX + 2 * HALO_PX
        while len(self._pool) < _POOL_SIZE:
            self._pool.append(self._sensor.expose(np.zeros((side, side, 3), np.float32), len(self._pool)))
        return self._pool

    def tile(self, column: int, row: int) -> RgbArray | int:
        """Level-0 tile, uint8 RGB 256 px a side, or the index of an empty one in ``pool``."""
        od = self.cells_density(column, row)
        backdrop = self.backdrop_density(column, row)
        if od is None:
            return self.empty(column, row) if backdrop is None else self.expose(backdrop, column, row)
        return self.expose(od if backdrop is None else od + backdrop, column, row)

    def empty(self, column: int, row: int) -> int:
        """Index in ``pool`` of the empty tile at a position."""
        return self._number(column, row) * 2654435761 % 4294967296 % _POOL_SIZE

    def expose(self, od: OdArray, column: int, row: int) -> RgbArray:
        """Pixels of a tile from its optical density with halo, which is overwritten."""
        cut = self._halo_px - HALO_PX
        inner = np.ascontiguousarray(od[cut : od.shape[0] - cut, cut : od.shape[1] - cut]) if cut else od
        return self._sensor.expose(inner, self._number(column, row))

    def cells_density(self, column: int, row: int) -> OdArray | None:
        """Optical density of the cells on a tile with halo; None without cells."""
        cells = self._cells_of.get((column, row))
        if not cells:
            return None
        if row != self._row:
            self._row = row
            self._stamps = {k: stamp for k, stamp in self._stamps.items() if self._last_row[k] >= row}
        side, left, top = self._window(column, row)
        straight, shifted, shift = self._parts(left, side)
        od = np.zeros((side, side, 3), np.float32)
        for k in cells:
            stamp = self._stamps.get(k)
            if stamp is None:
                stamp = self._painter.stamp(self._scene.cells[k])
                if self._scene.squeezed:
                    np.square(stamp.od, out=stamp.od)
                self._stamps[k] = stamp
            if straight > 0:
                _add(od[:, :straight], stamp, left, top)
            if shifted > 0:
                _add(od[:, straight:], stamp, left + straight, top - shift)
        return np.sqrt(od, out=od) if self._scene.squeezed else od

    def backdrop_density(self, column: int, row: int) -> OdArray | None:
        """Optical density of the backdrop on a tile with halo; None without any."""
        backdrops = self._backdrops_of.get((column, row))
        if not backdrops:
            return None
        side, left, top = self._window(column, row)
        straight, shifted, shift = self._parts(left, side)
        od = np.zeros((side, side, 3), np.float32)
        x_um = ((left + np.arange(side) + 0.5) * self._mpp).astype(np.float32)
        y_um = ((top + np.arange(side) + 0.5) * self._mpp).astype(np.float32)
        for k in backdrops:
            density = self._scene.backdrop[k].optical_density
            if straight > 0:
                od[:, :straight] += density(x_um[:straight], y_um)
            if shifted > 0:
                od[:, straight:] += density(x_um[straight:], y_um - np.float32(shift * self._mpp))
        return od

    def _number(self, column: int, row: int) -> int:
        return (row * 1009 + column * 31 + self._seed) & 0xFFFFFF

    def _window(self, column: int, row: int) -> tuple[int, int, int]:
        """Side of a tile with halo, and its left and top edge in level-0 pixels."""
        left, top = column * TILE_SIDE_PX - self._halo_px, row * TILE_SIDE_PX - self._halo_px
        return TILE_SIDE_PX + 2 * self._halo_px, left, top

    def _parts(self, left: int, side: int) -> tuple[int, int, int]:
        """Columns left and right of the stitching error, and its shift in pixels."""
        seam = self._scene.seam
        if seam is None:
            return side, 0, 0
        straight = min(max(round(seam.x_um / self._mpp) - left, 0), side)
        return straight, side - straight, seam.shift_px

    def _sort_into_tiles(self) -> None:
        """List for every tile the objects that may be visible on it or its halo."""
        slip = 0.0 if self._scene.seam is None else self._scene.seam.shift_px * self._mpp
        for k, cell in enumerate(self._scene.cells):
            edge = cell.cytoplasm.edge_um if cell.cytoplasm is not None else 0.0
            reach = cell.reach_um + edge + self._painter.margin_um(cell) + 3.0 * self._mpp + slip
            box = Box(cell.x_um - reach, cell.y_um - reach, cell.x_um + reach, cell.y_um + reach)
            for at in self._tiles(box):
                self._cells_of[at].append(k)
                self._last_row[k] = max(self._last_row.get(k, 0), at[1])
        for k, backdrop in enumerate(self._scene.backdrop):
            line = backdrop if isinstance(backdrop, SparseBackdrop) else None
            for at in self._tiles(backdrop.box, slip):
                if line is None or line.touches(self._tile_box(*at, slip)):
                    self._backdrops_of[at].append(k)

    def _tiles(self, box: Box, slip_um: float = 0.0) -> list[tuple[int, int]]:
        side_um, halo_um = TILE_SIDE_PX * self._mpp, self._halo_px * self._mpp + slip_um
        columns, rows = (-(-size // TILE_SIDE_PX) for size in self.size_px)
        first_column = max(int((box.left_um - halo_um) // side_um), 0)
        last_column = min(int((box.right_um + halo_um) // side_um), columns - 1)
        first_row = max(int((box.top_um - halo_um) // side_um), 0)
        last_row = min(int((box.bottom_um + halo_um) // side_um), rows - 1)
        return [(c, r) for r in range(first_row, last_row + 1) for c in range(first_column, last_column + 1)]

    def _tile_box(self, column: int, row: int, slip_um: float) -> Box:
        side, halo = TILE_SIDE_PX * self._mpp, self._halo_px * self._mpp + slip_um
        return Box(
            column * side - halo, row * side - halo, (column + 1) * side + halo, (row + 1) * side + halo
        )


def _add(od: OdArray, stamp: Stamp, left: int, top: int) -> None:
    """Add the part of a stamp within a window with the given left and top edge."""
    height, width = stamp.od.shape[:2]
    x0, y0 = max(stamp.left_px - left, 0), max(stamp.top_px - top, 0)
    x1, y1 = min(stamp.left_px + width - left, od.shape[1]), min(stamp.top_px + height - top, od.shape[0])
    if x0 < x1 and y0 < y1:
        sx, sy = left - stamp.left_px, top - stamp.top_px
        od[y0:y1, x0:x1] += stamp.od[y0 + sy : y1 + sy, x0 + sx : x1 + sx]


def whole_image(source: TileSource) -> RgbArray:
    """All tiles of a small slide as one array, uint8 RGB [height, width, 3]."""
    width, height = source.size_px
    columns, rows = -(-width // TILE_SIDE_PX), -(-height // TILE_SIDE_PX)
    whole = np.zeros((rows * TILE_SIDE_PX, columns * TILE_SIDE_PX, 3), np.uint8)
    for row in range(rows):
        for column in range(columns):
            tile = source.tile(column, row)
            top, left = row * TILE_SIDE_PX, column * TILE_SIDE_PX
            pixels = source.pool[tile] if isinstance(tile, int) else tile
            whole[top : top + TILE_SIDE_PX, left : left + TILE_SIDE_PX] = pixels
    return whole[:height, :width]
