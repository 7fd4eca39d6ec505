"""The cell spot of a liquid-based preparation: the circle of about 20 mm that the filter prints on the glass.

It is detected by its ring, a rim slightly denser than glass, or by the density of cells inside. Both are searched on a
map of 160 cells across the spot, over all centres and allowed radii.
"""

import math
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.config import SpotConfig
from inkdot.records import MaskArray
from inkdot.tiling.foreground.mask_frame import MaskFrame
from inkdot.tiling.foreground.stain_map import Planes

_CELLS_PER_SPOT: Final = 160  # of the map, across a spot
_SECTORS = 72
_LEAST_VISIBLE = 0.35  # of the circle, in the image
_LEAST_RIM = 0.6  # of what is visible shows the ring
_RIM_LEVELS = 1.5  # grey levels by which the ring is darker than the glass on both sides
_LEAST_INSIDE = 200  # foreground places that density can be judged by
_OUTSIDE_RATIO = 0.1
_LEAST_RIM_CELLS = 40  # of the map, in an eighth of the rim
_KEEP_BEYOND = 0.02  # of the radius: the circle is found to within that
_SUBPIXEL_BITS = 4
_Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spot:
    """Position of the cell spot.

    Attributes:
        x_um: Centre, from the left edge of the mask.
        y_um: Centre, from the top edge of the mask.
        radius_um: Radius, to the middle of the ring.
        visible_fraction: Share (0 to 1) of its circumference that lies in the image.
        by: How it was detected: ``ring``, ``density`` of cells, or ``cells`` inside and outside, with a soft edge.
        ratio: Density of cells inside, of that outside, for ``cells``; else 0.
    """

    x_um: float
    y_um: float
    radius_um: float
    visible_fraction: float
    by: str
    ratio: float = 0.0

    @property
    def words(self) -> str:
        """Description as a phrase."""
        feature = {"ring": "ring", "density": "density of cells"}.get(
            self.by, f"cells, {self.ratio:g} times as dense as outside"
        )
        return (
            f"cell spot of {self.radius_um / 500.0:.2f} mm, centre {self.x_um / 1000.0:.2f}, {self.y_um / 1000.0:.2f} mm, "
            f"found by its {feature}, {self.visible_fraction:.0%} of it in the image"
        )


def find_spot(planes: Planes, config: SpotConfig) -> Spot | None:
    """The spot, or None where none of the configured size is visible: photographs, sections, smears, sparse specimens.

    Args:
        planes: The slide at the scale of the mask.
        config: Diameter and tolerance.
    """
    frame = planes.frame
    if config.diameter_um == 0.0:
        return None
    extent_um = (frame.width_px * frame.mpp, frame.height_px * frame.mpp)
    # Less than a third of a spot looks like any other image.
    if max(extent_um) < 0.7 * config.diameter_um or min(extent_um) < 0.3 * config.diameter_um:
        return None
    step = config.diameter_um / _CELLS_PER_SPOT / frame.mpp
    size = (max(8, round(frame.width_px / step)), max(8, round(frame.height_px / step)))
    cell_um = extent_um[0] / size[0]
    dark, found = _maps(planes, size)
    radii = _radii(config, cell_um)
    ring = _best_ring(_ridge(dark), radii)
    if ring is not None:
        return _placed(ring, cell_um, size, "ring")
    disc = _best_disc(found, radii, size)
    return None if disc is None else _placed(disc, cell_um, size, "density")


def outside_of(spot: Spot, frame: MaskFrame, ring_um: float) -> MaskArray:
    """Mask pixels beyond the spot and its ring, ``ring_um`` wide, shape [height, width]."""
    return ~_drawn(spot, frame, spot.radius_um + max(_KEEP_BEYOND * spot.radius_um, 0.5 * ring_um))


def on_ring(spot: Spot, frame: MaskFrame, width_um: float) -> MaskArray:
    """Mask pixels within half of ``width_um`` of the spot's circle, shape [height, width]."""
    inner = max(0.0, spot.radius_um - 0.5 * width_um)
    return _drawn(spot, frame, spot.radius_um + 0.5 * width_um) & ~_drawn(spot, frame, inner)


