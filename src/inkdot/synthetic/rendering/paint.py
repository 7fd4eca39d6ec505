"""Paints one cell as optical density: dye concentrations on a small window, blurred by its height."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.scene import Cell, Cytoplasm, Nucleus, OdArray, Spot
from inkdot.synthetic.cells.shapes import ANGLE_COUNT, Outline
from inkdot.synthetic.rendering.chromatin import Textures
from inkdot.synthetic.rendering.stains import LG, OG, PIGMENT, E, H, Stain

_BINS_PER_ANGLE = 8
_RIM_UM = 0.5
_IN_FOCUS_UM = 1.5
_LARGEST_BLUR_UM = 4.0

_Plane = npt.NDArray[np.float32]


def defocus_blur_um(height_above_focus_um: float) -> float:
    """Standard deviation of the blur of an object out of focus: 0.15 µm per µm, at most 4 µm (SYNTHETIC.md B1)."""
    return min(0.30 * abs(height_above_focus_um) / 2.0, _LARGEST_BLUR_UM)


def in_focus(height_above_focus_um: float) -> bool:
    """Whether chromatin can be judged: within 1.5 µm times two of the focal plane."""
    return abs(height_above_focus_um) <= 2.0 * _IN_FOCUS_UM


@dataclass(frozen=True, slots=True)
class Stamp:
    """A painted cell.

    Attributes:
        left_px: Column of its window's left edge on the slide.
        top_px: Row of its window's top edge on the slide.
        od: Optical density, float32 [height, width, 3].
    """

    left_px: int
    top_px: int
    od: OdArray


class Painter:
    """Paints cells at one resolution with one stain.

    Args:
        mpp: Micrometres per pixel.
        stain: Dyes and their strengths.
        textures: Noise fields at the same resolution.
        focus_um: Height of the focal plane.
        blur_um: Standard deviation of the optics' point spread in focus.
    """

    def __init__(self, mpp: float, stain: Stain, textures: Textures, focus_um: float, blur_um: float) -> None:
        self.mpp = mpp
        self._stain = stain
        self._textures = textures
        self._focus_um = focus_um
        self._blur_um = blur_um
        self._half_px = 0
        self._grow_grid(64)

    def margin_um(self, cell: Cell) -> float:
        """How far the blurred cell reaches beyond its own outline."""
        return (
            3.0 * float(np.hypot(defocus_blur_um(cell.z_um - self._focus_um), self._blur_um)) + 2.0 * self.mpp
        )

    def stamp(self, cell: Cell) -> Stamp:
        """Paint one cell."""
        reach = cell.reach_um + (cell.cytoplasm.edge_um if cell.cytoplasm is not None else 0.0)
        half = int(np.ceil((reach + self.margin_um(cell)) / self.mpp)) + 1
        side = 2 * half + 1
        planes = np.zeros((side, side, 3), np.float32)  # haematoxylin, cytoplasm, pigment
        if cell.cytoplasm is not None:
            planes[..., 1] = self._body(cell, cell.cytoplasm, half)
        for number, nucleus in enumerate(cell.nuclei):
            coverage, dye = self._nucleus(cell, nucleus, number, half)
            planes[..., 0] += dye
            planes[..., 1] *= 1.0 - 0.6 * coverage  # little cytoplasm lies above and below a nucleus
        for granule in cell.granules:
            self._dab(planes[..., 2], granule, half, granule.strength)
        sigma_px = float(np.hypot(defocus_blur_um(cell.z_um - self._focus_um), self._blur_um)) / self.mpp
        if sigma_px > 0.2:
            planes = np.asarray(cv2.GaussianBlur(planes, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT))
        od = planes.reshape(-1, 3) @ self._plane_colours(cell.cytoplasm)
        left = round(cell.x_um / self.mpp) - half
        top = round(cell.y_um / self.mpp) - half
        return Stamp(left, top, od.reshape(side, side, 3))

    def _plane_colours(self, body: Cytoplasm | None) -> npt.NDArray[np.float32]:
        """Optical density of one unit of each plane: haematoxylin, this cell's mix of cytoplasm dyes, pigment."""
        od = self._stain.od
        if body is None:
            mix = np.zeros(3, np.float32)
        else:
            weak = body.haematoxylin + self._stain.cytoplasmic_haematoxylin
            mix = body.light_green * od[LG] + body.eosin * od[E] + body.orange_g * od[OG] + weak * od[H]
        return np.stack([od[H], mix, od[PIGMENT]]).astype(np.float32)

    def _body(self, cell: Cell, body: Cytoplasm, half: int) -> _Plane:
        """Relative amount of cytoplasm: thick in the middle, grainy, with holes."""
        distance, radius, _ = self._polar(body.outline, half)
        soft = max(self.mpp, body.edge_um)
        coverage = np.clip((radius - distance) / np.float32(soft) + 0.5, 0.0, 1.0)
        side = 2 * half + 1
        grain = self._textures.cut("cytoplasm", cell.texture, side, side)
        amount = (coverage * (1.0 + np.float32(body.grain) * grain)).astype(np.float32)
        # A faint line where the membrane is seen edge-on.
        amount += (
            coverage
            * np.clip(1.0 - (radius - distance) / 0.6, 0.0, 1.0)
            * np.float32(0.25 if soft < 1 else 0)
        )
        for vacuole in cell.vacuoles:
            self._dab(amount, vacuole, half, -0.85 * vacuole.strength, wall=0.35, relative=True)
        return np.maximum(amount, 0.0).astype(np.float32)

    def _nucleus(self, cell: Cell, nucleus: Nucleus, number: int, half: int) -> tuple[_Plane, _Plane]:
        """Coverage of a nucleus and the haematoxylin in it, on the cell's window."""
        dx, dy = round(nucleus.dx_um / self.mpp), round(nucleus.dy_um / self.mpp)
        distance, radius, upright = self._polar(nucleus.outline, half, dx, dy)
        inside = (radius - distance) * upright
        coverage = np.clip(inside / np.float32(self.mpp) + 0.5, 0.0, 1.0)
        side = 2 * half + 1
        texture = self._textures.cut(nucleus.chromatin, cell.texture + 131 * (number + 1), side, side)
        dome = 0.72 + 0.28 * np.sqrt(np.clip(1.0 - (distance / radius) ** 2, 0.0, 1.0))
        rim_strength = 0.55 if nucleus.chromatin == "vesicular" else 0.12
        # Chromatin clings to the membrane unevenly.
        uneven = np.clip(1.0 + 1.6 * (texture - texture.mean()), 0.4, 1.6)
        rim = np.exp(-(((inside - 0.25) / (0.6 * _RIM_UM)) ** 2)) * uneven * np.float32(rim_strength)
        relative = np.maximum((1.0 + texture) * dome + rim, 0.05)
        dye = (coverage * relative).astype(np.float32)
        for nucleolus in nucleus.nucleoli:
            spot = Spot(
                nucleus.dx_um + nucleolus.dx_um, nucleus.dy_um + nucleolus.dy_um, nucleolus.diameter_um
            )
            self._dab(dye, spot, half, nucleolus.strength)
        return coverage.astype(np.float32), dye * np.float32(nucleus.haematoxylin)

    def _dab(
        self,
        plane: _Plane,
        spot: Spot,
        half: int,
        strength: float,
        wall: float = 0.0,
        *,
        relative: bool = False,
    ) -> None:
        """Add a soft-edged disc to a plane, in place.

        Args:
            plane: [side, side], centred on the cell.
            spot: Where, from the cell's centre, and how large.
            half: Half the plane's side.
            strength: Amount added inside the disc.
            wall: Share of ``strength`` taken back in a thin ring around it.
            relative: Strength is a fraction of what is there.
        """
        radius = spot.diameter_um / 2.0 / self.mpp
        reach = int(np.ceil(radius + 2.0))
        x, y = half + spot.dx_um / self.mpp, half + spot.dy_um / self.mpp
        left, top = max(round(x) - reach, 0), max(round(y) - reach, 0)
        window = plane[top : round(y) + reach + 1, left : round(x) + reach + 1]
        if window.size == 0:
            return
        rows = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - np.float32(y)
        columns = np.arange(left, left + window.shape[1], dtype=np.float32)[None, :] - np.float32(x)
        inside = np.float32(radius) - np.sqrt(rows * rows + columns * columns)
        amount = strength * np.clip(inside + 0.5, 0.0, 1.0)
        if wall:
            amount = amount - strength * wall * np.exp(-((inside + 0.6) ** 2))
        window += window * amount if relative else amount

    def _polar(self, outline: Outline, half: int, dx: int = 0, dy: int = 0) -> tuple[_Plane, _Plane, _Plane]:
        """Distance from the outline's centre and the outline's radius in that direction, in µm, per pixel.

        The third plane turns a distance along the radius into one across the border, which long shapes meet at a slant.
        """
        reach = half + max(abs(dx), abs(dy))
        if reach > self._half_px:
            self._grow_grid(reach + 32)
        top, left = self._half_px - half - dy, self._half_px - half - dx
        window = np.s_[top : top + 2 * half + 1, left : left + 2 * half + 1]
        angles = np.arange(ANGLE_COUNT * _BINS_PER_ANGLE) / _BINS_PER_ANGLE
        knots = np.append(outline, outline[0])
        fine = np.interp(angles, np.arange(ANGLE_COUNT + 1), knots).astype(np.float32)
        slope = np.gradient(fine) * np.float32(len(fine) / (2.0 * np.pi)) / fine
        upright = (1.0 / np.sqrt(1.0 + slope * slope)).astype(np.float32)
        bins = self._bin[window]
        return self._distance_um[window], fine[bins], upright[bins]

    def _grow_grid(self, half: int) -> None:
        """Precompute distance and direction of every pixel from a centre, once for all cells."""
        steps = np.arange(-half, half + 1, dtype=np.float32)
        self._half_px = half
        self._distance_um = (np.hypot(steps[:, None], steps[None, :]) * np.float32(self.mpp)).astype(
            np.float32
        )
        turns = np.arctan2(steps[:, None], steps[None, :]) / np.float32(2.0 * np.pi)
        bins = ANGLE_COUNT * _BINS_PER_ANGLE
        self._bin = np.rint((turns % 1.0) * bins).astype(np.int32) % bins
