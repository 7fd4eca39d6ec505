"""TIFFs that decoders cannot read: of a compression that they do not know, or of tiles that no memory holds."""

# pyright: reportUnknownMemberType=false

import math
from pathlib import Path
from typing import Final

import tifffile

from inkdot.errors import UnreadableSlideError
from inkdot.slides.structure.native_structure import ODD_STRUCTURE, quiet_tifffile

LARGEST_TILE_PX: Final = 2**27
"""Pixels of one native tile, 512 MiB when decoded. Where memory is short, OpenSlide ends the whole process."""

_COMPRESSIONS: Final = {
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 22610: "JPEG XR", 34934: "JPEG XR",
    34887: "LERC", 34892: "lossy JPEG of DNG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 34927: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Names of the values of the tag Compression that OpenSlide and Pillow decode in some builds and formats, or never."""


def refuse_huge_tiles(path: Path) -> None:
    """Refuse a TIFF with native tiles of more than :data:`LARGEST_TILE_PX` pixels, or that lists fewer tiles than its size needs.

    OpenSlide takes tiles that are not listed for empty ones. Other files are left alone.

    Raises:
        UnreadableSlideError: It has such a tile, or too few.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            largest = max(((page.tilewidth, page.tilelength) for page in pages), key=_area, default=(0, 0))
            short = next(
                ((number, *counts) for number, page in enumerate(pages) if (counts := _too_few_tiles(page))),
                None,
            )
    except (*ODD_STRUCTURE, ZeroDivisionError):
        return
    if _area(largest) > LARGEST_TILE_PX:
        raise UnreadableSlideError(
            f"{path}: expected tiles of at most {LARGEST_TILE_PX:,} pixels, found {largest[0]:,} x {largest[1]:,}; "
            "copy the file again, or export it with tiles of 256 pixels a side"
        )
    if short is not None:
        raise UnreadableSlideError(
            f"{path}: expected {short[1]:,} tiles in image {short[0]}, as its size needs, found {short[2]:,} listed; "
            "copy the file again, or export it anew"
        )


def rare_compression(path: Path) -> str:
    """Name of a compression in a TIFF that most decoders do not know, for the message of one that failed; else empty."""
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            found = [int(page.compression) for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
    except ODD_STRUCTURE:
        return ""
    return next((compression_name(number) for number in found if number in _COMPRESSIONS), "")


def compression_name(number: int) -> str:
    """A compression of TIFF in words, e.g. ``JPEG XL (TIFF compression 50002)``."""
    known = _COMPRESSIONS.get(number)
    return f"{known} (TIFF compression {number})" if known else f"TIFF compression {number}"


def unknown_compression(path: Path, name: str) -> UnreadableSlideError:
    """The error for a file of a compression that the decoder does not know."""
    return UnreadableSlideError(
        f"{path}: expected JPEG or another compression that can be decoded, found {name}; export it as a pyramidal TIFF "
        "with JPEG tiles"
    )


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _too_few_tiles(page: tifffile.TiffPage) -> tuple[int, int] | None:
    """Tiles that the size of a page needs and those that it lists, where they are fewer; else None."""
    # Sizes of odd types of tags are numbers of NumPy, which overflow.
    needed = math.prod(
        -(-int(size) // int(side))
        for size, side in ((page.imagewidth, page.tilewidth), (page.imagelength, page.tilelength))
    )
    found = len(page.dataoffsets)
    return (needed, found) if found < needed else None
