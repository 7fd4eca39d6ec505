"""Optical density of what lies on glass as sheets and clumps: protein clots, stain precipitate; and of a pen ring.

A deposit is drawn once as an image of its thickness. Its outline in the truth is that of the image.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from scipy.spatial import KDTree
from shapely.geometry import MultiPoint, Polygon
from shapely.geometry.base import BaseGeometry

from inkdot.synthetic.cells.scene import Box, OdArray

_Axis = npt.NDArray[np.float32]
_Plane = npt.NDArray[np.float32]

_LARGEST_SIDE_PX = 640
_VISIBLE = 0.15
"""Thickness from which a deposit belongs to its outline."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit with an image of its thickness.

    Attributes:
        box: Its rectangle.
        colour: Optical density (R, G, B) at thickness 1.
        thickness: Image of the thickness, 0 or more, float32 [rows, columns] over the box.
        outline: Polygon or polygons in µm.
        kind: ``protein_clot`` or ``precipitate``.
    """

    box: Box
    colour: npt.NDArray[np.float32]
    thickness: _Plane
    outline: BaseGeometry
    kind: str

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Thickness by bilinear interpolation, times the colour."""
        rows, columns = self.thickness.shape
        across = (x_um - self.box.left_um) / (self.box.right_um - self.box.left_um) * columns - 0.5
        down = (y_um - self.box.top_um) / (self.box.bottom_um - self.box.top_um) * rows - 0.5
        shape = (len(y_um), len(x_um))
        map_x = np.ascontiguousarray(np.broadcast_to(across.astype(np.float32)[None, :], shape))
        map_y = np.ascontiguousarray(np.broadcast_to(down.astype(np.float32)[:, None], shape))
        amount = cv2.remap(self.thickness, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(amount, np.float32)[..., None] * self.colour


def draw_protein_clot(
    at_um: tuple[float, float], radius_um: float, colour: npt.NDArray[np.float32], rng: np.random.Generator
) -> Deposit:
    """A sheet of dried protein: pale plates between cracks, with a few dark folds and grains.

    Args:
        at_um: Centre (x, y).
        radius_um: Approximate radius, 20 to 600 µm.
        colour: Optical density (R, G, B) of a plate.
        rng: Random generator.
    """
    side = int(np.clip(2.0 * radius_um / 0.8, 64, _LARGEST_SIDE_PX))
    pitch = 2.0 * radius_um / side  # µm per pixel of the image
    gap, plate, middle = _plates(side, radius_um, rng)
    count = len(middle)
    steps = np.linspace(-1.0, 1.0, side)
    away = np.hypot(steps[:, None], steps[None, :])
    border = 0.85 + 0.22 * _noise(side, 4.0, rng) + 0.12 * _noise(side, 9.0, rng)
    # Coherent in the middle, in single plates at the border.
    drawn = (rng.random(count) > np.clip((middle / radius_um - 0.35) * 0.7, 0.0, 0.8))[plate]
    inside = np.clip((border - away) * radius_um / 1.5, 0.0, 1.0) * drawn
    crack = rng.uniform(0.4, 0.9, count)[plate] * (0.5 + 1.4 * np.clip(away, 0.0, 1.0))
    sheet = inside * np.clip((gap - crack) / (1.2 * pitch), 0.0, 1.0)
    level = rng.uniform(0.75, 1.25, count)[plate] * (1.0 + 0.12 * _noise(side, side / 6.0, rng))
    folds = np.exp(-((_noise(side, max(radius_um / 25.0, 4.0), rng) / 0.035) ** 2))
    folded = rng.uniform(0.5, 3.0) * folds * (_noise(side, 5.0, rng) > 0.9)
    return _deposit(at_um, radius_um, colour, sheet * (level + folded), "protein_clot", close_um=6.0)


def _plates(
    side_px: int, radius_um: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Cells of a bent, stretched Voronoi diagram: how dried protein cracks.

    Returns:
        Per pixel the distance to the second nearest seed less that to the nearest, in µm, and the number of the nearest,
        both [side, side]; per seed its distance from the middle in µm.
    """
    rows, columns = (np.mgrid[0:side_px, 0:side_px] * (2.0 / side_px) - 1.0) * radius_um
    bend = [rng.uniform(2.0, 5.0) * _noise(side_px, max(radius_um / 30.0, 3.0), rng) for _ in range(2)]
    # Plates are longer than wide, along one direction of the whole sheet.
    turn, stretch = rng.uniform(0.0, math.pi), rng.uniform(1.4, 2.6)
    u = (columns * math.cos(turn) + rows * math.sin(turn)) / stretch + bend[0]
    v = -columns * math.sin(turn) + rows * math.cos(turn) + bend[1]
    count = max(int((2.0 * radius_um / rng.uniform(8.0, 20.0)) ** 2 / stretch), 3)
    seeds = rng.uniform(-radius_um, radius_um, (count, 2)) * [1.2 / stretch, 1.2]
    points = np.stack([u.ravel(), v.ravel()], axis=1)
    query = KDTree(seeds).query(points, k=2)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    distances, nearest = np.asarray(query[0], np.float64), np.asarray(query[1], np.intp)
    gap = (distances[:, 1] - distances[:, 0]).reshape(side_px, side_px)
    return gap, nearest[:, 0].reshape(side_px, side_px), np.hypot(seeds[:, 0] * stretch, seeds[:, 1])


def draw_precipitate_clump(
    at_um: tuple[float, float], radius_um: float, colour: npt.NDArray[np.float32], rng: np.random.Generator
) -> Deposit:
    """A dense clump of stain crystals with a jagged border."""
    side = int(np.clip(2.0 * radius_um / 0.25, 48, _LARGEST_SIDE_PX))
    rows, columns = np.mgrid[0:side, 0:side] * (2.0 / side) - 1.0
    away = np.hypot(rows, columns)
    crystals = max(radius_um / 2.5, 3.0)
    edge = 0.62 + 0.16 * _noise(side, 2.5, rng) + 0.10 * _noise(side, crystals, rng)
    mass = np.clip((edge - away) * 4.0, 0.0, 1.0)
    grain = np.clip(
        1.0 + 0.25 * _noise(side, crystals, rng) + 0.15 * _noise(side, 2.0 * crystals, rng), 0.2, 1.8
    )
    thickness = mass * grain
    return _deposit(at_um, radius_um, colour, thickness, "precipitate", close_um=1.5)


def draw_precipitate_grains(
    at_um: tuple[float, float],
    radius_um: float,
    per_mm2: float,
    colour: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> Deposit:
    """A patch of loose stain grains of 0.8 to 3 µm, denser in its middle.

    Args:
        at_um: Centre (x, y).
        radius_um: Radius of the patch.
        per_mm2: Grains per mm² of the patch.
        colour: Optical density (R, G, B) of a grain.
        rng: Random generator.
    """
    side = int(np.clip(2.0 * radius_um / 0.4, 64, _LARGEST_SIDE_PX))
    pitch = 2.0 * radius_um / side
    thickness = np.zeros((side, side), np.float32)
    for _ in range(max(int(per_mm2 * math.pi * (radius_um / 1000.0) ** 2), 3)):
        x, y = rng.normal(0.5 * side, 0.24 * side, 2)
        size = float(np.clip(rng.lognormal(math.log(0.65), 0.35), 0.4, 1.6)) / pitch
        axes = (round(16 * size), round(16 * size * rng.uniform(0.6, 1.0)))
        centre = (round(16 * x), round(16 * y))
        ellipse = (centre, axes, rng.uniform(0.0, 180.0), 0.0, 360.0)
        cv2.ellipse(thickness, *ellipse, rng.uniform(0.35, 1.0), -1, cv2.LINE_AA, 4)
    return _deposit(at_um, radius_um, colour, thickness, "precipitate", close_um=12.0)


def _deposit(
    at_um: tuple[float, float],
    radius_um: float,
    colour: npt.NDArray[np.float32],
    thickness: npt.NDArray[np.floating],
    kind: str,
    close_um: float,
) -> Deposit:
    """Make a deposit of its image; gaps up to ``close_um`` belong to its outline."""
    x, y = at_um
    image = np.ascontiguousarray(thickness, np.float32)
    pitch = 2.0 * radius_um / image.shape[0]
    reach = max(round(close_um / 2.0 / pitch), 1)
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = np.pad((image > _VISIBLE).astype(np.uint8), reach + 1)
    mask = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, element)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # Contours run through the middles of pixels: grown by half a pixel.
    shift = np.array([x - radius_um, y - radius_um]) - (reach + 0.5) * pitch
    traced = [_as_geometry(contour[:, 0] * pitch + shift) for contour in contours]
    outline = shapely.union_all([one.buffer(0.5 * pitch, quad_segs=2) for one in traced]).simplify(
        0.5 * pitch
    )
    box = Box(x - radius_um, y - radius_um, x + radius_um, y + radius_um)
    return Deposit(box, colour, image, outline, kind)


def _as_geometry(points: npt.NDArray[np.floating]) -> BaseGeometry:
    if len(points) < 3:
        return MultiPoint(points).convex_hull
    return shapely.make_valid(Polygon(points))


def _noise(side_px: int, waves: float, rng: np.random.Generator) -> _Plane:
    """Smooth noise of about unit variance with a given number of waves over the image, [side, side]."""
    coarse = max(round(2.0 * waves), 2) + 2
    field = rng.standard_normal((coarse, coarse)).astype(np.float32)
    return np.asarray(cv2.resize(field, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.float32)


@dataclass(frozen=True, slots=True)
class PenRing:
    """Part of a ring drawn with a pen around the spot, on the other side of the glass: out of focus, unevenly dense.

    Attributes:
        x_um: Centre.
        y_um: Centre.
        radius_um: Radius of the middle of the stroke.
        width_um: Width of the stroke.
        colour: Optical density (R, G, B).
        from_angle: Start in radians.
        to_angle: End in radians, after ``from_angle``.
        seed: Position in its pattern of unevenness.
        soft_um: Width over which its border fades.
    """

    x_um: float
    y_um: float
    radius_um: float
    width_um: float
    colour: npt.NDArray[np.float32]
    from_angle: float
    to_angle: float
    seed: int = 0
    soft_um: float = 60.0
    kind: str = "pen_mark"

    @property
    def box(self) -> Box:
        """The rectangle around it."""
        left, top, right, bottom = self.outline.buffer(self.soft_um).bounds
        return Box(left, top, right, bottom)

    @property
    def outline(self) -> BaseGeometry:
        """Polygon in µm, without the soft border."""
        angles = np.linspace(self.from_angle, self.to_angle, 73)
        arc = np.stack([np.cos(angles), np.sin(angles)], axis=1) * self.radius_um + [self.x_um, self.y_um]
        return shapely.LineString(arc).buffer(self.width_um / 2.0)

    def touches(self, tile: Box) -> bool:
        """Whether it may cross a tile."""
        area = shapely.box(tile.left_um, tile.top_um, tile.right_um, tile.bottom_um)
        return bool(self.outline.distance(area) < self.soft_um)

    def optical_density(self, x_um: _Axis, y_um: _Axis) -> OdArray:
        """Density with streaks along the stroke, denser where the pen turned, and soft at the border."""
        dx, dy = x_um[None, :] - self.x_um, y_um[:, None] - self.y_um
        away = np.hypot(dx, dy) - self.radius_um
        middle = (self.from_angle + self.to_angle) / 2.0
        turn = np.angle(np.exp(1j * (np.arctan2(dy, dx) - middle)))
        beyond = (np.abs(turn) - (self.to_angle - self.from_angle) / 2.0) * self.radius_um
        phase = self.seed % 97
        border = self.width_um / 2.0 * (1.0 + 0.08 * np.sin(9.0 * turn + phase))
        inside = border - np.where(beyond > 0.0, np.hypot(away, beyond), np.abs(away))
        cover = 0.5 * (1.0 + np.tanh(2.0 * inside / self.soft_um))
        streaks = 0.75 + 0.2 * np.sin(away / (0.11 * self.width_um) + 3.0 * turn + phase) * np.cos(7.0 * turn)
        return (cover * streaks)[..., None].astype(np.float32) * self.colour
