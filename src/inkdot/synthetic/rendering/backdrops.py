"""Optical density of the spot ring, alignment arc, writing and debris, as functions of position."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.scene import Box, OdArray

_Axis = npt.NDArray[np.float32]

# Five columns by seven rows per letter; bit 4 is the left column.
_LETTERS = {
    "S": (0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E),
    "Y": (0x11, 0x11, 0x0A, 0x04, 0x04, 0x04, 0x04),
    "N": (0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11),
    "T": (0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04),
    "H": (0x11, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11),
    "E": (0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F),
    "I": (0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E),
    "C": (0x0F, 0x10, 0x10, 0x10, 0x10, 0x10, 0x0F),
}
WORD = "SYNTHETIC"
_COLUMNS = 6 * len(WORD) - 1
_ROWS = 7


def word_bitmap() -> npt.NDArray[np.bool_]:
    """The word SYNTHETIC as a bitmap, [7 rows, 53 columns]."""
    bitmap = np.zeros((_ROWS, _COLUMNS), np.bool_)
    for position, letter in enumerate(WORD):
        for row, bits in enumerate(_LETTERS[letter]):
            for column in range(5):
                bitmap[row, 6 * position + column] = bool(bits >> (4 - column) & 1)
    return bitmap


@dataclass(frozen=True, slots=True)
class Writing:
    """The word SYNTHETIC in grey, as large as fits into a box.

    Attributes:
        box: Its box; the letters keep their proportions and are centred.
        density: Optical density of the letters, equal in all channels.
    """

    box: Box
    density: float
    kind: str = "writing"

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Density of the letters, by nearest neighbour."""
        width, height = self.box.right_um - self.box.left_um, self.box.bottom_um - self.box.top_um
        cell = min(width / _COLUMNS, height / _ROWS)
        left = self.box.left_um + (width - cell * _COLUMNS) / 2.0
        top = self.box.top_um + (height - cell * _ROWS) / 2.0
        column = np.floor((x_um - left) / cell).astype(int)
        row = np.floor((y_um - top) / cell).astype(int)
        inside = ((row >= 0) & (row < _ROWS))[:, None] & ((column >= 0) & (column < _COLUMNS))[None, :]
        bitmap = word_bitmap()
        ink = bitmap[np.clip(row, 0, _ROWS - 1)[:, None], np.clip(column, 0, _COLUMNS - 1)[None, :]] & inside
        return (self.density * ink[..., None]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SpotRing:
    """The slightly denser edge of a ThinPrep spot.

    Attributes:
        x_um: Centre of the spot.
        y_um: Centre of the spot.
        radius_um: Radius of the spot.
        width_um: Width of the ring.
        density: Optical density at its middle.
    """

    x_um: float
    y_um: float
    radius_um: float
    width_um: float
    density: float
    kind: str = "spot_ring"

    @property
    def box(self) -> Box:
        """The square around the spot."""
        reach = self.radius_um + self.width_um
        return Box(self.x_um - reach, self.y_um - reach, self.x_um + reach, self.y_um + reach)

    def touches(self, tile: Box) -> bool:
        """Whether the ring crosses a tile; most tiles lie inside the ring."""
        return _on_circle(self.x_um, self.y_um, self.radius_um, self.width_um, tile)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> npt.NDArray[np.float32]:
        """A parabola across the ring, equal in all channels."""
        away = np.hypot(x_um[None, :] - self.x_um, y_um[:, None] - self.y_um) - self.radius_um
        inside = np.clip(1.0 - (away / self.width_um) ** 2, 0.0, 1.0)
        return (self.density * inside)[..., None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class AlignmentArc:
    """The printed grey alignment arc outside a ThinPrep spot.

    Attributes:
        x_um: Centre of the spot.
        y_um: Centre of the spot.
        radius_um: Radius of the arc.
        width_um: Width of the printed line.
        density: Optical density of the print, equal in all channels.
        middle: Angle of its middle in radians; the default is up and to the left.
        half_angle: Half of its angle in radians.
    """

    x_um: float
    y_um: float
    radius_um: float
    width_um: float
    density: float
    middle: float = -0.75 * math.pi
    half_angle: float = 0.35
    kind: str = "alignment_arc"

    @property
    def box(self) -> Box:
        """The rectangle around the arc."""
        angles = self.middle + self.half_angle * np.linspace(-1.0, 1.0, 9)
        xs, ys = (
            self.x_um + self.radius_um * np.cos(angles),
            self.y_um + self.radius_um * np.sin(angles),
        )
        reach = self.width_um + 0.02 * self.radius_um
        return Box(
            float(xs.min()) - reach,
            float(ys.min()) - reach,
            float(xs.max()) + reach,
            float(ys.max()) + reach,
        )

    def touches(self, tile: Box) -> bool:
        """Whether the line crosses a tile."""
        return _on_circle(self.x_um, self.y_um, self.radius_um, self.width_um, tile)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> npt.NDArray[np.float32]:
        """A line of uniform density with sharp borders."""
        dx, dy = x_um[None, :] - self.x_um, y_um[:, None] - self.y_um
        away = np.hypot(dx, dy)
        off = np.abs(away - self.radius_um)
        cosine, sine = np.float32(math.cos(self.middle)), np.float32(math.sin(self.middle))
        within = dx * cosine + dy * sine > away * np.float32(math.cos(self.half_angle))
        line = np.clip((self.width_um / 2.0 - off) + 0.5, 0.0, 1.0) * within
        return (self.density * line)[..., None].astype(np.float32)


def _on_circle(x_um: float, y_um: float, radius_um: float, reach_um: float, tile: Box) -> bool:
    """Whether a tile comes within ``reach_um`` of a circle."""
    near_x = max(tile.left_um - x_um, 0.0, x_um - tile.right_um)
    near_y = max(tile.top_um - y_um, 0.0, y_um - tile.bottom_um)
    far_x = max(abs(tile.left_um - x_um), abs(tile.right_um - x_um))
    far_y = max(abs(tile.top_um - y_um), abs(tile.bottom_um - y_um))
    nearest, farthest = math.hypot(near_x, near_y), math.hypot(far_x, far_y)
    return nearest < radius_um + reach_um and farthest > radius_um - reach_um


@dataclass(frozen=True, slots=True)
class Debris:
    """Amorphous debris with an irregular edge.

    Attributes:
        x_um: Centre.
        y_um: Centre.
        radius_um: Approximate radius.
        colour: Optical density (R, G, B) at full thickness.
        cloud: Thickness, 0 to 1, float32 [n, n] over the box.
    """

    x_um: float
    y_um: float
    radius_um: float
    colour: npt.NDArray[np.float32]
    cloud: npt.NDArray[np.float32]
    kind: str = "debris"

    @property
    def box(self) -> Box:
        """The square around it."""
        r = self.radius_um
        return Box(self.x_um - r, self.y_um - r, self.x_um + r, self.y_um + r)

    def moved_to(self, x_um: float, y_um: float) -> "Debris":
        """A copy at another position."""
        return replace(self, x_um=x_um, y_um=y_um)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Thickness by bilinear interpolation, times the colour."""
        side = self.cloud.shape[0]
        scale = (side - 1) / (2.0 * self.radius_um)
        columns = ((x_um - self.x_um + self.radius_um) * scale).astype(np.float32)
        rows = ((y_um - self.y_um + self.radius_um) * scale).astype(np.float32)
        shape = (len(rows), len(columns))
        map_x = np.ascontiguousarray(np.broadcast_to(columns[None, :], shape))
        map_y = np.ascontiguousarray(np.broadcast_to(rows[:, None], shape))
        thickness = cv2.remap(self.cloud, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(thickness, np.float32)[..., None] * self.colour


def draw_debris(
    x_um: float,
    y_um: float,
    radius_um: float,
    colour: npt.NDArray[np.float32],
    rng: np.random.Generator,
    kind: str = "debris",
) -> Debris:
    """Draw debris: noise at three scales within a round window, clipped."""
    side = int(np.clip(radius_um * 3.0, 32, 256))
    steps = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    away = np.hypot(steps[:, None], steps[None, :])
    noise = np.zeros((side, side), np.float32)
    for share, weight in ((3, 1.0), (8, 0.6), (20, 0.35)):
        coarse = rng.standard_normal((share + 2, share + 2)).astype(np.float32)
        noise += weight * np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    cloud = np.clip((0.55 - away) * 2.2 + 0.35 * noise, 0.0, 1.0) * np.clip((1.0 - away) * 4.0, 0.0, 1.0)
    return Debris(x_um, y_um, radius_um, colour, cloud.astype(np.float32), kind)
