"""Reader of all formats that OpenSlide opens, DICOM included.

Label and macro images are never read: they show names and barcodes.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import openslide
from openslide.lowlevel import OpenSlideError
from PIL import ImageCms

from inkdot.errors import UnreadableSlideError
from inkdot.records import BoundsL0, ReadPlan, RgbArray, SlideEntry, SlideInfo
from inkdot.slides.mpp import mpp_from_ome, mpp_from_properties, resolve_mpp
from inkdot.slides.pixels import fitted_size, on_white, shrunk
from inkdot.slides.quality_warnings import background_warnings, profile_warnings
from inkdot.slides.structure.empty_tiles import with_empty_areas
from inkdot.slides.structure.tiff_contents import tiff_warnings
from inkdot.slides.structure.tiff_limits import compression_name, unknown_compression
from inkdot.slides.synthetic_flag import is_marked_synthetic
from inkdot.slides.tile_checks import DamagedTileError, TileChecks
from inkdot.units import Level0Px, LevelPx

_COMPRESSION: Final = re.compile(r"Unsupported TIFF compression: (\d+)")
_AREAS_AS_PAGES = frozenset({"leica", "trestle", "ventana"})
"""Formats, as OpenSlide names them, that keep several areas or planes as pages, which OpenSlide sorts out."""

_SAMPLES_A_SIDE = 5
_SAMPLE_SIDE_PX = 32
_DESCRIPTIONS = ("tiff.ImageDescription", openslide.PROPERTY_NAME_COMMENT)
_BOUNDS = (
    openslide.PROPERTY_NAME_BOUNDS_X,
    openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH,
    openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
)


class OpenSlideSlide:
    """A slide file opened by OpenSlide, behind the protocol :class:`inkdot.records.Slide`.

    Args:
        entry: The slide; its µm/px override those of the file.

    Raises:
        UnreadableSlideError: OpenSlide does not open the file.
        MissingMppError: See :func:`inkdot.slides.mpp.resolve_mpp`.
        ImplausibleMppError: See there.
    """

    def __init__(self, entry: SlideEntry) -> None:
        self._path = entry.path
        self._warnings: tuple[str, ...] | None = None
        self._checks: TileChecks | None = None
        try:
            self._handle = openslide.OpenSlide(entry.path)
        except OpenSlideError as error:
            raise unreadable(entry.path, error) from None
        try:
            self._info = _info(entry, self._handle)
        except OpenSlideError as error:
            self._handle.close()
            raise unreadable(entry.path, error) from None
        except BaseException:
            self._handle.close()
            raise

    @property
    def info(self) -> SlideInfo:
        """Metadata of the slide. Its warnings need some reading, which is done on first access."""
        if self._warnings is None:
            self._warnings = (*profile_warnings(_profile(self._handle)), *_background_warnings(self._path))
            self._info = replace(self._info, warnings=self._warnings)
        return self._info

    def check_contents(self) -> None:
        """Add to :attr:`info` where the file has no pixels, and what else of it is not read; check tiles from now on.

        Only for slides that the native reader does not take, which takes no such file and checks its own tiles.

        Raises:
            UnreadableSlideError: See :func:`inkdot.slides.structure.tiff_contents.tiff_warnings`; or a tile is damaged, of
                those of a format where it is not known which lie under a rectangle.
        """
        info = self.info
        if info.vendor not in _AREAS_AS_PAGES:
            info = replace(info, warnings=(*info.warnings, *tiff_warnings(self._path, info.size_l0_px)))
        self._info = with_empty_areas(info, self._path)
        self._checks = TileChecks(self._path, self._info)
        try:
            self._checks.check_unplaced()
        except DamagedTileError as error:
            raise unreadable(self._path, error, error.where) from None

    def read(self, plan: ReadPlan) -> RgbArray:
        """Pixels of a rectangle, uint8 RGB [height, width, 3]; white where the slide has none.

        Where the corner falls between pixels of the level, OpenSlide interpolates.

        Raises:
            UnreadableSlideError: The pixels cannot be decoded, or their decoder warns of damage. Where OpenSlide notices it, it
                refuses the slide for good.
        """
        size = (plan.width_level_px, plan.height_level_px)
        try:
            if self._checks is not None:
                self._checks.check(plan)
            image = self._handle.read_region((plan.x_l0_px, plan.y_l0_px), plan.level, size)
        except DamagedTileError as error:
            raise unreadable(self._path, error, error.where) from None
        except OpenSlideError as error:
            where = f"level {plan.level} at ({plan.x_l0_px}, {plan.y_l0_px})"
            raise unreadable(self._path, error, f"found none at {where}") from None
        return on_white(np.asarray(image))

    def thumbnail(self, max_side_px: int) -> RgbArray:
        """The whole slide, uint8 RGB, its longer side at most ``max_side_px``."""
        size = self._info.size_l0_px
        target = fitted_size(size, max_side_px)
        level = self._handle.get_best_level_for_downsample(max(size) / max(target))
        downsample = self._info.level_downsamples[level]

        def read(x: int, y: int, width: int, height: int) -> RgbArray:
            corner = Level0Px(round(x * downsample)), Level0Px(round(y * downsample))
            return self.read(ReadPlan(level, *corner, LevelPx(width), LevelPx(height)))

        return shrunk(self._info.level_sizes_px[level], read, max_side_px)

    def close(self) -> None:
        """Release the file; reading afterwards is an error."""
        self._handle.close()
        if self._checks is not None:
            self._checks.close()


def openslide_vendor(path: Path) -> str | None:
    """Name of the format in OpenSlide, or None where it cannot open the file."""
    try:
        return openslide.OpenSlide.detect_format(path)
    except OpenSlideError:
        return None


def unreadable(path: Path, error: Exception, found: str = "") -> UnreadableSlideError:
    """Make an error of one line from an error of a decoding library."""
    message = " ".join(str(error).split()) or type(error).__name__
    compression = _COMPRESSION.search(message)
    if compression is not None:
        return unknown_compression(path, compression_name(int(compression[1])))
    found = found or "found a damaged file or a kind that is not supported"
    return UnreadableSlideError(
        f"{path}: expected readable pixels, {found} ({message}); copy or export the slide again"
    )


def _info(entry: SlideEntry, handle: openslide.OpenSlide) -> SlideInfo:
    properties = handle.properties
    # OME-XML takes precedence over resolution tags, which may be those of a printer.
    in_file = mpp_from_ome(properties.get(_DESCRIPTIONS[0], "")) or mpp_from_properties(
        properties, openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y
    )
    mpp, source = resolve_mpp(str(entry.path), in_file, entry.mpp)
    width, height = handle.dimensions
    return SlideInfo(
        slide_id=entry.slide_id,
        size_l0_px=(Level0Px(width), Level0Px(height)),
        mpp=mpp,
        mpp_source=source,
        level_sizes_px=tuple((LevelPx(w), LevelPx(h)) for w, h in handle.level_dimensions),
        level_downsamples=tuple(handle.level_downsamples),
        bounds_l0_px=_bounds(properties),
        vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
        synthetic=is_marked_synthetic(entry.path, [properties.get(key, "") for key in _DESCRIPTIONS]),
    )


def _profile(handle: openslide.OpenSlide) -> ImageCms.ImageCmsProfile | None:
    try:
        return handle.color_profile
    except (ImageCms.PyCMSError, OSError):  # invalid profile
        return None


def _background_warnings(path: Path) -> tuple[str, ...]:
    """Check samples of the coarsest level."""
    # A separate handle: after one damaged tile OpenSlide refuses all others.
    with openslide.OpenSlide(path) as handle:
        level = handle.level_count - 1
        width, height = handle.level_dimensions[level]
        downsample = handle.level_downsamples[level]
        side = min(_SAMPLE_SIDE_PX, width, height)
        samples: list[npt.NDArray[np.uint8]] = []
        for row in range(_SAMPLES_A_SIDE):
            for column in range(_SAMPLES_A_SIDE):
                x = (width - side) * column // (_SAMPLES_A_SIDE - 1)
                y = (height - side) * row // (_SAMPLES_A_SIDE - 1)
                corner = round(x * downsample), round(y * downsample)
                try:
                    image = handle.read_region(corner, level, (side, side))
                except OpenSlideError:
                    return ()  # reading there raises the error
                samples.append(np.asarray(image))
    return background_warnings(np.stack(samples))


def _bounds(properties: Mapping[str, str]) -> BoundsL0 | None:
    try:
        x, y, width, height = (int(properties[key]) for key in _BOUNDS)
    except (KeyError, ValueError):
        return None
    return BoundsL0(Level0Px(x), Level0Px(y), Level0Px(width), Level0Px(height))
