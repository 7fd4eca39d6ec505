"""From scene to tiles: what the pyramid writer asks for, one tile at a time."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from inkdot.records import RgbArray
from inkdot.synthetic.backdrops import SpotRing
from inkdot.synthetic.chromatin import textures
from inkdot.synthetic.paint import Painter, Stamp
from inkdot.synthetic.scanner import HALO_PX, Scanner, Sensor
from inkdot.synthetic.scene import Box, Scene
from inkdot.synthetic.stains import Stain

TILE_SIDE_PX = 256
_POOL_SIZE = 24


class SceneSource:
    """Renders a scene tile by tile, row by row; holds only the cells of the current row.

    Args:
        scene: What lies on the glass.
        mpp: Micrometres per pixel.
        stain: The laboratory's dyes.
        scanner: The scanner's habits.
        seed: Seed of textures and sensor noise.
        focus_um: Height of the focal plane.
    """

    def __init__(
        self, scene: Scene, mpp: float, stain: Stain, scanner: Scanner, seed: int, focus_um: float = 0.0
    ) -> None:
        self._scene = scene
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
        """Tiles of empty glass, uint8 RGB, made when first asked for: a picture without glass needs none."""
        side = TILE_SIDE_PX + 2 * HALO_PX
        while len(self._pool) < _POOL_SIZE:
            self._pool.append(self._sensor.expose(np.zeros((side, side, 3), np.float32), len(self._pool)))
        return self._pool

    def tile(self, column: int, row: int) -> RgbArray | int:
        """Level-0 tile, uint8 RGB 256 px a side, or the number of an empty one in ``pool``."""
        cells = self._cells_of.get((column, row))
        backdrops = self._backdrops_of.get((column, row))
        number = (row * 1009 + column * 31 + self._seed) & 0xFFFFFF
        if not cells and not backdrops:
            return number * 2654435761 % 4294967296 % _POOL_SIZE
        if row != self._row:
            self._row = row
            self._stamps = {k: stamp for k, stamp in self._stamps.items() if self._last_row[k] >= row}
        side = TILE_SIDE_PX + 2 * HALO_PX
        left, top = column * TILE_SIDE_PX - HALO_PX, row * TILE_SIDE_PX - HALO_PX
        od = np.zeros((side, side, 3), np.float32)
        for k in cells or ():
            stamp = self._stamps.get(k)
            if stamp is None:
                stamp = self._painter.stamp(self._scene.cells[k])
                self._stamps[k] = stamp
            _add(od, stamp, left, top)
        if backdrops:
            x_um = ((left + np.arange(side) + 0.5) * self._mpp).astype(np.float32)
            y_um = ((top + np.arange(side) + 0.5) * self._mpp).astype(np.float32)
            for k in backdrops:
                od += self._scene.backdrop[k].optical_density(x_um, y_um)
        return self._sensor.expose(od, number)

    def _sort_into_tiles(self) -> None:
        """Note for every tile which objects may show on it, halo included."""
        for k, cell in enumerate(self._scene.cells):
            edge = cell.cytoplasm.edge_um if cell.cytoplasm is not None else 0.0
            reach = cell.reach_um + edge + self._painter.margin_um(cell) + 3.0 * self._mpp
            box = Box(cell.x_um - reach, cell.y_um - reach, cell.x_um + reach, cell.y_um + reach)
            for at in self._tiles(box):
                self._cells_of[at].append(k)
                self._last_row[k] = max(self._last_row.get(k, 0), at[1])
        for k, backdrop in enumerate(self._scene.backdrop):
            for at in self._tiles(backdrop.box):
                if not isinstance(backdrop, SpotRing) or backdrop.touches(self._tile_box(*at)):
                    self._backdrops_of[at].append(k)

    def _tiles(self, box: Box) -> list[tuple[int, int]]:
        side_um, halo_um = TILE_SIDE_PX * self._mpp, HALO_PX * self._mpp
        columns, rows = (-(-size // TILE_SIDE_PX) for size in self.size_px)
        first_column = max(int((box.left_um - halo_um) // side_um), 0)
        last_column = min(int((box.right_um + halo_um) // side_um), columns - 1)
        first_row = max(int((box.top_um - halo_um) // side_um), 0)
        last_row = min(int((box.bottom_um + halo_um) // side_um), rows - 1)
        return [(c, r) for r in range(first_row, last_row + 1) for c in range(first_column, last_column + 1)]

    def _tile_box(self, column: int, row: int) -> Box:
        side, halo = TILE_SIDE_PX * self._mpp, HALO_PX * self._mpp
        return Box(
            column * side - halo, row * side - halo, (column + 1) * side + halo, (row + 1) * side + halo
        )


def _add(
    od: np.ndarray[tuple[int, int, int], np.dtype[np.float32]], stamp: Stamp, left: int, top: int
) -> None:
    """Add the part of a stamp that falls on a window with the given top left pixel."""
    height, width = stamp.od.shape[:2]
    x0, y0 = max(stamp.left_px - left, 0), max(stamp.top_px - top, 0)
    x1, y1 = min(stamp.left_px + width - left, od.shape[1]), min(stamp.top_px + height - top, od.shape[0])
    if x0 < x1 and y0 < y1:
        sx, sy = left - stamp.left_px, top - stamp.top_px
        od[y0:y1, x0:x1] += stamp.od[y0 + sy : y1 + sy, x0 + sx : x1 + sx]


def whole_picture(source: SceneSource) -> RgbArray:
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
