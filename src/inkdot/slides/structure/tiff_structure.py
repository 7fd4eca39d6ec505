"""Header, tags and offsets of a tiled TIFF of encoded tiles (TIFF 6.0 and BigTIFF, little-endian).

tifffile requires imagecodecs even for encoded tiles, and stores a recurring tile once per occurrence
(docs/explanation/decisions/0130).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

_SHORT, _LONG, _RATIONAL, _ASCII, _LONG8 = 3, 4, 5, 2, 16
_ITEM_BYTES = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _LONG8: 8}
_JPEG, _YCBCR, _CENTIMETRE = 7, 6, 3

_Tag = tuple[int, int, int, bytes]
"""Tag number, field type, count of values, packed values."""


@dataclass(slots=True)
class TiffPage:
    """One level: its size and the position of its tiles in the file, in row order.

    Attributes:
        size_px: Width and height in pixels.
        resolution_per_cm: Pixels per centimetre along x and y, or None for no resolution tags.
        offsets: Byte offset of each tile; tiles with the same content may share one.
        lengths: Byte length of each tile.
    """

    size_px: tuple[int, int]
    resolution_per_cm: tuple[float, float] | None
    offsets: list[int] = field(default_factory=list[int])
    lengths: list[int] = field(default_factory=list[int])


class TiffStructure:
    """Writes a tiled YCbCr JPEG TIFF: first all tiles in any order, then the directories.

    Args:
        file: Opened for writing and seeking, empty.
        big: BigTIFF, needed where offsets may pass 4 GiB.
        tile_side_px: Side of the square tiles.
        subsampling: Chroma subsampling along x and y, 1 or 2.
    """

    def __init__(self, file: BinaryIO, *, big: bool, tile_side_px: int, subsampling: tuple[int, int]) -> None:
        self._file = file
        self._big = big
        self._tile_side_px = tile_side_px
        self._subsampling = subsampling
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
        self._end = file.tell()
        self._link_at = self._end - (8 if big else 4)

    def add_tile(self, encoded: bytes) -> int:
        """Append one encoded tile and return its byte offset."""
        offset = self._end
        self._file.write(encoded)
        self._end += len(encoded)
        return offset

    def finish(self, pages: Sequence[TiffPage], *, description: str, software: str) -> None:
        """Write one directory per page, level 0 first, and link them.

        Raises:
            ValueError: The description is not ASCII, as the tag demands.
        """
        if not description.isascii():
            raise ValueError("an ImageDescription must be ASCII")
        for index, page in enumerate(pages):
            self._directory(self._tags(page, index, description, software))

    def _tags(self, page: TiffPage, index: int, description: str, software: str) -> list[_Tag]:
        width, height = page.size_px
        offset_type = _LONG8 if self._big else _LONG
        pack_offset = "Q" if self._big else "I"
        count = len(page.offsets)
        tags: list[_Tag] = [
            (254, _LONG, 1, struct.pack("<I", 1 if index else 0)),  # coarser levels are reduced images
            (256, _LONG, 1, struct.pack("<I", width)),
            (257, _LONG, 1, struct.pack("<I", height)),
            (258, _SHORT, 3, struct.pack("<3H", 8, 8, 8)),
            (259, _SHORT, 1, struct.pack("<H", _JPEG)),
            (262, _SHORT, 1, struct.pack("<H", _YCBCR)),
            (277, _SHORT, 1, struct.pack("<H", 3)),
            (284, _SHORT, 1, struct.pack("<H", 1)),
            (322, _SHORT, 1, struct.pack("<H", self._tile_side_px)),
            (323, _SHORT, 1, struct.pack("<H", self._tile_side_px)),
            (324, offset_type, count, struct.pack(f"<{count}{pack_offset}", *page.offsets)),
            (325, _LONG, count, struct.pack(f"<{count}I", *page.lengths)),
            (530, _SHORT, 2, struct.pack("<2H", *self._subsampling)),
        ]
        if index == 0 and description:
            tags.append(_ascii(270, description))
        tags.append(_ascii(305, software))
        if page.resolution_per_cm is not None:
            x, y = page.resolution_per_cm
            tags += [(282, _RATIONAL, 1, _rational(x)), (283, _RATIONAL, 1, _rational(y))]
            tags.append((296, _SHORT, 1, struct.pack("<H", _CENTIMETRE)))
        return sorted(tags)

    def _directory(self, tags: Sequence[_Tag]) -> None:
        """Write the values that do not fit into an entry, then the directory, then the link to it."""
        inline, entry, pointer = (8, "<HHQ", "<Q") if self._big else (4, "<HHI", "<I")
        entries: list[bytes] = []
        for number, kind, count, value in tags:
            if len(value) != count * _ITEM_BYTES[kind]:
                raise AssertionError(f"tag {number} holds {len(value)} bytes for {count} values")
            held = value if len(value) <= inline else struct.pack(pointer, self._append_even(value))
            entries.append(struct.pack(entry, number, kind, count) + held.ljust(inline, b"\0"))
        count_of_entries = struct.pack("<Q" if self._big else "<H", len(entries))
        start = self._append_even(count_of_entries + b"".join(entries) + b"\0" * inline)
        self._file.seek(self._link_at)
        self._file.write(struct.pack(pointer, start))
        self._file.seek(self._end)
        self._link_at = self._end - inline

    def _append_even(self, data: bytes) -> int:
        """Append at an even offset, as TIFF requires for values and directories."""
        if self._end % 2:
            self._file.write(b"\0")
            self._end += 1
        return self.add_tile(data)


def _ascii(number: int, text: str) -> _Tag:
    value = text.encode("ascii") + b"\0"
    return (number, _ASCII, len(value), value)


def _rational(value: float) -> bytes:
    """Pack a positive number below 2**32 as a ratio of two 32-bit numbers."""
    largest = 2**32 - 1
    ratio = Fraction(value).limit_denominator(min(10**6, int(largest / max(value, 1.0))))
    return struct.pack("<2I", ratio.numerator, ratio.denominator)
