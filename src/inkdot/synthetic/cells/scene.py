"""What lies on the glass, in micrometres, before any light passes through it.

x grows to the right, y downwards, from the top left corner of the slide's level 0; z is the height above the
plane in focus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon

from inkdot.synthetic.cells.shapes import Outline

Chromatin = Literal["fine", "coarse", "vesicular", "smudged", "reticular"]
State = Literal["intact", "dividing", "degenerate"]
CHROMATINS: tuple[Chromatin, ...] = ("fine", "coarse", "vesicular", "smudged", "reticular")

OdArray = npt.NDArray[np.float32]
"""Optical density per colour channel, [height, width, (R, G, B)]."""

NO_CLUSTER = -1


@dataclass(frozen=True, slots=True)
class Spot:
    """A small round thing inside a cell: nucleolus, vacuole or granule.

    Attributes:
        dx_um: Offset from the centre of what holds it.
        dy_um: Offset from the centre of what holds it.
        diameter_um: Its diameter.
        strength: How much it stands out, relative to what surrounds it.
    """

    dx_um: float
    dy_um: float
    diameter_um: float
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Nucleus:
    """One nucleus, or one lobe of a segmented one.

    Attributes:
        dx_um: Offset of its centre from the cell's.
        dy_um: Offset of its centre from the cell's.
        outline: Radii around its centre.
        haematoxylin: Concentration of the dye at the centre.
        chromatin: Texture.
        nucleoli: Where they are, from the nucleus's centre.
    """

    dx_um: float
    dy_um: float
    outline: Outline
    haematoxylin: float
    chromatin: Chromatin
    nucleoli: tuple[Spot, ...] = ()


@dataclass(frozen=True, slots=True)
class Cytoplasm:
    """Body of a cell.

    Attributes:
        outline: Radii around the cell's centre.
        light_green: Concentration of the dye.
        eosin: Concentration of the dye.
        orange_g: Concentration of the dye.
        haematoxylin: Concentration taken up by a basophilic cytoplasm.
        edge_um: Width over which the border fades; 0 is sharp.
        grain: Contrast of its granularity, as a fraction.
    """

    outline: Outline
    light_green: float = 0.0
    eosin: float = 0.0
    orange_g: float = 0.0
    haematoxylin: float = 0.0
    edge_um: float = 0.0
    grain: float = 0.12


@dataclass(frozen=True, slots=True)
class Cell:
    """One object that truth names: a cell, a naked nucleus, a red cell, an apoptotic body.

    Attributes:
        kind: Class, e.g. ``lymphocyte`` or ``small_nec``.
        x_um: Centre.
        y_um: Centre.
        z_um: Height above the plane of best focus.
        nuclei: None for a red cell, one for most, lobes for a neutrophil.
        cytoplasm: None for a naked nucleus.
        vacuoles: Clear holes in the cytoplasm.
        granules: Brown pigment.
        cluster: Number of the cluster it belongs to on this slide, or ``NO_CLUSTER``.
        texture: Where in the texture fields this cell is cut from; makes it reproducible on its own.
        state: Whether it divides, or fell apart on the way to the glass.
    """

    kind: str
    x_um: float
    y_um: float
    z_um: float
    nuclei: tuple[Nucleus, ...] = ()
    cytoplasm: Cytoplasm | None = None
    vacuoles: tuple[Spot, ...] = ()
    granules: tuple[Spot, ...] = ()
    cluster: int = NO_CLUSTER
    texture: int = 0
    state: State = "intact"

    @property
    def reach_um(self) -> float:
        """Largest distance of any of its points from its centre."""
        reach = float(self.cytoplasm.outline.max()) if self.cytoplasm is not None else 0.0
        for nucleus in self.nuclei:
            reach = max(reach, float(np.hypot(nucleus.dx_um, nucleus.dy_um) + nucleus.outline.max()))
        return reach


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in micrometres."""

    left_um: float
    top_um: float
    right_um: float
    bottom_um: float


class Backdrop(Protocol):
    """Something too large or too vague to be a cell: ring of the spot, writing, bubble, fibre, debris."""

    @property
    def kind(self) -> str:
        """What truth calls it."""
        ...

    @property
    def box(self) -> Box:
        """Where it may change the image."""
        ...

    def optical_density(
        self, x_um: npt.NDArray[np.float32], y_um: npt.NDArray[np.float32]
    ) -> OdArray | np.float32 | npt.NDArray[np.float32]:
        """Optical density added at the pixels with centres (x_um [width], y_um [height]).

        Returns:
            An array that broadcasts to [height, width, 3].
        """
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cells that lie close together: the unit a person judges.

    Attributes:
        number: Its number on the slide.
        kind: How it was built, e.g. ``small_cell_moulded`` or ``choroid_group``.
    """

    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Region:
    """A field of a section that a person would outline.

    Attributes:
        kind: ``region_small_nec``, ``region_large_nec``, ``region_mixed_nec`` or ``region_benign``.
        outline: Polygon in µm, with holes.
    """

    kind: str
    outline: Polygon


@dataclass(frozen=True, slots=True)
class Seam:
    """Where two stripes of the scan were joined a few pixels off.

    Attributes:
        x_um: Left edge of the stripe that lies too low; it reaches to the right border.
        shift_px: By how many level-0 pixels its image lies too low.
    """

    x_um: float
    shift_px: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on one slide.

    Attributes:
        width_um: Size of the scanned area.
        height_um: Size of the scanned area.
        cells: In painting order; order does not change the image beyond rounding.
        clusters: One per cluster number that occurs in ``cells``.
        backdrop: Everything else.
        confounders: Names of the confounders that the slide has.
        regions: Fields of a section, which are judged instead of its single cells.
        seam: Where the scan was joined badly.
    """

    width_um: float
    height_um: float
    cells: Sequence[Cell]
    clusters: Sequence[Cluster] = ()
    backdrop: Sequence[Backdrop] = field(default_factory=tuple[Backdrop, ...])
    confounders: tuple[str, ...] = ()
    regions: Sequence[Region] = ()
    seam: Seam | None = None