def _drawn(spot: Spot, frame: MaskFrame, radius_um: float) -> MaskArray:
    scale = 2**_SUBPIXEL_BITS / frame.mpp
    centre = (
        round(spot.x_um * scale - 2 ** (_SUBPIXEL_BITS - 1)),
        round(spot.y_um * scale - 2 ** (_SUBPIXEL_BITS - 1)),
    )
    image = np.zeros((frame.height_px, frame.width_px), np.uint8)
    cv2.circle(image, centre, round(radius_um * scale), (1.0,), cv2.FILLED, shift=_SUBPIXEL_BITS)
    return image > 0


def _maps(planes: Planes, size: tuple[int, int]) -> tuple[_Map, _Map]:
    """Darkness of the glass between the cells (grey levels), and number of foreground mask pixels, per cell."""
    glass = np.float32(float(np.mean(planes.glass.rgb)))
    empty = np.zeros((size[1], size[0]), np.float32)
    dark, found = empty.copy(), empty.copy()
    height, width = planes.stained.shape
    rows = [round(k * height / size[1]) for k in range(size[1] + 1)]
    columns = np.array([round(k * width / size[0]) for k in range(size[0])], np.intp)
    for row in range(size[1]):
        band = slice(rows[row], rows[row + 1])
        stained = planes.stained[band] > 0
        grey = planes.tone[band].mean(axis=2, dtype=np.float32)
        clear = (~stained).astype(np.float32)
        count = np.add.reduceat(clear.sum(axis=0), columns)
        light = np.add.reduceat((grey * clear).sum(axis=0), columns)
        dark[row] = np.where(count > 0, glass - light / np.maximum(count, 1.0), 0.0)
        found[row] = np.add.reduceat(stained.sum(axis=0), columns)
    return dark, found


def _ridge(dark: _Map) -> _Map:
    """How much darker a place is than the glass on either side of a ring through it: 1 where clearly."""
    smooth = cv2.GaussianBlur(dark, (0, 0), 0.8)
    around = cv2.medianBlur(dark, 5)
    wide = cv2.blur(around, (15, 15))
    return cast(_Map, np.clip((smooth - wide) / np.float32(_RIM_LEVELS), 0.0, 4.0))


@dataclass(frozen=True, slots=True)
class _Circle:
    x: float
    y: float
    radius: float
    visible: float


def _radii(config: SpotConfig, cell_um: float) -> list[float]:
    low = 0.5 * config.diameter_um * (1.0 - config.tolerance_fraction) / cell_um
    high = 0.5 * config.diameter_um * (1.0 + config.tolerance_fraction) / cell_um
    return [float(r) for r in np.linspace(low, high, max(2, math.ceil(2.0 * (high - low)) + 1))]


