"""The cell finder: nucleated cells in a field at 0.5 µm per pixel, by a small network."""

from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from inkdot.cell_finder.backends import OD_STEP, FinderBackend, OdSteps, load_backend
from inkdot.cell_finder.cells import Cells, cells_of
from inkdot.cell_finder.finder_files import SHIPPED, FinderFile, read_finder
from inkdot.morphometry.arrays import Labels
from inkdot.morphometry.half_maximum import aligned_labels
from inkdot.morphometry.outline_smoothing import smoothed_labels
from inkdot.morphometry.priors import DIAMETER_PX, PRIORS, WORKING_MPP
from inkdot.morphometry.stain_planes import blurred, nuclear_stain_of
from inkdot.records import Mpp, RgbArray

FINDER_MPP: Final = 0.5
"""Micrometres per pixel of the network's input; its output has twice that."""

_MULTIPLE_PX: Final = 16


class CellFinder:
    """A network that finds nucleated cells, ready to run; safe to call from several threads.

    Attributes:
        description: ``finder.json``.
    """

    def __init__(self, description: FinderFile, backend: FinderBackend) -> None:
        """Take a loaded network; see :func:`load_cell_finder`."""
        self.description = description
        self._backend = backend

    def find(self, od_steps: OdSteps, factor: int = 1) -> Cells:
        """Cells of a field of any size.

        Args:
            od_steps: Optical density in steps of 0.01, shape [height, width, 3], at 0.5 µm per pixel.
            factor: The labels have 1 µm per pixel, divided by this factor.

        Returns:
            Labels of shape [ceil(height / 2) * factor, ceil(width / 2) * factor].
        """
        height, width = od_steps.shape[:2]
        # Reflected: a black or white rim would be an edge.
        padded = np.pad(
            od_steps, ((0, -height % _MULTIPLE_PX), (0, -width % _MULTIPLE_PX), (0, 0)), "symmetric"
        )
        probabilities = self._backend(padded)[:, : -(-height // 2), : -(-width // 2)]
        return cells_of(probabilities, self.description, factor)

    def segment(self, rgb: RgbArray, mpp: Mpp, od_table: npt.NDArray[np.uint8]) -> Labels:
        """Nuclei of an image of known scale: number of the nucleus at each pixel, 0 where there is none.

        Args:
            rgb: Shape [height, width, 3].
            mpp: Micrometres per pixel of the image.
            od_table: From grey levels to optical density in steps of 0.01, shape [1, 256, 3].

        Returns:
            Labels of shape [height, width], numbered from 1 without gaps.
        """
        height, width = rgb.shape[:2]
        coarse = _at_scale(rgb, mpp, FINDER_MPP)
        found = self.find(cv2.LUT(coarse, od_table).astype(np.uint8, copy=False), factor=2).labels
        # They may end half a micrometre beyond the image.
        found = found[: coarse.shape[0], : coarse.shape[1]]
        # Outlines are aligned at one scale whatever the scanner's, as those by stain are.
        working = _at_scale(rgb, mpp, WORKING_MPP)
        od = cv2.LUT(working, od_table).astype(np.float32) * np.float32(OD_STEP)
        stain = blurred(nuclear_stain_of(od), PRIORS.smoothing * DIAMETER_PX)
        labels = aligned_labels(_resized(found, working.shape[:2]), stain)
        labels = smoothed_labels(labels, round(PRIORS.outline_smoothing * DIAMETER_PX))
        return _numbered(_resized(labels, (height, width)))


def _at_scale(rgb: RgbArray, mpp: Mpp, target_mpp: float) -> RgbArray:
    height, width = rgb.shape[:2]
    size = max(1, round(width * mpp.x / target_mpp)), max(1, round(height * mpp.y / target_mpp))
    how = cv2.INTER_AREA if mpp.x < target_mpp else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)


def _resized(labels: Labels, shape: tuple[int, ...]) -> Labels:
    # As float32: OpenCV scales no int32, and labels stay far below 2^24.
    sized = cv2.resize(labels.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return sized.astype(np.int32)


def _numbered(labels: Labels) -> Labels:
    """The same labels without gaps."""
    numbers, dense = np.unique(labels, return_inverse=True)
    return (dense.reshape(labels.shape) + int(numbers[0] != 0)).astype(np.int32)


@cache
def load_cell_finder(folder: Path | None = None, device: str = "auto") -> CellFinder:
    """Load a cell finder once per process.

    Args:
        folder: As written by :func:`inkdot.cell_finder.finder_files.write_finder`; None is the shipped one.
        device: ``auto``, or a device of PyTorch.

    Raises:
        StorageError: The folder is not a cell finder, or its files do not belong together.
        UserError: The machine has no such device.
    """
    description, weights = read_finder(folder or SHIPPED)
    return CellFinder(description, load_backend(description, weights, device))
