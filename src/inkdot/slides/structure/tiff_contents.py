"""What a TIFF holds that its reader would not see: pages of other colours or planes, more bits, another orientation.

Readers take the first page of its size, 8 bits of each channel, and the order of the rows in the file. They say nothing of the
rest, so it is looked for here, for every reader of TIFFs.
"""

# pyright: reportUnknownMemberType=false
import re
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import tifffile

from inkdot.errors import UnreadableSlideError
from inkdot.slides.quality_warnings import COLOUR_PAGES, GREY, orientation_warnings, pages_warnings
from inkdot.slides.structure.jpeg_stream import decode_strictly
from inkdot.slides.structure.native_jpeg import stream_head, without_markers
from inkdot.slides.structure.native_structure import ODD_STRUCTURE, quiet_tifffile

_ORIENTATION: Final = 274
_JPEG, _DEFLATE = 7, (8, 32946)
_RGB, _GREY_KINDS = 2, (0, 1)
_UNSIGNED = 1
_SIZES_IN_OME: Final = re.compile(r"\bSize([CZ])\s*=\s*[\"'](\d+)[\"']")


def tiff_warnings(path: Path, size_px: tuple[int, int] | None = None) -> tuple[str, ...]:
    """Warnings for a TIFF; none where it is no TIFF that tifffile opens.

    Args:
        path: The file.
        size_px: Width and height of level 0; None where the first page is read and no other.

    Raises:
        UnreadableSlideError: Its pixels would be wrong: not 8 bits per channel, colours in separate grey pages, or tiles
            that would be turned one by one.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            alike = [page for page in pages if size_px in (None, (page.imagewidth, page.imagelength))]
            if not alike:
                return ()
            first = alike[0]
            alike = [page for page in alike if page.shape == first.shape]
            _check_bits(path, first)
            if size_px is None and colour_pages(path) is not None:
                return (COLOUR_PAGES, *_orientation(path, first))
            planes = max(len(alike), _stated_in_ome(first, "Z"))
            grey = _grey_warnings(path, first, planes)
            unread = max(planes, len(pages) if size_px is None else 1)
            return (*grey, *pages_warnings(unread), *_orientation(path, first))
    except ODD_STRUCTURE:
        return ()


def colour_pages(path: Path) -> tuple[int, int, int] | None:
    """Numbers of the pages that hold red, green and blue: three grey 8-bit pages of the first page's size, and no fourth.

    OME-TIFFs keep the channels of a bright-field scan in this way.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            alike = [index for index, page in enumerate(pages) if page.shape == pages[0].shape]
            one_byte = pages[0].samplesperpixel == 1 and pages[0].bitspersample == 8
            if len(alike) != 3 or not one_byte or int(pages[0].photometric) not in _GREY_KINDS:
                return None
            if _stated_in_ome(pages[0], "C") not in (1, 3) or _stated_in_ome(pages[0], "Z") > 1:
                return None
            return alike[0], alike[1], alike[2]
    except ODD_STRUCTURE:
        return None


def check_tiff_streams(path: Path, number: int = 0) -> None:
    """Decode the parts of a page that have checksums or warnings of their own, which Pillow drops.

    Raises:
        UnreadableSlideError: One of them is damaged, or has no bytes in the file.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            page = tiff.pages[number]
            if not isinstance(page, tifffile.TiffPage):
                return
            offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
            head = stream_head(page.jpegtables or b"", is_rgb=page.photometric == _RGB)
            compression = int(page.compression)
    except ODD_STRUCTURE:
        return
    if 0 in offsets:
        raise _damaged(path, f"{offsets.count(0)} of {len(offsets)} strips without bytes")
    if compression != _JPEG and compression not in _DEFLATE:
        return
    with path.open("rb") as file:
        for index, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
            file.seek(offset)
            data = file.read(length)
            try:
                if compression == _JPEG:
                    decode_strictly(head + without_markers(data))
                else:
                    zlib.decompress(data)
            except (ValueError, zlib.error) as error:
                raise _damaged(path, f"strip {index + 1} of {len(offsets)}: {error}") from None


def _check_bits(path: Path, page: tifffile.TiffPage) -> None:
    # tifffile gives one number where the tag holds the same for all channels, else a tuple.
    bits = int(np.max(page.bitspersample))
    unsigned = bool(np.all(np.asarray(page.sampleformat) == _UNSIGNED))
    if bits > 8 or not unsigned:
        kind = "" if unsigned else " signed or real"
        raise UnreadableSlideError(
            f"{path}: expected 8 bits per channel, found {bits}{kind}; export it as 8-bit RGB"
        )


def _grey_warnings(path: Path, page: tifffile.TiffPage, pages: int) -> tuple[str, ...]:
    """A grey page may be one colour of several."""
    if int(page.photometric) not in _GREY_KINDS:
        return ()
    channels = max(page.samplesperpixel, _stated_in_ome(page, "C"))
    if channels > 2 or pages > 1:
        found = f"{channels} grey channels" if channels > 2 else f"{pages} grey pages of one size"
        raise UnreadableSlideError(
            f"{path}: expected red, green and blue in each pixel, found {found}, which may be one colour each; "
            "export it as 8-bit RGB"
        )
    return (GREY,)


def _orientation(path: Path, page: tifffile.TiffPage) -> tuple[str, ...]:
    orientation = int(page.tags.valueof(_ORIENTATION, default=1))
    # OpenSlide has libtiff turn tile by tile, but not their order.
    if orientation not in (0, 1) and page.is_tiled and int(page.compression) != _JPEG:
        raise UnreadableSlideError(
            f"{path}: expected tiles from the top left (orientation 1), found orientation {orientation}; "
            "export it without rotation"
        )
    return orientation_warnings(orientation)


def _stated_in_ome(page: tifffile.TiffPage, axis: str) -> int:
    """Channels or planes that OME-XML states for the image, in this or other files; 1 where it states none."""
    description = page.description if "OME" in page.description[:2000] else ""
    return max((int(size) for name, size in _SIZES_IN_OME.findall(description) if name == axis), default=1)


def _damaged(path: Path, found: str) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{path}: expected a complete image, found a damaged one ({found}); copy or export it again"
    )