def _best_ring(ridge: _Map, radii: list[float]) -> _Circle | None:
    """The circle most of whose visible circumference is ridge."""
    margin = math.ceil(max(radii)) + 2
    padded = np.pad(ridge, margin)
    inside = np.pad(np.ones_like(ridge), margin)
    best: tuple[float, _Circle] | None = None
    for radius in radii:
        kernel = _circle_kernel(radius)
        total = cv2.filter2D(inside, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        score = cv2.filter2D(padded, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        share = np.where(total >= _LEAST_VISIBLE, score / np.maximum(total, 1e-6), 0.0)
        row, column = np.unravel_index(int(np.argmax(share)), share.shape)
        value = float(share[row, column])
        if best is None or value > best[0]:
            centre = (float(column) - margin + 0.5, float(row) - margin + 0.5)
            best = value, _Circle(*centre, radius, float(total[row, column]))
    if best is None:
        return None
    found = best[1]
    return found if _rim_share(ridge, found) >= _LEAST_RIM else None


def _circle_kernel(radius: float) -> _Map:
    """A circle one cell wide, its sum 1."""
    reach = math.ceil(radius) + 1
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    away = np.abs(np.hypot(steps[:, None], steps[None, :]) - np.float32(radius))
    kernel = np.clip(1.0 - away, 0.0, 1.0).astype(np.float32)
    return cast(_Map, kernel / kernel.sum())


def _rim_share(ridge: _Map, found: _Circle) -> float:
    """Share of the visible directions in which the ring is seen: one dark thing somewhere does not make a ring."""
    angles = np.arange(4 * _SECTORS) / (4 * _SECTORS) * 2.0 * np.pi
    best = np.zeros(len(angles), np.float32)
    inside = np.zeros(len(angles), np.bool_)
    for offset in (-1.0, 0.0, 1.0):
        x = np.floor(found.x + (found.radius + offset) * np.cos(angles)).astype(np.intp)
        y = np.floor(found.y + (found.radius + offset) * np.sin(angles)).astype(np.intp)
        valid = (x >= 0) & (y >= 0) & (x < ridge.shape[1]) & (y < ridge.shape[0])
        values = ridge[y.clip(0, ridge.shape[0] - 1), x.clip(0, ridge.shape[1] - 1)]
        best = np.maximum(best, np.where(valid, values, 0.0))
        inside |= valid
    return float((best[inside] >= 0.5).mean()) if inside.any() else 0.0


def _best_disc(found: _Map, radii: list[float], size: tuple[int, int]) -> _Circle | None:
    """The disc that foreground fills to the edge all round, with hardly any beyond."""
    if float(found.sum()) < _LEAST_INSIDE:
        return None
    occupied = (found > 0).astype(np.float32)
    margin = math.ceil(max(radii)) + 2
    inside = np.pad(np.ones_like(occupied), margin)
    padded = np.pad(occupied, margin)
    best: tuple[float, _Circle] | None = None
    for radius in radii:
        kernel = _disc_kernel(radius)
        area = cv2.filter2D(inside, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        count = cv2.filter2D(padded, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        within = count / np.maximum(area, 1.0)
        beyond = (padded.sum() - count) / np.maximum(inside.sum() - area, 1.0)
        usable = (area >= 0.4 * kernel.sum()) & (inside.sum() - area >= 0.05 * inside.sum())
        contrast = np.where(usable & (beyond <= _OUTSIDE_RATIO * within), within - beyond, 0.0)
        row, column = np.unravel_index(int(np.argmax(contrast)), contrast.shape)
        value = float(contrast[row, column])
        if value > 0.0 and (best is None or value > best[0]):
            centre = (float(column) - margin + 0.5, float(row) - margin + 0.5)
            best = value, _Circle(*centre, radius, 0.0)
    if best is None or not _is_filled(occupied, best[1]):
        return None
    visible = visible_fraction(best[1].x, best[1].y, best[1].radius, size)
    return _Circle(best[1].x, best[1].y, best[1].radius, visible) if visible >= _LEAST_VISIBLE else None


def _disc_kernel(radius: float) -> _Map:
    reach = math.ceil(radius)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    return (np.hypot(steps[:, None], steps[None, :]) <= radius).astype(np.float32)


def _is_filled(occupied: _Map, found: _Circle) -> bool:
    """Whether foreground lies as densely near the edge as in the middle, all round, and ends there.

    A section is in the disc too, and so is a smaller spot; neither fills it.
    """
    rows, columns = np.indices(occupied.shape, np.float32)
    away = np.hypot(columns + 0.5 - found.x, rows + 0.5 - found.y) / found.radius
    sector = (
        (np.arctan2(rows + 0.5 - found.y, columns + 0.5 - found.x) + np.pi) / (2.0 * np.pi) * 8.0
    ).astype(np.intp)
    middle = float(occupied[away <= 0.8].mean())
    for number in range(8):
        rim = (sector == number) & (away > 0.82) & (away <= 0.97)
        beside = (sector == number) & (away > 1.03) & (away <= 1.15)
        if np.count_nonzero(rim) >= _LEAST_RIM_CELLS and float(occupied[rim].mean()) < 0.4 * middle:
            return False
        if np.count_nonzero(beside) >= _LEAST_RIM_CELLS and float(occupied[beside].mean()) > 0.3 * middle:
            return False
    return True


def visible_fraction(x: float, y: float, radius: float, size: tuple[float, float]) -> float:
    """Share (0 to 1) of a circle's circumference in an image of that width and height; all in one unit."""
    angles = np.arange(_SECTORS) / _SECTORS * 2.0 * np.pi
    across, down = x + radius * np.cos(angles), y + radius * np.sin(angles)
    return float(((across >= 0) & (down >= 0) & (across < size[0]) & (down < size[1])).mean())


def _placed(found: _Circle, cell_um: float, size: tuple[int, int], by: str) -> Spot:
    visible = visible_fraction(found.x, found.y, found.radius, size)
    return Spot(found.x * cell_um, found.y * cell_um, found.radius * cell_um, round(visible, 3), by)
