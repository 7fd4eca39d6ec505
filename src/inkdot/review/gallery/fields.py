"""The field, scale and scale bar of each image of the page."""

from dataclasses import dataclass

from inkdot.geometry import um_to_l0_px
from inkdot.records import Mpp, TileSpec
from inkdot.review.results.ranking import Region, View
from inkdot.units import Micrometres, MicrometresPerPixel, TilePx

CONTEXT_FACTOR = 4.0
"""Side of the surroundings in sides of the region."""

LEAST_CONTEXT_FACTOR = 1.5
"""Least factor, used where the larger one would not fit into the image at full resolution."""

MAX_TILE_PX = 512
CONTEXT_PX = 1024
MAX_CONTEXT_PX = 2048
"""Limit for regions too large for ``CONTEXT_PX`` at full resolution."""

OVERVIEW_PX = 1600

_ROUND_LENGTHS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_LONGEST_BAR_FRACTION = 1 / 3


@dataclass(frozen=True, slots=True)
class Field:
    """A square field of the slide to read for one image.

    Attributes:
        x_l0_px: Left edge in level-0 pixels; may lie outside the slide.
        y_l0_px: Top edge in level-0 pixels; may lie outside the slide.
        spec: Side in pixels and scale to read at; the field is square in µm.
    """

    x_l0_px: int
    y_l0_px: int
    spec: TileSpec


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar of a round length.

    Attributes:
        length_um: What the bar measures.
        fraction: Its length as a fraction (0 to 1) of the image's width.
    """

    length_um: int
    fraction: float


def view_of(region: Region, spec: TileSpec) -> View:
    """The square that the image of a region shows: its own, else the tile at its corner."""
    return region.view or View(region.x_l0_px, region.y_l0_px, float(spec.side_um))


def tile_field(region: Region, spec: TileSpec, mpp: Mpp) -> Field:
    """The region itself, at the full resolution of the slide."""
    view = view_of(region, spec)
    return Field(view.x_l0_px, view.y_l0_px, finest_spec(view.side_um, mpp, MAX_TILE_PX))


def context_field(region: Region, spec: TileSpec, mpp: Mpp) -> Field:
    """The surroundings at full resolution, with the region in the middle.

    Only what is larger than 1,365 level-0 pixels is shown coarser, so that the image stays within ``MAX_CONTEXT_PX``.
    """
    view = view_of(region, spec)
    side_um = context_side_um(view.side_um, mpp)
    margin_x, margin_y = um_to_l0_px(Micrometres((side_um - view.side_um) / 2), mpp)
    return Field(
        round(view.x_l0_px - margin_x),
        round(view.y_l0_px - margin_y),
        finest_spec(side_um, mpp, MAX_CONTEXT_PX),
    )


def context_side_um(side_um: float, mpp: Mpp) -> float:
    """Side in µm of the surroundings of a region ``side_um`` µm wide."""
    at_full_resolution_um = CONTEXT_PX * max(mpp.x, mpp.y)
    return max(side_um * LEAST_CONTEXT_FACTOR, min(side_um * CONTEXT_FACTOR, at_full_resolution_um))


def finest_spec(side_um: float, mpp: Mpp, max_px: int) -> TileSpec:
    """A field of ``side_um`` µm at the resolution of level 0, coarser where that needs more than ``max_px``."""
    side_px = max(1, min(max_px, round(side_um / max(mpp.x, mpp.y))))
    return TileSpec(TilePx(side_px), MicrometresPerPixel(side_um / side_px), TilePx(side_px))


def scale_bar(width_um: float) -> ScaleBar:
    """The longest round bar that takes at most a third of an image ``width_um`` wide."""
    fitting = [length for length in _ROUND_LENGTHS_UM if length <= width_um * _LONGEST_BAR_FRACTION]
    length = fitting[-1] if fitting else _ROUND_LENGTHS_UM[0]
    return ScaleBar(length, length / width_um)
