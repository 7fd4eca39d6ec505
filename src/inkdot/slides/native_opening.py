"""Uses the native reader for a slide where it agrees with OpenSlide on sample tiles of the file."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from inkdot.errors import UnreadableSlideError
from inkdot.records import ReadPlan, RgbArray, SlideEntry, SlideInfo
from inkdot.slides.native_slide import NativeSlide
from inkdot.slides.openslide_backend import OpenSlideSlide
from inkdot.slides.structure.native_structure import VENDORS, NativeLevel, find_native_levels
from inkdot.units import Level0Px, LevelPx

_TILES_TRIED = 8
_LARGEST_DIFFERENCE = (
    4  # grey levels; a wrong colour space differs by far more, other builds of libjpeg by less
)


def open_natively(entry: SlideEntry, info: SlideInfo, *, dct_scaling: bool) -> NativeSlide | None:
    """The native reader of a slide, or None where the file is not suitable or the readers disagree.

    One tile per level is compared, because some writers state RGB but store YCbCr.

    Args:
        entry: The slide.
        info: Metadata of the slide from OpenSlide.
        dct_scaling: Passed on to the reader.
    """
    if info.vendor not in VENDORS:
        return None
    levels = find_native_levels(entry.path, info.level_sizes_px)
    if levels is None:
        return None
    slide = NativeSlide(entry.path, info, levels, dct_scaling=dct_scaling)
    try:
        # A separate reference: after one damaged tile OpenSlide refuses all others.
        with closing(OpenSlideSlide(entry)) as reference:
            if all(_agree(slide, reference, index, level) for index, level in enumerate(levels)):
                return slide
    except UnreadableSlideError:
        pass  # OpenSlide cannot decode these pixels either and raises an error when they are read
    except BaseException:
        slide.close()
        raise
    slide.close()
    return None


def _agree(slide: NativeSlide, reference: OpenSlideSlide, index: int, level: NativeLevel) -> bool:
    found = next(_readable_tiles(slide, index, level), None)
    if found is None:
        return False
    plan, pixels = found
    # Signed: differences of unsigned bytes wrap around.
    difference = np.abs(pixels.astype(np.int16) - reference.read(plan))
    return int(difference.max()) <= _LARGEST_DIFFERENCE


def _readable_tiles(
    slide: NativeSlide, index: int, level: NativeLevel
) -> Iterator[tuple[ReadPlan, RgbArray]]:
    """Tiles of a level, largest in bytes first: empty glass looks alike in every colour space."""
    count = min(_TILES_TRIED, len(level.lengths))
    largest = np.argpartition(-level.lengths, count - 1)[:count]
    downsample = slide.info.level_downsamples[index]
    width, height = level.tile_size_px
    for tile in sorted(largest.tolist(), key=lambda at: (-int(level.lengths[at]), at)):
        row, column = divmod(tile, level.columns)
        plan = ReadPlan(
            index,
            Level0Px(round(column * width * downsample)),
            Level0Px(round(row * height * downsample)),
            LevelPx(width),
            LevelPx(height),
        )
        try:
            yield plan, slide.read(plan)
        except UnreadableSlideError:
            continue
