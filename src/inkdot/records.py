"""Frozen records of slides and tiles, and the protocol of slide readers.

Tables with many rows are not lists of records; see :mod:`inkdot.storage.schemas`.

CONTRIBUTING.md has a recipe for adding a reader. Slides are opened in each worker process and never pickled; ``read``
may be called from several threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from inkdot.units import Level0Px, LevelPx, Micrometres, MicrometresPerPixel, TilePx

RgbArray = npt.NDArray[np.uint8]
"""Pixels as uint8 RGB, shape [height, width, 3]."""

MaskArray = npt.NDArray[np.bool_]
"""A mask, shape [height, width]."""

Preparation = Literal["thinprep", "cytospin", "section", "smear"]
MppSource = Literal["metadata", "manifest"]


@dataclass(frozen=True, slots=True)
class Mpp:
    """Sampling distance in micrometres per pixel along x and along y."""

    x: MicrometresPerPixel
    y: MicrometresPerPixel

    @classmethod
    def square(cls, value: float) -> "Mpp":
        """Make a sampling distance (µm per pixel) that is the same along both axes."""
        return cls(MicrometresPerPixel(value), MicrometresPerPixel(value))

    @property
    def anisotropy_fraction(self) -> float:
        """Difference of the two axes relative to the larger one (0 to 1); 0 for square pixels."""
        return abs(self.x - self.y) / max(self.x, self.y)


@dataclass(frozen=True, slots=True)
class BoundsL0:
    """A rectangle in level-0 pixels: top left corner and size, x before y."""

    x_l0_px: Level0Px
    y_l0_px: Level0Px
    width_l0_px: Level0Px
    height_l0_px: Level0Px


@dataclass(frozen=True, slots=True, eq=False)
class EmptyArea:
    """Where one pyramid level has no pixels in the file, on a grid over level 0 that starts at its corner.

    Attributes:
        level: The level.
        cells: Whether a cell (one native tile, or one pixel of a coarse level) is empty, shape [rows, columns].
        cell_l0_px: Width and height of a cell in level-0 pixels.
    """

    level: int
    cells: MaskArray
    cell_l0_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """Metadata of an open slide.

    Attributes:
        slide_id: Name of the slide in all tables.
        size_l0_px: Width and height in level-0 pixels.
        mpp: Micrometres per level-0 pixel.
        mpp_source: Source of the mpp: the metadata of the file, or the slide table or command line (``manifest``).
        level_sizes_px: Width and height of every level, level 0 first.
        level_downsamples: Level-0 pixels per pixel of each level; 1.0 first, ascending.
        bounds_l0_px: Scanned area of the slide in level-0 pixels, where the file states it. The origin of QuPath coordinates
            is its top left corner; that of all tables here is the corner of level 0.
        vendor: Name of the format in OpenSlide, or of another reader.
        synthetic: The file states that the slide is synthetic.
        warnings: Warnings that go with every result of the slide, e.g. that it is fluorescence.
        empty: Where levels have no pixels in the file, one item per such level; readers fill these areas with white.
    """

    slide_id: str
    size_l0_px: tuple[Level0Px, Level0Px]
    mpp: Mpp
    mpp_source: MppSource
    level_sizes_px: tuple[tuple[LevelPx, LevelPx], ...]
    level_downsamples: tuple[float, ...]
    bounds_l0_px: BoundsL0 | None = None
    vendor: str = "unknown"
    synthetic: bool = False
    warnings: tuple[str, ...] = ()
    empty: tuple[EmptyArea, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class TileSpec:
    """Side, scale and stride of tiles; recorded in every table and model.

    Attributes:
        side_px: Side of the square tile.
        mpp: Micrometres per tile pixel.
        stride_px: Distance between neighbouring tiles of the grid, in tile pixels.
    """

    side_px: TilePx
    mpp: MicrometresPerPixel
    stride_px: TilePx

    @property
    def side_um(self) -> Micrometres:
        """Side of the tile on the specimen in micrometres."""
        return Micrometres(self.side_px * self.mpp)

    @property
    def stride_um(self) -> Micrometres:
        """Distance between neighbouring tiles on the specimen in micrometres."""
        return Micrometres(self.stride_px * self.mpp)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A rectangle of one pyramid level to read. Made by :func:`inkdot.geometry.plan_read`.

    Width and height are separate because pixels need not be square (docs/explanation/decisions/0002).

    Attributes:
        level: Pyramid level to read.
        x_l0_px: Left edge in level-0 pixels; may be negative or beyond the slide, where pixels are white.
        y_l0_px: Top edge in level-0 pixels.
        width_level_px: Width in pixels of ``level``.
        height_level_px: Height in pixels of ``level``.
    """

    level: int
    x_l0_px: Level0Px
    y_l0_px: Level0Px
    width_level_px: LevelPx
    height_level_px: LevelPx


@runtime_checkable
class Slide(Protocol):
    """Protocol of an open slide; the module's docstring explains how to implement it."""

    @property
    def info(self) -> SlideInfo:
        """Metadata of the slide; the same record at every access but for warnings found later."""
        ...

    def read(self, plan: ReadPlan) -> RgbArray:
        """Read a rectangle as uint8 RGB [height_level_px, width_level_px, 3]; white where the slide has no pixels.

        Args:
            plan: The rectangle.

        Raises:
            UnreadableSlideError: The pixels cannot be decoded.
        """
        ...

    def thumbnail(self, max_side_px: int) -> RgbArray:
        """Read the whole slide as uint8 RGB [height, width, 3], its longer side at most ``max_side_px``."""
        ...

    def close(self) -> None:
        """Release the file; reading afterwards is an error."""
        ...


@runtime_checkable
class ReducingSlide(Slide, Protocol):
    """A slide whose decoder can downscale, which is faster than downscaling afterwards."""

    def read_reduced(self, plan: ReadPlan, min_width_px: int, min_height_px: int) -> RgbArray:
        """Read a rectangle as uint8 RGB [height, width, 3], of any size from the minimum to that of the plan.

        Args:
            plan: The rectangle; the result covers it to within half a pixel of the result.
            min_width_px: Minimum number of columns; up to 2 % fewer may be returned, as with pyramid levels.
            min_height_px: Minimum number of rows; up to 2 % fewer may be returned.

        Raises:
            UnreadableSlideError: The pixels cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """One row of ``slides.csv``, validated.

    Attributes:
        slide_id: Unique name of the slide.
        path: The slide file.
        patient_id: Pseudonym of the patient, the unit of splits; empty where unknown.
        specimen_id: Pseudonym of the specimen; empty where unknown.
        site: Site that made the slide; empty where unknown.
        scanner: Scanner model; empty where unknown.
        preparation: thinprep, cytospin, section or smear; None where unknown.
        stain: pap, he, mgg and so on; empty where unknown.
        mpp: Micrometres per pixel that override those of the file, or None.
        annotation: Annotation file of the slide, or None.
        on_slide: Label of the slide by head; heads without a label are absent.
        of_patient: Label of the patient by head (the slide of a positive patient may be negative).
        extra: Further columns of the table, as written.
    """

    slide_id: str
    path: Path
    patient_id: str = ""
    specimen_id: str = ""
    site: str = ""
    scanner: str = ""
    preparation: Preparation | None = None
    stain: str = ""
    mpp: Mpp | None = None
    annotation: Path | None = None
    on_slide: Mapping[str, str] = field(default_factory=dict[str, str])
    of_patient: Mapping[str, str] = field(default_factory=dict[str, str])
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
