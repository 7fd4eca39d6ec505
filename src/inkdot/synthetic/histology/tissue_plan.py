"""The tissue plan of an H&E section: one tissue class per 4 µm."""

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

STEP_UM = 4.0

FloatMap = npt.NDArray[np.float32]
ClassMap = npt.NDArray[np.uint8]


class TissueClass(IntEnum):
    """Class of tissue."""

    GLASS = 0
    STROMA = 1
    SMALL_CELL = 2
    LARGE_CELL = 3
    NECROSIS = 4
    LUMEN = 5
    GLAND = 6
    LYMPHOID = 7
    CRUSHED = 8
    SQUAMOUS = 9
    BASOPHILIC = 10


TUMOUR_CLASSES = (TissueClass.SMALL_CELL, TissueClass.LARGE_CELL)
TUMOUR_WITH_NECROSIS = (*TUMOUR_CLASSES, TissueClass.NECROSIS, TissueClass.CRUSHED)


@dataclass(frozen=True, slots=True)
class RoundStructure:
    """A round structure: gland, vessel or rosette.

    Attributes:
        x_um: Centre, from the corner of the section.
        y_um: Centre, from the corner of the section.
        radius_um: Mean outer radius.
        wobble: Deviation from a circle, as a fraction of the radius.
        turn: Direction of the longest axis in radians.
        basophilic: A vessel with DNA of dead tumour cells in its wall (Azzopardi phenomenon).
    """

    x_um: float
    y_um: float
    radius_um: float
    wobble: float = 0.0
    turn: float = 0.0
    basophilic: bool = False

    def radius_at(self, angle: float) -> float:
        """Outer radius in µm in a direction (radians)."""
        return float(self.radii_at(np.array(angle)))

    def radii_at(self, angles: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Outer radii in µm in directions (radians)."""
        bump = np.cos(2.0 * (angles - self.turn)) + 0.45 * np.cos(3.0 * angles + 5.0 * self.turn)
        return self.radius_um * (1.0 + self.wobble * bump)

    def fill(self, classes: ClassMap, wider_um: float, value: int) -> None:
        """Set a class map to a value inside the outline grown by ``wider_um``, in place."""
        angles = np.linspace(0.0, 2.0 * math.pi, 48, endpoint=False)
        radii = np.maximum(self.radii_at(angles) + wider_um, STEP_UM)
        points = np.stack([self.x_um + radii * np.cos(angles), self.y_um + radii * np.sin(angles)], axis=1)
        cv2.fillPoly(classes, [np.rint(points / STEP_UM - 0.5).astype(np.int32)], int(value))


@dataclass(frozen=True, slots=True)
class TissuePlan:
    """Tissue classes and structures, from the top left corner of the section.

    Attributes:
        classes: :class:`TissueClass` per 4 µm, uint8 [rows, columns].
        border_um: Distance to the border of the tumour, 0 outside, float32 [rows, columns].
        glands: Benign glands.
        vessels: Vessels.
        rosettes: Lumina of rosettes in nests of large cells.
        fibre_direction: Main direction of stromal fibres in radians.
        bend_um: Displacement of the fibres across that direction, float32 [rows, columns].
        maturity: In squamous epithelium 0 at the surface to 1 at the base, -1 elsewhere, float32 [rows, columns].
        palisaded: Nests with a peripheral palisade, bool [rows, columns].
    """

    classes: ClassMap
    border_um: FloatMap
    glands: tuple[RoundStructure, ...]
    vessels: tuple[RoundStructure, ...]
    rosettes: tuple[RoundStructure, ...]
    fibre_direction: float
    bend_um: FloatMap
    maturity: FloatMap
    palisaded: npt.NDArray[np.bool_]

    def class_at(self, x_um: float, y_um: float) -> TissueClass:
        """Class at a position; glass outside of the plan."""
        row, column = int(y_um // STEP_UM), int(x_um // STEP_UM)
        if not (0 <= row < self.classes.shape[0] and 0 <= column < self.classes.shape[1]):
            return TissueClass.GLASS
        return TissueClass(int(self.classes[row, column]))

    def fibre_at(self, x_um: float, y_um: float) -> float:
        """Direction of the fibres at a position, in radians."""
        rows, columns = self.bend_um.shape
        row = min(max(int(y_um // STEP_UM), 1), rows - 2)
        column = min(max(int(x_um // STEP_UM), 1), columns - 2)
        across_x = float(self.bend_um[row, column + 1] - self.bend_um[row, column - 1]) / (2.0 * STEP_UM)
        across_y = float(self.bend_um[row + 1, column] - self.bend_um[row - 1, column]) / (2.0 * STEP_UM)
        return math.atan2(
            math.sin(self.fibre_direction) - across_x, math.cos(self.fibre_direction) + across_y
        )

    def is_palisaded(self, x_um: float, y_um: float) -> bool:
        """Whether the nest at a position has a palisade."""
        rows, columns = self.palisaded.shape
        row, column = (
            min(max(int(y_um // STEP_UM), 0), rows - 1),
            min(max(int(x_um // STEP_UM), 0), columns - 1),
        )
        return bool(self.palisaded[row, column])

    def inward(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Distance (µm) to the border of the tumour, and the direction (radians) away from it."""
        rows, columns = self.border_um.shape
        row = min(max(int(y_um // STEP_UM), 1), rows - 2)
        column = min(max(int(x_um // STEP_UM), 1), columns - 2)
        around = self.border_um[row - 1 : row + 2, column - 1 : column + 2]
        dx = float(around[:, 2].sum() - around[:, 0].sum())
        dy = float(around[2].sum() - around[0].sum())
        return float(around[1, 1]), math.atan2(dy, dx)
