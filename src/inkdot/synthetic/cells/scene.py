"""The scene of a slide: cells, clusters and other objects, in micrometres.

x grows to the right, y downwards, from the top left corner of level 0; z is the height above the focal plane.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from inkdot.synthetic.cells.shapes import Outline

Chromatin = Literal["fine", "coarse", "vesicular", "smudged", "reticular", "granular"]
State = Literal["intact", "dividing", "degenerate"]
CHROMATINS: tuple[Chromatin, ...] = ("fine", "coarse", "vesicular", "smudged", "reticular", "granular")

OdArray = npt.NDArray[np.float32]
"""Optical density per colour channel, [height, width, (R, G, B)]."""

NO_CLUSTER = -1


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A round structure inside a cell: nucleolus, vacuole or granule.

    Attributes:
        dx_um: Offset from the centre of the nucleus or cell.
        dy_um: Offset along y.
        diameter_um: Diameter.
        strength: Contrast relative to the surroundings.
    """

    dx_um: float
    dy_um: float
    diameter_um: float
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Nucleus:
    """One nucleus, or one lobe of a segmented one.

    Attributes:
        dx_um: Offset of its centre from that of the cell.
        dy_um: Offset along y.
        outline: Radii around its centre.
        haematoxylin: Concentration at the centre.
        chromatin: Chromatin pattern.
        nucleoli: Nucleoli, relative to the centre of the nucleus.
    """

    dx_um: float
    dy_um: float
    outline: Outline
    haematoxylin: float
    chromatin: Chromatin
    nucleoli: tuple[Inclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Cytoplasm:
    """Cytoplasm of a cell; dyes as concentrations.

    Attributes:
        outline: Radii around the cell's centre.
        light_green: Light green.
        eosin: Eosin.
        orange_g: Orange G.
        haematoxylin: Haematoxylin of basophilic cytoplasm.
        edge_um: Width over which the border fades; 0 is sharp.
        grain: Contrast of its granularity (0 to 1).
        pallor: Loss of dye in the middle of a red cell, as a fraction (0 to 1).
    """

    outline: Outline
    light_green: float = 0.0
    eosin: float = 0.0
    orange_g: float = 0.0
    haematoxylin: float = 0.0
    edge_um: float = 0.0
    grain: float = 0.12
    pallor: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One object of the ground truth: a cell, a naked nucleus, a red cell or an apoptotic body.

    Attributes:
        kind: Class, e.g. ``lymphocyte`` or ``small_nec``.
        x_um: Centre.
        y_um: Centre.
        z_um: Height above the plane of best focus.
        nuclei: None for a red cell, one for most, lobes for a neutrophil.
        cytoplasm: None for a naked nucleus.
        vacuoles: Vacuoles of the cytoplasm.
        granules: Brown pigment.
        blebs: Blebs of the cytoplasm, and spikes of a red cell; strength relative to the cytoplasm.
        cluster: Number of its cluster on this slide, or ``NO_CLUSTER``.
        texture: Seed of its position in the texture fields.
        state: Intact, in mitosis (``dividing``) or degenerate.
    """

    kind: str
    x_um: float
    y_um: float
    z_um: float
    nuclei: tuple[Nucleus, ...] = ()
    cytoplasm: Cytoplasm | None = None
    vacuoles: tuple[Inclusion, ...] = ()
    granules: tuple[Inclusion, ...] = ()
    blebs: tuple[Inclusion, ...] = ()
    cluster: int = NO_CLUSTER
    texture: int = 0
    state: State = "intact"

    @property
    def reach_um(self) -> float:
        """Largest distance of any of its points from its centre."""
        reach = float(self.cytoplasm.outline.max()) if self.cytoplasm is not None else 0.0
        for nucleus in self.nuclei:
            reach = max(reach, float(np.hypot(nucleus.dx_um, nucleus.dy_um) + nucleus.outline.max()))
        for bleb in self.blebs:
            reach = max(reach, math.hypot(bleb.dx_um, bleb.dy_um) + bleb.diameter_um / 2.0)
        return reach


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in micrometres."""

    left_um: float
    top_um: float
    right_um: float
    bottom_um: float


class Backdrop(Protocol):
    """An object that is no cell: ring of the spot, writing, bubble, fibre, debris."""

    @property
    def kind(self) -> str:
        """Its class in the ground truth."""
        ...

    @property
    def box(self) -> Box:
        """Bounding box of its pixels."""
        ...

    def optical_density(
        self, x_um: npt.NDArray[np.float32], y_um: npt.NDArray[np.float32]
    ) -> OdArray | np.float32 | npt.NDArray[np.float32]:
        """Optical density added at the pixels with centres (x_um [width], y_um [height]).

        Returns:
            An array that broadcasts to [height, width, 3].
        """
        ...


@runtime_checkable
class OutlinedBackdrop(Backdrop, Protocol):
    """An object that is no cell, with an exact outline in the truth; the others have their bounding box there."""

    @property
    def outline(self) -> BaseGeometry:
        """Polygon or polygons in µm."""
        ...


@runtime_checkable
class SparseBackdrop(Backdrop, Protocol):
    """An object that leaves most tiles of its bounding box empty."""

    def touches(self, tile: Box) -> bool:
        """Whether it may be visible on a tile."""
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cells that lie close together: the unit of review.

    Attributes:
        number: Number on the slide.
        kind: Class and architecture, e.g. ``small_cell_moulded`` or ``choroid_group``.
    """

    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Region:
    """A region of a section, as a pathologist would outline it.

    Attributes:
        kind: ``region_small_nec``, ``region_large_nec``, ``region_mixed_nec`` or ``region_benign``.
        outline: Polygon in µm, with holes.
    """

    kind: str
    outline: Polygon


@dataclass(frozen=True, slots=True)
class Seam:
    """A stitching error: the scan is shifted from a column on.

    Attributes:
        x_um: Left edge of the shifted part, which reaches to the right border.
        shift_px: Downward shift in level-0 pixels.
    """

    x_um: float
    shift_px: int


@dataclass(frozen=True, slots=True)
class Scene:
    """All objects on one slide.

    Attributes:
        width_um: Width of the scanned area.
        height_um: Height of the scanned area.
        cells: In the order of rendering; the order changes the image by rounding only.
        clusters: One per cluster number in ``cells``.
        backdrop: Objects other than cells.
        confounders: Names of the confounders.
        regions: Regions of a section; they have labels instead of single cells.
        seam: The stitching error, if any.
        squeezed: Cells that lie on each other are squeezed: optical densities add up as the root of their squares. False: as
            their sum.
    """

    width_um: float
    height_um: float
    cells: Sequence[Cell]
    clusters: Sequence[Cluster] = ()
    backdrop: Sequence[Backdrop] = field(default_factory=tuple[Backdrop, ...])
    confounders: tuple[str, ...] = ()
    regions: Sequence[Region] = ()
    seam: Seam | None = None
    squeezed: bool = False
