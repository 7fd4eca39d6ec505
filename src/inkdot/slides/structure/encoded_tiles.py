"""The encoded tiles of slides that OpenSlide decodes, so that damage counts as it does in the native reader.

OpenSlide drops libjpeg's warnings, and libtiff compares no checksum of deflate: pixels change without a word. Each tile is
therefore decoded here too, at an eighth of its size, which costs little beside what OpenSlide does with it
(docs/explanation/decisions/0270).
"""

# pyright: reportUnknownMemberType=false
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from inkdot.slides.structure.jpeg_stream import check_stream
from inkdot.slides.structure.native_jpeg import stream_head, without_markers
from inkdot.slides.structure.native_structure import ODD_STRUCTURE, quiet_tifffile

Codec = Literal["jpeg", "deflate"]
_CODECS: Final[dict[int, Codec]] = {7: "jpeg", 8: "deflate", 32946: "deflate"}
_END: Final = b"\xff\xd9"
_RESTARTS: Final = frozenset(range(0xD0, 0xD8))


@dataclass(frozen=True, slots=True)
class EncodedTiles:
    """Tiles of one level, as they are encoded in a file.

    Attributes:
        paths: The files that hold them.
        size_px: Width and height of the level, in its own pixels.
        tile_size_px: Width and height of a tile; not whole where tiles overlap.
        columns: Tiles in a row.
        offsets: Byte offset of each tile, row by row, int64.
        lengths: Byte length of each tile, int64; 0 where it is empty.
        codec: How they are compressed.
        head: Bytes that stand before each tile for its decoder; such as those of an NDPI, which stores them once.
        is_tiff: Each tile is a JPEG of a TIFF, whose own application markers do not count.
        in_place: Tiles lie where rows and columns say; else their number says nothing of their place.
        margin: By how many tiles they may lie elsewhere.
        file_numbers: Which of the files holds each tile; None where there is one.
    """

    paths: tuple[Path, ...]
    size_px: tuple[int, int]
    tile_size_px: tuple[float, float]
    columns: int
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    codec: Codec = "jpeg"
    head: bytes = b""
    is_tiff: bool = False
    in_place: bool = True
    margin: int = 0
    file_numbers: npt.NDArray[np.int64] | None = None

    def path_of(self, index: int) -> Path:
        """The file that holds a tile.

        Raises:
            ValueError: There is no such file.
        """
        number = 0 if self.file_numbers is None else int(self.file_numbers[index])
        if not 0 <= number < len(self.paths):
            raise ValueError(f"no file of number {number}")
        return self.paths[number]

    def check(self, data: bytes) -> None:
        """Decode a tile from its bytes.

        Raises:
            ValueError: It is damaged or truncated.
        """
        if self.codec == "deflate":
            try:
                zlib.decompress(data)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            return
        if self.is_tiff:
            data = without_markers(data)
        elif len(data) > 1 and data[-2] == 0xFF and data[-1] in _RESTARTS:  # cut out between two restarts
            data = data[:-2] + _END
        check_stream(self.head + data)


def tiff_tiles(path: Path) -> list[EncodedTiles]:
    """The levels of a TIFF, NDPI included, whose tiles are JPEG or deflate; none where it is no TIFF.

    Pages of strips, as labels and overviews are, are left out.
    """
    try:
        with quiet_tifffile(), tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
            found = [_of_page(path, page) for page in pages]
    except ODD_STRUCTURE:
        return []
    return [tiles for tiles in found if tiles is not None]


def _of_page(path: Path, page: tifffile.TiffPage) -> EncodedTiles | None:
    codec = _CODECS.get(int(page.compression))
    columns, rows = -(-page.imagewidth // page.tilewidth), -(-page.imagelength // page.tilelength)
    offsets, lengths = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
    if codec is None or page.samplesperpixel not in (1, 3) or len(offsets) != len(lengths):
        return None
    head = page.jpegheader or b""
    if codec == "jpeg" and not head:
        head = stream_head(page.jpegtables or b"", is_rgb=False)
    return EncodedTiles(
        paths=(path,),
        size_px=(page.imagewidth, page.imagelength),
        tile_size_px=(page.tilewidth, page.tilelength),
        columns=columns,
        offsets=offsets,
        lengths=lengths,
        codec=codec,
        head=head,
        is_tiff=page.jpegheader is None,
        in_place=len(offsets) == columns * rows,
    )
