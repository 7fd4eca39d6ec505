"""Render one cell: optical density on a window around it, blurred by its defocus."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.synthetic.cells.scene import Cell, Cytoplasm, Inclusion, Nucleus, OdArray
from inkdot.synthetic.cells.shapes import ANGLE_COUNT, Outline
from inkdot.synthetic.rendering.chromatin import Textures
from inkdot.synthetic.rendering.stains import LG, OG, PIGMENT, E, H, Stain

_BINS_PER_ANGLE = 8
_RIM_UM = 0.5
_IN_FOCUS_UM = 1.5
_LARGEST_BLUR_UM = 4.0

_Plane = npt.NDArray[np.float32]


def defocus_blur_um(height_above_focus_um: float) -> float:
    """Sigma of the defocus blur in µm: 0.15 µm per µm of height, at most 4 µm (SYNTHETIC.md B1)."""
    return min(0.30 * abs(height_above_focus_um) / 2.0, _LARGEST_BLUR_UM)


def in_focus(height_above_focus_um: float) -> bool:
    """Whether chromatin is assessable: within 3 µm of the focal plane."""
    return abs(height_above_focus_um) <= 2.0 * _IN_FOCUS_UM


@dataclass(frozen=True, slots=True)
class Stamp:
    """A rendered cell.

    Attributes:
        left_px: Left edge of its window in level-0 pixels.
        top_px: Top edge of its window in level-0 pixels.
        od: Optical density, float32 [height, width, 3].
    """

    left_px: int
    top_px: int
    od: OdArray


class Painter:
    """Render cells at one mpp with one stain.

    Args:
        mpp: Micrometres per pixel.
        stain: Stain of the laboratory.
        textures: Noise fields at the same mpp.
        focus_um: Height of the focal plane in µm.
        blur_um: Sigma of the point spread function in focus, in µm.
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
        """Width in µm of the blur beyond the outline of a cell."""
        return (
            3.0 * float(np.hypot(defocus_blur_um(cell.z_um - self._focus_um), self._blur_um)) + 2.0 * self.mpp
        )

    def stamp(self, cell: Cell) -> Stamp:
        """Render one cell."""
        reach = cell.reach_um + (cell.cytoplasm.edge_um if cell.cytoplasm is not None else 0.0)
        half_px = int(np.ceil((reach + self.margin_um(cell)) / self.mpp)) + 1
        side = 2 * half_px + 1
        planes = np.zeros((side, side, 3), np.float32)  # haematoxylin, cytoplasm, pigment
        if cell.cytoplasm is not None:
            planes[..., 1] = self._cytoplasm_plane(cell, cell.cytoplasm, half_px)
        for number, nucleus in enumerate(cell.nuclei):
            coverage, dye = self._nucleus_planes(cell, nucleus, number, half_px)
            planes[..., 0] += dye
            planes[..., 1] *= 1.0 - 0.6 * coverage  # less cytoplasm above and below the nucleus
        for granule in cell.granules:
            self._add_disc(planes[..., 2], granule, half_px, granule.strength)
        sigma_px = float(np.hypot(defocus_blur_um(cell.z_um - self._focus_um), self._blur_um)) / self.mpp
        if sigma_px > 0.2:
            planes = np.asarray(cv2.GaussianBlur(planes, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT))
        od = planes.reshape(-1, 3) @ self._plane_colours(cell.cytoplasm)
        left = round(cell.x_um / self.mpp) - half_px
        top = round(cell.y_um / self.mpp) - half_px
        return Stamp(left, top, od.reshape(side, side, 3))

    def _plane_colours(self, body: Cytoplasm | None) -> npt.NDArray[np.float32]:
        """Optical density per unit of each plane: haematoxylin, mixture of cytoplasmic dyes, pigment; [3, 3]."""
        od = self._stain.od
        if body is None:
            mix = np.zeros(3, np.float32)
        else:
            weak = body.haematoxylin + self._stain.cytoplasmic_haematoxylin
            mix = body.light_green * od[LG] + body.eosin * od[E] + body.orange_g * od[OG] + weak * od[H]
        return np.stack([od[H], mix, od[PIGMENT]]).astype(np.float32)

    def _cytoplasm_plane(self, cell: Cell, body: Cytoplasm, half_px: int) -> _Plane:
        """Relative amount of cytoplasm: granular, with a membrane and vacuoles."""
        distance, radius, _ = self._polar(body.outline, half_px)
        soft = max(self.mpp, body.edge_um)
        coverage = np.clip((radius - distance) / np.float32(soft) + 0.5, 0.0, 1.0)
        side = 2 * half_px + 1
        grain = self._textures.cut("cytoplasm", cell.texture, side, side)
        amount = (coverage * (1.0 + np.float32(body.grain) * grain)).astype(np.float32)
        # The membrane.
        amount += (
            coverage
            * np.clip(1.0 - (radius - distance) / 0.6, 0.0, 1.0)
            * np.float32(0.25 if soft < 1 else 0)
        )
        if body.pallor:
            amount *= 1.0 - np.float32(body.pallor) * np.exp(-((distance / (0.5 * radius)) ** 2))
        for bleb in cell.blebs:
            self._add_bleb(amount, bleb, half_px)
        for vacuole in cell.vacuoles:
            self._add_disc(amount, vacuole, half_px, -0.85 * vacuole.strength, wall=0.35, relative=True)
        return np.maximum(amount, 0.0).astype(np.float32)

    def _nucleus_planes(
        self, cell: Cell, nucleus: Nucleus, number: int, half_px: int
    ) -> tuple[_Plane, _Plane]:
        """Coverage (0 to 1) and haematoxylin of a nucleus, on the window of the cell."""
        dx, dy = round(nucleus.dx_um / self.mpp), round(nucleus.dy_um / self.mpp)
        distance, radius, slant = self._polar(nucleus.outline, half_px, dx, dy)
        inside = (radius - distance) * slant
        coverage = np.clip(inside / np.float32(self.mpp) + 0.5, 0.0, 1.0)
        side = 2 * half_px + 1
        texture = self._textures.cut(nucleus.chromatin, cell.texture + 131 * (number + 1), side, side)
        dome = 0.72 + 0.28 * np.sqrt(np.clip(1.0 - (distance / radius) ** 2, 0.0, 1.0))
        rim_strength = 0.55 if nucleus.chromatin == "vesicular" else 0.12
        # Uneven chromatin at the nuclear membrane.
        uneven = np.clip(1.0 + 1.6 * (texture - texture.mean()), 0.4, 1.6)
        rim = np.exp(-(((inside - 0.25) / (0.6 * _RIM_UM)) ** 2)) * uneven * np.float32(rim_strength)
        relative = np.maximum((1.0 + texture) * dome + rim, 0.05)
        dye = (coverage * relative).astype(np.float32)
        for nucleolus in nucleus.nucleoli:
            spot = Inclusion(
                nucleus.dx_um + nucleolus.dx_um, nucleus.dy_um + nucleolus.dy_um, nucleolus.diameter_um
            )
            self._add_disc(dye, spot, half_px, nucleolus.strength)
        return coverage.astype(np.float32), dye * np.float32(nucleus.haematoxylin)

    def _add_disc(
        self,
        plane: _Plane,
        spot: Inclusion,
        half_px: int,
        strength: float,
        wall: float = 0.0,
        *,
        relative: bool = False,
    ) -> None:
        """Add a soft-edged disc to a plane, in place.

        Args:
            plane: Shape [side, side], centred on the cell.
            spot: Position relative to the centre of the cell, and diameter.
            half_px: Half of the side.
            strength: Amount added inside the disc.
            wall: Share of ``strength`` subtracted in a thin ring around it.
            relative: Multiply the strength by the values of the plane.
        """
        radius = spot.diameter_um / 2.0 / self.mpp
        reach = int(np.ceil(radius + 2.0))
        x, y = half_px + spot.dx_um / self.mpp, half_px + spot.dy_um / self.mpp
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

    def _add_bleb(self, plane: _Plane, bleb: Inclusion, half_px: int) -> None:
        """Add a bleb, paler inside than at its membrane, where it is denser than what lies there already; in place."""
        radius = bleb.diameter_um / 2.0
        reach = int(np.ceil((radius + 0.5) / self.mpp)) + 1
        x, y = half_px + bleb.dx_um / self.mpp, half_px + bleb.dy_um / self.mpp
        left, top = max(round(x) - reach, 0), max(round(y) - reach, 0)
        window = plane[top : round(y) + reach + 1, left : round(x) + reach + 1]
        rows = np.arange(top, top + window.shape[0], dtype=np.float32)[:, None] - np.float32(y)
        columns = np.arange(left, left + window.shape[1], dtype=np.float32)[None, :] - np.float32(x)
        inside = np.float32(radius) - np.float32(self.mpp) * np.sqrt(rows * rows + columns * columns)
        cover = np.clip(inside / np.float32(max(self.mpp, 0.3)) + 0.5, 0.0, 1.0)
        membrane = np.exp(-(((inside - 0.2) / 0.35) ** 2))
        np.maximum(window, np.float32(bleb.strength) * cover * (0.65 + 0.45 * membrane), out=window)

    def _polar(
        self, outline: Outline, half_px: int, dx: int = 0, dy: int = 0
    ) -> tuple[_Plane, _Plane, _Plane]:
        """Per pixel: distance from the centre, radius of the outline in that direction (both µm), and slant.

        The slant (0 to 1) converts a radial distance from the border into the perpendicular one.
        """
        reach = half_px + max(abs(dx), abs(dy))
        if reach > self._half_px:
            self._grow_grid(reach + 32)
        top, left = self._half_px - half_px - dy, self._half_px - half_px - dx
        window = np.s_[top : top + 2 * half_px + 1, left : left + 2 * half_px + 1]
        angles = np.arange(ANGLE_COUNT * _BINS_PER_ANGLE) / _BINS_PER_ANGLE
        knots = np.append(outline, outline[0])
        fine = np.interp(angles, np.arange(ANGLE_COUNT + 1), knots).astype(np.float32)
        slope = np.gradient(fine) * np.float32(len(fine) / (2.0 * np.pi)) / fine
        slant = (1.0 / np.sqrt(1.0 + slope * slope)).astype(np.float32)
        bins = self._bin[window]
        return self._distance_um[window], fine[bins], slant[bins]

    def _grow_grid(self, half_px: int) -> None:
        """Precompute distance and direction of every pixel from the centre, for all cells."""
        steps = np.arange(-half_px, half_px + 1, dtype=np.float32)
        self._half_px = half_px
        self._distance_um = (np.hypot(steps[:, None], steps[None, :]) * np.float32(self.mpp)).astype(
            np.float32
        )
        turns = np.arctan2(steps[:, None], steps[None, :]) / np.float32(2.0 * np.pi)
        bins = ANGLE_COUNT * _BINS_PER_ANGLE
        self._bin = np.rint((turns % 1.0) * bins).astype(np.int32) % bins
