"""Optical density of air bubbles, fibres, pen strokes, starch and scan stripes, as functions of position."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.scene import Box, OdArray

_Axis = npt.NDArray[np.float32]
_Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AirBubble:
    """An air bubble under the coverslip: a double dark ring, clear inside.

    Attributes:
        x_um: Centre.
        y_um: Centre.
        radius_um: Radius of the outer ring.
        wall_um: Width of the ring.
    """

    x_um: float
    y_um: float
    radius_um: float
    wall_um: float
    kind: str = "air_bubble"

    @property
    def box(self) -> Box:
        """The square around it."""
        return _around(self.x_um, self.y_um, self.radius_um + 3.0 * self.wall_um)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Density of the rings, grey."""
        away = np.hypot(x_um[None, :] - self.x_um, y_um[:, None] - self.y_um) - self.radius_um
        outer = 0.75 * np.exp(-((away / (0.5 * self.wall_um)) ** 2))
        inner = 0.40 * np.exp(-(((away + 1.6 * self.wall_um) / (0.4 * self.wall_um)) ** 2))
        return (outer + inner)[..., None].astype(np.float32) * np.ones(3, np.float32)


@dataclass(frozen=True, slots=True)
class Fibre:
    """A fibre along a polyline, with dark borders; also the edge of a coverslip.

    Attributes:
        points: Vertices of the polyline, (x, y) in µm.
        width_um: Width.
        colour: Optical density (R, G, B) at the border.
    """

    points: tuple[tuple[float, float], ...]
    width_um: float
    colour: npt.NDArray[np.float32]
    kind: str = "fibre"

    @property
    def box(self) -> Box:
        """The rectangle around it."""
        return _enclosing(self.points, 1.5 * self.width_um)

    def touches(self, tile: Box) -> bool:
        """Whether the fibre may cross a tile."""
        return _near_line(self.points, 1.5 * self.width_um, tile)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Profile of a refracting rod: dark borders, pale middle."""
        away = _distance_to_line(self.points, x_um, y_um)
        half = self.width_um / 2.0
        body = np.clip((half - away) / 1.0 + 0.5, 0.0, 1.0)
        profile = body * (0.35 + 0.65 * np.minimum(away / half, 1.0) ** 3)
        return profile[..., None].astype(np.float32) * self.colour


@dataclass(frozen=True, slots=True)
class PenStroke:
    """A pen stroke on the coverslip: dense, uniform, with a border out of focus.

    Attributes:
        points: Vertices of the polyline, (x, y) in µm.
        width_um: Width.
        colour: Optical density (R, G, B).
        texture: Seed of the unevenness of its border.
    """

    points: tuple[tuple[float, float], ...]
    width_um: float
    colour: npt.NDArray[np.float32]
    texture: int
    kind: str = "pen_mark"

    @property
    def box(self) -> Box:
        """The rectangle around it."""
        return _enclosing(self.points, 0.8 * self.width_um)

    def touches(self, tile: Box) -> bool:
        """Whether the stroke may cross a tile; most tiles of its rectangle lie beside it."""
        return _near_line(self.points, 0.8 * self.width_um, tile)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Uniform density with a soft, uneven border."""
        away = _distance_to_line(self.points, x_um, y_um)
        phase = self.texture % 997
        period = self.width_um
        wave = np.sin(x_um[None, :] / (0.31 * period) + phase) + np.sin(
            y_um[:, None] / (0.23 * period) + 2 * phase
        )
        half = self.width_um / 2.0 * (1.0 + 0.05 * wave)
        inside = np.clip((half - away) / 12.0 + 0.5, 0.0, 1.0)
        return inside[..., None].astype(np.float32) * self.colour


@dataclass(frozen=True, slots=True)
class StarchGranule:
    """A starch granule (glove powder): colourless, refractile, with a cross-shaped cleft.

    Attributes:
        x_um: Centre.
        y_um: Centre.
        radius_um: Radius.
        tilt: Direction of the cleft in radians.
    """

    x_um: float
    y_um: float
    radius_um: float
    tilt: float
    kind: str = "starch"

    @property
    def box(self) -> Box:
        """The square around it."""
        return _around(self.x_um, self.y_um, 1.3 * self.radius_um)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """A dark rim, a bright body and a dark cross."""
        dx, dy = x_um[None, :] - self.x_um, y_um[:, None] - self.y_um
        angle = np.arctan2(dy, dx)
        away = np.hypot(dx, dy) / (1.0 + 0.06 * np.cos(5.0 * angle + self.tilt))
        along = dx * math.cos(self.tilt) + dy * math.sin(self.tilt)
        across = -dx * math.sin(self.tilt) + dy * math.cos(self.tilt)
        inside = np.clip(self.radius_um - away + 0.5, 0.0, 1.0)
        rim = 0.45 * np.exp(-(((away - self.radius_um + 0.6) / 0.8) ** 2))
        in_middle = np.clip(0.5 * self.radius_um - away, 0.0, 1.0)
        cross = 0.30 * in_middle * (np.exp(-((along / 0.5) ** 2)) + np.exp(-((across / 0.5) ** 2)))
        grey = rim + cross - 0.006 * inside
        return (grey[..., None] * np.array([1.0, 0.92, 0.85])).astype(np.float32)


@dataclass(frozen=True, slots=True)
class GainStripe:
    """A scan stripe with a deviating brightness.

    Attributes:
        box: The stripe.
        density: Optical density added; negative is brighter.
    """

    box: Box
    density: float
    kind: str = "stitching_seam"

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> _Plane:
        """Uniform density in the stripe."""
        across = (x_um >= self.box.left_um) & (x_um < self.box.right_um)
        down = (y_um >= self.box.top_um) & (y_um < self.box.bottom_um)
        return (self.density * (across[None, :] & down[:, None]))[..., None].astype(np.float32)


def _near_line(points: tuple[tuple[float, float], ...], reach_um: float, tile: Box) -> bool:
    """Whether the circle around a tile comes within ``reach_um`` of a polyline."""
    x, y = (tile.left_um + tile.right_um) / 2.0, (tile.top_um + tile.bottom_um) / 2.0
    corner = math.hypot(tile.right_um - x, tile.bottom_um - y)
    away = _distance_to_line(points, np.array([x], np.float32), np.array([y], np.float32))
    return float(away[0, 0]) < reach_um + corner


def _around(x_um: float, y_um: float, reach_um: float) -> Box:
    return Box(x_um - reach_um, y_um - reach_um, x_um + reach_um, y_um + reach_um)


def _enclosing(points: tuple[tuple[float, float], ...], margin_um: float) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(min(xs) - margin_um, min(ys) - margin_um, max(xs) + margin_um, max(ys) + margin_um)


def _distance_to_line(points: tuple[tuple[float, float], ...], x_um: _Axis, y_um: _Axis) -> _Plane:
    """Distance in µm of every pixel from a polyline, [height, width]."""
    nearest = np.full((len(y_um), len(x_um)), np.inf, np.float32)
    for (x0, y0), (x1, y1) in pairwise(points):
        length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        dx, dy = x_um[None, :] - np.float32(x0), y_um[:, None] - np.float32(y0)
        along = np.clip(dx * ux + dy * uy, 0.0, length)
        nearest = np.minimum(nearest, np.hypot(dx - along * ux, dy - along * uy))
    return nearest.astype(np.float32)
