"""Optical density of what lies on glass as long strands: cotton fibres, hairs and scratches.

A strand follows a centre line. Every pixel near it gets its position along the line and its signed distance across it.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from inkdot.synthetic.cells.scene import Box, OdArray

_Axis = npt.NDArray[np.float32]
_Plane = npt.NDArray[np.float32]
Points = tuple[tuple[float, float], ...]
"""Vertices (x, y) in µm."""

_OUTLINE_STEP_UM = 4.0
_FIBRIL_UM = 1.4
"""Width of the fibrils that stand off a frayed fibre."""


@dataclass(frozen=True, slots=True)
class Ribbon:
    """A cotton or wood fibre (a flat, twisted, folded ribbon) or a hair (a smooth rod).

    Attributes:
        points: Centre line, with one vertex per 10 to 40 µm.
        width_um: Largest width.
        colour: Optical density (R, G, B) of one layer.
        twist_um: Length between two places where the ribbon turns over and is half as wide; 0: a rod.
        folds: Lengthwise folds.
        seed: Position in its own pattern of folds and unevenness.
        edge: Additional density at the border, relative to the middle.
        soft_um: Width over which the border fades.
        fibrils: Centre lines of thin fibrils that stand off it.
        kind: ``fibre`` or ``hair``.
    """

    points: Points
    width_um: float
    colour: npt.NDArray[np.float32]
    twist_um: float = 0.0
    folds: int = 0
    seed: int = 0
    edge: float = 0.6
    soft_um: float = 1.0
    fibrils: tuple[Points, ...] = ()
    kind: str = "fibre"

    @property
    def box(self) -> Box:
        """The rectangle around it."""
        return _enclosing((self.points, *self.fibrils), self.width_um / 2.0 + 2.0 * self.soft_um)

    @property
    def outline(self) -> BaseGeometry:
        """Polygon of the ribbon with its fibrils, in µm."""
        xs, ys = (np.array([point[axis] for point in self.points]) for axis in (0, 1))
        at_vertex = np.append(0.0, np.cumsum(np.hypot(np.diff(xs), np.diff(ys))))
        length = float(at_vertex[-1])
        along = np.linspace(0.0, length, max(int(length / _OUTLINE_STEP_UM), 2))
        centres = np.stack([np.interp(along, at_vertex, xs), np.interp(along, at_vertex, ys)], axis=1)
        heading = np.gradient(centres, axis=0)
        heading /= np.maximum(np.hypot(heading[:, 0], heading[:, 1]), 1e-9)[:, None]
        across = np.stack([-heading[:, 1], heading[:, 0]], axis=1)
        half = self.half_width_um(along.astype(np.float32))[:, None]
        body = shapely.make_valid(
            Polygon(np.concatenate([centres + half * across, (centres - half * across)[::-1]]))
        )
        ends = [Point(centres[k]).buffer(float(half[k, 0])) for k in (0, -1)]
        thin = [LineString(points).buffer(_FIBRIL_UM / 2.0) for points in self.fibrils]
        return shapely.union_all([body, *ends, *thin])

    def half_width_um(self, along_um: _Plane) -> _Plane:
        """Half its width at positions along the centre line."""
        half = np.full_like(along_um, self.width_um / 2.0)
        if self.twist_um > 0.0:
            turn = np.abs(np.cos(np.pi * along_um / self.twist_um + self.seed % 7))
            half *= 0.55 + 0.45 * turn
        uneven = np.sin(along_um / 9.0 + self.seed % 11) + np.sin(along_um / 3.7 + self.seed % 5)
        return (half * (1.0 + 0.02 * uneven)).astype(np.float32)

    def touches(self, tile: Box) -> bool:
        """Whether it may cross a tile."""
        reach = self.width_um / 2.0 + 2.0 * self.soft_um + 2.0
        lines = shapely.union_all([LineString(points) for points in (self.points, *self.fibrils)])
        return bool(lines.distance(_rectangle(tile)) < reach)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Density of a ribbon with dark borders and folds; where it turns over, two layers lie on each other."""
        near = line_coordinates(self.points, x_um, y_um, self.width_um + 4.0 * self.soft_um)
        density = np.zeros((len(y_um), len(x_um)), np.float32)
        if near is not None:
            along, across = near
            half = self.half_width_um(along)
            inside = half - np.abs(across)
            body = np.clip(inside / np.float32(self.soft_um) + 0.5, 0.0, 1.0)
            border = np.exp(-((inside / (0.5 + 0.5 * self.soft_um)) ** 2))
            layers = 1.0 + 0.5 * (1.0 - half / (self.width_um / 2.0))
            density = body * layers * (self._streaks(along, across / half) + self.edge * border)
        for points in self.fibrils:
            thin = line_coordinates(points, x_um, y_um, 6.0)
            if thin is not None:
                density = np.maximum(density, 0.7 * np.clip(_FIBRIL_UM / 2.0 - np.abs(thin[1]) + 0.5, 0, 1))
        return (density[..., None] * self.colour).astype(np.float32)

    def _streaks(self, along: _Plane, relative: _Plane) -> _Plane:
        """Lengthwise folds and unevenness around 1, at positions along and across (-1 to 1 is inside)."""
        rng = np.random.default_rng(self.seed)
        density = np.ones_like(along)
        for _ in range(self.folds):
            at, drift, period, phase = (
                rng.uniform(-0.8, 0.8),
                rng.uniform(0.1, 0.35),
                *rng.uniform(40, 260, 2),
            )
            strength, width = rng.uniform(-0.35, 0.55), rng.uniform(0.04, 0.14)
            middle = at + drift * np.sin(along / period + phase)
            density += strength * np.exp(-(((relative - middle) / width) ** 2))
        for _ in range(3):
            period, phase, slope = rng.uniform(12.0, 70.0), rng.uniform(0.0, 6.3), rng.uniform(-3.0, 3.0)
            density += 0.07 * np.sin(along / period + slope * relative + phase)
        return np.maximum(density, 0.2).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch of the glass in which stain has collected: a dark, jagged line with a haze on one side.

    Attributes:
        points: Centre line.
        width_um: Width of the line.
        colour: Optical density (R, G, B) of the line.
        haze_um: Reach of the haze.
        seed: Position in its pattern of unevenness.
    """

    points: Points
    width_um: float
    colour: npt.NDArray[np.float32]
    haze_um: float = 30.0
    seed: int = 0
    kind: str = "scratch"

    @property
    def box(self) -> Box:
        """The rectangle around it."""
        return _enclosing((self.points,), self._reach_um)

    @property
    def outline(self) -> BaseGeometry:
        """Polygon around the line, without the haze, in µm."""
        return LineString(self.points).buffer(self.width_um / 2.0, cap_style="flat")

    @property
    def _reach_um(self) -> float:
        return max(2.0 * self.haze_um, 2.0 * self.width_um)

    def touches(self, tile: Box) -> bool:
        """Whether the line or its haze may cross a tile."""
        return bool(LineString(self.points).distance(_rectangle(tile)) < self._reach_um)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Density of line and haze, both fading towards the ends."""
        near = line_coordinates(self.points, x_um, y_um, self._reach_um)
        if near is None:
            return np.zeros((len(y_um), len(x_um), 3), np.float32)
        along, across = near
        length = float(LineString(self.points).length)
        ends = np.clip(np.minimum(along, length - along) / (0.25 * length), 0.0, 1.0)
        phase = self.seed % 17
        jagged, wavy = self._unevenness(along, length)
        half = self.width_um / 2.0 * (0.45 + 0.55 * ends) * np.clip(1.0 + 0.16 * jagged, 0.3, 1.8)
        off = np.abs(across - 0.10 * self.width_um * wavy)
        line = np.clip((half - off) / 1.0 + 0.5, 0.0, 1.0) * (0.35 + 0.65 * ends) * (1.0 - 0.2 * np.abs(wavy))
        wide = self.haze_um * (0.4 + 0.6 * np.abs(np.sin(along / 400.0 + phase)))
        haze = 0.22 * np.exp(-np.abs(across) / wide) * (across > 0.0) * ends
        return (np.maximum(line, haze)[..., None] * self.colour).astype(np.float32)

    def _unevenness(self, along: _Plane, length_um: float) -> tuple[_Plane, _Plane]:
        """Smooth noise of width and of position along the line."""
        rng = np.random.default_rng(self.seed)
        steps = np.arange(0.0, length_um + 1.0, 0.5)
        wide = _smooth_noise(len(steps), 2.0, rng) + 0.6 * _smooth_noise(len(steps), 9.0, rng)
        off = _smooth_noise(len(steps), 4.0, rng)
        first, second = np.interp(along, steps, wide), np.interp(along, steps, off)
        return first.astype(np.float32), second.astype(np.float32)


