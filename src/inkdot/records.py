"""Single things as frozen records, and the one protocol every slide reader implements.

Many things are tables, not lists of records: see :mod:`inkdot.storage.schemas`.
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
    """Sampling distance in micrometres per pixel along x and along y; never averaged silently."""

    x: MicrometresPerPixel
    y: MicrometresPerPixel

    @classmethod
    def square(cls, value: float) -> "Mpp":
        """The same sampling distance (µm per pixel) along both axes."""
        return cls(MicrometresPerPixel(value), MicrometresPerPixel(value))

    @property
    def anisotropy_fraction(self) -> float:
        """Relative difference of the two axes, 0 for square pixels."""
        return abs(self.x - self.y) / max(self.x, self.y)


@dataclass(frozen=True, slots=True)
class BoundsL0:
    """A rectangle in level-0 pixels: top left corner and size, x before y."""

    x_l0_px: Level0Px
    y_l0_px: Level0Px
    width_l0_px: Level0Px
    height_l0_px: Level0Px


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What is known of an open slide, without pixels.

    Attributes:
        slide_id: The name the slide goes by in every table.
        size_l0_px: Width and height in level-0 pixels.
        mpp: Micrometres per level-0 pixel.
        mpp_source: Who said so: the file's metadata or the manifest.
        level_sizes_px: Width and height of every level, level 0 first.
        level_downsamples: Level-0 pixels per pixel of each level; 1.0 first, ascending.
        bounds_l0_px: The scanned part of the slide in level-0 pixels, where the file states one.
            QuPath counts from its top left corner, every table here from level 0's.
        vendor: The format's name as OpenSlide gives it, or the name of another reader.
        synthetic: The file says that it was made, not scanned.
        warnings: What a person should know before trusting results of this slide, e.g. that it is
            fluorescence; goes with every output.
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


@dataclass(frozen=True, slots=True)
class TileSpec:
    """The physical scale at which tiles are cut: a setting, and a fact recorded with every table and model.

    Attributes:
        side_px: Side of the square tile as the network sees it.
        mpp: Micrometres per tile pixel.
        stride_px: Distance between neighbouring tiles of the grid, in tile pixels.
    """

    side_px: TilePx
    mpp: MicrometresPerPixel
    stride_px: TilePx

    @property
    def side_um(self) -> Micrometres:
        """Side of the tile on the glass, in micrometres."""
        return Micrometres(self.side_px * self.mpp)

    @property
    def stride_um(self) -> Micrometres:
        """Distance between neighbouring tiles on the glass, in micrometres."""
        return Micrometres(self.stride_px * self.mpp)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to ask a reader for: a rectangle of one level. Made by :func:`inkdot.geometry.plan_read`.

    Width and height are separate because pixels need not be square (docs/explanation/decisions/0002).

    Attributes:
        level: Pyramid level to read.
        x_l0_px: Left edge in level-0 pixels; may be negative or beyond the slide (filled with white).
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
    """An open slide. Handles are opened per process and never pickled."""

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide."""
        ...

    def read(self, plan: ReadPlan) -> RgbArray:
        """Pixels of a rectangle, uint8 RGB [height, width, 3]; white where the slide has no pixels.

        Raises:
            UnreadableSlideError: The file's pixels cannot be decoded there.
        """
        ...

    def thumbnail(self, max_side_px: int) -> RgbArray:
        """The whole slide, uint8 RGB, its longer side at most ``max_side_px``."""
        ...

    def close(self) -> None:
        """Release the file; reading afterwards is an error."""
        ...


@runtime_checkable
class ReducingSlide(Slide, Protocol):
    """A slide whose reader can shrink while decoding, which costs less than shrinking afterwards."""

    def read_reduced(self, plan: ReadPlan, least_width_px: int, least_height_px: int) -> RgbArray:
        """Pixels of a rectangle, uint8 RGB, of any size between the plan's and the least wanted.

        Args:
            plan: The rectangle, met to within half a pixel of what comes back.
            least_width_px: Columns that are needed; up to 1 % fewer may come, as with pyramid levels.
            least_height_px: Rows that are needed; up to 1 % fewer may come.

        Raises:
            UnreadableSlideError: The file's pixels cannot be decoded there.
        """
        ...


@dataclass(frozen=True, slots=True)
class SlideEntry:
    """One row of ``slides.csv``, validated.

    Attributes:
        slide_id: Unique name of the slide.
        path: The slide file.
        patient_id: Pseudonym of the patient, the unit of every split; empty where unknown.
        specimen_id: Pseudonym of the specimen; empty where unknown.
        site: Where the slide was made; empty where unknown.
        scanner: What scanned it; empty where unknown.
        preparation: thinprep, cytospin, section or smear; None where unknown.
        stain: pap, he, mgg and so on; empty where unknown.
        mpp: Micrometres per pixel that override the file's, or None.
        annotation: Labels table with places on this slide, or None.
        on_slide: Answer per head for what is on the slide; unknown heads are absent.
        of_patient: Answer per head for what the patient has (a positive patient may have a clean slide).
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
