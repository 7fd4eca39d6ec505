"""Extended-focus (EDF) image: the sharpest focal plane at every pixel."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.records import RgbArray
from inkdot.synthetic.cells.scene import OdArray, Scene
from inkdot.synthetic.rendering.scanner import HALO_PX, Scanner
from inkdot.synthetic.rendering.scene_source import SceneSource
from inkdot.synthetic.rendering.stains import Stain

_WINDOW_UM = 2.0
"""Side (µm) of the window for the local variance, the measure of sharpness."""

_SPREAD_UM = 4.0
"""Radius (µm) around a sharp pixel that takes its plane; without it, sharp objects have bright halos."""


class FusedSource:
    """Fuse focal planes tile by tile: every pixel from the plane with the largest local variance.

    The variance is that of optical density without sensor noise. At equal variance the plane nearest to height 0 is taken.

    Args:
        scene: Scene to render.
        mpp: Micrometres per pixel.
        stain: Stain of the laboratory.
        scanner: Scanner properties.
        seed: Seed of textures and sensor noise.
        heights_um: Heights of the focal planes.
    """

    def __init__(
        self,
        scene: Scene,
        mpp: float,
        stain: Stain,
        scanner: Scanner,
        seed: int,
        heights_um: Sequence[float],
    ) -> None:
        self._window_px = 2 * max(round(_WINDOW_UM / mpp / 2.0), 1) + 1
        self._spread = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(_SPREAD_UM / mpp) + 1,) * 2)
        halo = HALO_PX + self._window_px // 2 + self._spread.shape[0] // 2
        # The middle plane first: it wins ties.
        self._planes = [
            SceneSource(scene, mpp, stain, scanner, seed, height, halo)
            for height in sorted(heights_um, key=abs)
        ]
        self.size_px = self._planes[0].size_px

    @property
    def pool(self) -> Sequence[RgbArray]:
        """Tiles of empty glass, uint8 RGB."""
        return self._planes[0].pool

    def tile(self, column: int, row: int) -> RgbArray | int:
        """Level-0 tile, uint8 RGB 256 px a side, or the index of an empty one in ``pool``."""
        first = self._planes[0]
        seen = [od for plane in self._planes if (od := plane.cells_density(column, row)) is not None]
        backdrop = first.backdrop_density(column, row)
        if not seen and backdrop is None:
            return first.empty(column, row)
        if not seen:
            assert backdrop is not None
            return first.expose(backdrop, column, row)
        best, sharpest = seen[0], self._variance(seen[0])
        for od in seen[1:]:
            variance = self._variance(od)
            better = variance > sharpest
            best = np.where(better[..., None], od, best)
            sharpest = np.maximum(variance, sharpest)
        return first.expose(best if backdrop is None else best + backdrop, column, row)

    def _variance(self, od: OdArray) -> npt.NDArray[np.float32]:
        """Maximum of the local variance of mean density around every pixel."""
        grey = od.mean(axis=2)
        size = (self._window_px, self._window_px)
        mean = np.asarray(cv2.blur(grey, size), np.float32)
        squares = np.asarray(cv2.blur(grey * grey, size), np.float32)
        return np.asarray(cv2.dilate(squares - mean * mean, self._spread), np.float32)