def _smooth_noise(count: int, width: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A row of smooth noise of unit variance; ``width`` is its correlation length in steps."""
    kernel = np.exp(-0.5 * (np.arange(-3 * int(width) - 1, 3 * int(width) + 2) / width) ** 2)
    noise = np.convolve(rng.standard_normal(count), kernel, mode="same")
    return noise / max(float(noise.std()), 1e-9)


def line_coordinates(
    points: Points, x_um: _Axis, y_um: _Axis, reach_um: float
) -> tuple[_Plane, _Plane] | None:
    """Positions of pixels along a polyline and their signed distances across it, both [height, width] in µm.

    Args:
        points: Vertices of the polyline.
        x_um: Centres of the columns.
        y_um: Centres of the rows.
        reach_um: Distance beyond which pixels need not be exact.

    Returns:
        None where no pixel is within reach of the polyline.
    """
    tile = _rectangle(Box(float(x_um[0]), float(y_um[0]), float(x_um[-1]), float(y_um[-1]))).buffer(reach_um)
    along = np.zeros((len(y_um), len(x_um)), np.float32)
    across = np.full_like(along, 1e6)
    start, found = 0.0, False
    for (x0, y0), (x1, y1) in pairwise(points):
        length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
        if tile.intersects(LineString(((x0, y0), (x1, y1)))):
            found = True
            ux, uy = (x1 - x0) / length, (y1 - y0) / length
            dx, dy = x_um[None, :] - np.float32(x0), y_um[:, None] - np.float32(y0)
            here = dx * np.float32(ux) + dy * np.float32(uy)
            on_line = np.clip(here, 0.0, length)
            side = np.where(
                dy * np.float32(ux) - dx * np.float32(uy) < 0.0, np.float32(-1.0), np.float32(1.0)
            )
            away = np.hypot(dx - on_line * np.float32(ux), dy - on_line * np.float32(uy))
            nearer = away < np.abs(across)
            along = np.where(nearer, start + on_line, along)
            across = np.where(nearer, side * away, across)
        start += length
    return (along.astype(np.float32), across.astype(np.float32)) if found else None


def _rectangle(box: Box) -> Polygon:
    return shapely.box(box.left_um, box.top_um, box.right_um, box.bottom_um)


def _enclosing(lines: tuple[Points, ...], margin_um: float) -> Box:
    xs, ys = [x for line in lines for x, _ in line], [y for line in lines for _, y in line]
    return Box(min(xs) - margin_um, min(ys) - margin_um, max(xs) + margin_um, max(ys) + margin_um)
