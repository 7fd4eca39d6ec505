"""Places of slides for fine-tuning the cell finder: regions that readers answered, and fields that nobody looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt
import shapely
import shapely.affinity
from shapely.geometry.base import BaseGeometry

from inkdot.cell_finder import FINDER_MPP, CellFinder
from inkdot.config import default_config
from inkdot.errors import UserError
from inkdot.geometry import check_resolution, plan_square
from inkdot.labels import CELL, NOT_A_CELL
from inkdot.records import RgbArray, Slide
from inkdot.review.verdicts.verdict_table import same_region_numbers
from inkdot.storage.tables.finder_corrections import FinderCorrection
from inkdot.tiling.clusters.blocks import blocks_with_foreground
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.foreground.glass import Glass
from inkdot.tiling.tile_pixels import read_resized
from inkdot.training.cell_finder.samples import Mask, middles_of

PLACE_PX: Final = 192
"""Side of the image of a place at 0.5 µm per pixel: a sample turned by any angle fits."""

_LARGEST_PX: Final = 640
_MARGIN_PX: Final = 32
_EDGE_PX: Final = 2.0  # a nucleus whose middle lies within 1 µm of a region is in it
_FIELD_UM: Final = PLACE_PX // round(1.0 / FINDER_MPP)
_DARK_OD_STEPS: Final = 12
_LEAST_DARK_PX: Final = 32


@dataclass(frozen=True, slots=True)
class AnsweredRegion:
    """A region on whose answer its readers agree.

    Attributes:
        slide_id: The slide.
        geometry: Polygon in level-0 pixels.
        answer: ``cell`` or ``not_a_cell``.
        readers: Their pseudonyms, sorted.
    """

    slide_id: str
    geometry: BaseGeometry
    answer: str
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """An image of a slide at 0.5 µm per pixel, and what readers said about it.

    Attributes:
        slide_id: The slide.
        rgb: Shape [side, side, 3], the region in the middle.
        glass: The empty glass of the slide.
        region: Polygon in pixels of the image; None for a field that nobody answered about.
        answer: ``cell`` or ``not_a_cell``; empty for such a field.
        no_cell: 1 in every region of the image without a cell, shape [side, side].
        lone_cell: 1 in the region where it holds a cell and the cell finder finds exactly one nucleus, shape [side, side].
        nuclei: How many nuclei the cell finder finds in the region before fine-tuning, or in the field.
    """

    slide_id: str
    rgb: RgbArray
    glass: Glass
    region: BaseGeometry | None
    answer: str
    no_cell: Mask
    lone_cell: Mask
    nuclei: int


def agreed_regions(corrections: Sequence[FinderCorrection]) -> tuple[list[AnsweredRegion], int]:
    """The regions on whose answer all their readers agree, and the number of the others.

    Regions are the same where they overlap by half of their union. Of two answers of one reader the later counts.
    """
    by_region: dict[tuple[str, int], dict[str, FinderCorrection]] = {}
    for one, number in zip(corrections, same_region_numbers(corrections), strict=True):
        of_readers = by_region.setdefault((one.slide_id, number), {})
        if one.reader not in of_readers or of_readers[one.reader].time <= one.time:
            of_readers[one.reader] = one
    regions: list[AnsweredRegion] = []
    for (slide_id, _), of_readers in by_region.items():
        given = list(of_readers.values())
        if len({one.answer for one in given}) == 1:
            readers = tuple(sorted(of_readers))
            regions.append(AnsweredRegion(slide_id, given[0].geometry, given[0].answer, readers))
    return regions, len(by_region) - len(regions)


def nuclei_of(finder: CellFinder, rgb: RgbArray, glass: Glass) -> npt.NDArray[np.float32]:
    """Middles of the nuclei that a cell finder finds in an image at 0.5 µm per pixel, in its pixels, shape [nuclei, 2]."""
    od_steps = cast("npt.NDArray[np.uint8]", cv2.LUT(rgb, glass.od_table()))
    middles = middles_of(finder.find(od_steps).labels)[:, :2]
    return middles * 2 + 0.5  # from 1 µm per pixel


def nuclei_in(region: BaseGeometry, middles: npt.NDArray[np.float32]) -> int:
    """How many of the nuclei lie in a region, or within 1 µm of it."""
    return sum(region.distance(shapely.Point(x, y)) <= _EDGE_PX for x, y in middles.tolist())


class SlidePlaces:
    """Reads the places of one slide.

    Args:
        slide: An open slide.
        slide_id: Its name.
        finder: The cell finder that is fine-tuned.

    Raises:
        ResolutionError: The slide is much coarser than 1 µm per pixel.
        NotBrightFieldError: Not a bright-field slide.
        UnreadableSlideError: Its pixels cannot be decoded.
    """

    def __init__(self, slide: Slide, slide_id: str, finder: CellFinder) -> None:
        check_resolution(slide.info, 2.0 * FINDER_MPP)
        self._slide, self._slide_id, self._finder = slide, slide_id, finder
        self._foreground: Foreground = find_foreground(slide, default_config("thinprep").tiling)

    def answered(self, regions: Sequence[AnsweredRegion]) -> list[Place]:
        """One place per region of this slide.

        Raises:
            UserError: A region lies off the slide.
        """
        width, height = self._slide.info.size_l0_px
        for region in regions:
            if not region.geometry.intersects(shapely.box(0, 0, width, height)):
                x, y = region.geometry.bounds[:2]
                raise UserError(
                    f"{self._slide_id}: expected regions on the slide of {width} x {height} px, found one at "
                    f"x {x:.0f}, y {y:.0f}; correct the slide's file or its slide_id"
                )
        empty = [region.geometry for region in regions if region.answer == NOT_A_CELL]
        return [self._place(region, empty) for region in regions]

    def fields(self, count: int, rng: np.random.Generator) -> list[Place]:
        """Up to ``count`` fields with something dark on them, drawn at random from all that hold foreground."""
        held = blocks_with_foreground(self._slide.info, self._foreground, _FIELD_UM, 0)
        blocks: list[tuple[float, float]] = [corner for corner, _ in held]
        places: list[Place] = []
        for index in cast("list[int]", rng.permutation(len(blocks)).tolist()):
            if len(places) == count:
                break
            rgb = self._read(blocks[index], PLACE_PX)
            steps = cv2.LUT(rgb, self._glass.od_table())
            if np.count_nonzero(steps[..., :2].min(axis=2) >= _DARK_OD_STEPS) < _LEAST_DARK_PX:
                continue
            blank = np.zeros((PLACE_PX, PLACE_PX), np.uint8)
            nuclei = len(nuclei_of(self._finder, rgb, self._glass))
            places.append(Place(self._slide_id, rgb, self._glass, None, "", blank, blank, nuclei))
        return places

    @property
    def _glass(self) -> Glass:
        return self._foreground.glass

    def _place(self, answered: AnsweredRegion, empty: Iterable[BaseGeometry]) -> Place:
        mpp = self._slide.info.mpp
        left, top, right, bottom = answered.geometry.bounds
        largest_px = max((right - left) * mpp.x, (bottom - top) * mpp.y) / FINDER_MPP
        side = int(np.clip(16 * np.ceil((largest_px + 2 * _MARGIN_PX) / 16), PLACE_PX, _LARGEST_PX))
        half_um = side * FINDER_MPP / 2
        corner_um = ((left + right) / 2 * mpp.x - half_um, (top + bottom) / 2 * mpp.y - half_um)
        scale = (mpp.x / FINDER_MPP, mpp.y / FINDER_MPP)

        def in_pixels(geometry: BaseGeometry) -> BaseGeometry:
            moved = shapely.affinity.scale(geometry, *scale, origin=(0, 0))
            return shapely.affinity.translate(moved, *(-at / FINDER_MPP for at in corner_um))

        rgb = self._read(corner_um, side)
        region = in_pixels(answered.geometry)
        nuclei = nuclei_in(region, nuclei_of(self._finder, rgb, self._glass))
        no_cell, lone = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
        field = shapely.box(0, 0, side, side)
        for geometry in empty:
            if (moved := in_pixels(geometry)).intersects(field):
                _fill(no_cell, moved)
        if answered.answer == CELL and nuclei == 1:
            _fill(lone, region)
        no_cell[lone > 0] = 0
        return Place(self._slide_id, rgb, self._glass, region, answered.answer, no_cell, lone, nuclei)

    def _read(self, corner_um: tuple[float, float], side: int) -> RgbArray:
        plan = plan_square(self._slide.info, corner_um, side * FINDER_MPP, FINDER_MPP)
        return read_resized(self._slide, plan, side)


def _fill(mask: Mask, region: BaseGeometry) -> None:
    for part in shapely.get_parts(region):
        if isinstance(part, shapely.Polygon):
            ring = np.asarray(part.exterior.coords)[:, :2]
            cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 1)
