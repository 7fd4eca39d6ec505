"""Where the JPEG frames of a DICOM slide lie in its files (DICOM PS3.5 for the form, PS3.3 C.7.6.17 for the tiling)."""

import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from inkdot.slides.structure.encoded_tiles import EncodedTiles

_Tag = tuple[int, int]

_PREFIX_BYTES, _WORD = 128, b"DICM"
_HEADER_BYTES: Final = 2**16
_UNDEFINED: Final = 0xFFFFFFFF
_LONGEST_VALUE: Final = 1024
_DEEPEST: Final = 16
_LONG_FORM: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_JPEG_SYNTAXES: Final = frozenset((b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.51"))
_ITEM: Final[_Tag] = (0xFFFE, 0xE000)
_ENDS: Final = frozenset(((0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)))
_PIXEL_DATA: Final[_Tag] = (0x7FE0, 0x0010)
_SYNTAX, _KIND, _SERIES, _TILING = (0x0002, 0x0010), (0x0008, 0x0008), (0x0020, 0x000E), (0x0020, 0x9311)
_ROWS, _COLUMNS, _WIDTH, _HEIGHT = (0x0028, 0x0010), (0x0028, 0x0011), (0x0048, 0x0006), (0x0048, 0x0007)
_SAMPLES, _PLANES, _FRAMES_BEFORE = (0x0028, 0x0002), (0x0048, 0x0303), (0x0020, 0x9228)
_WANTED: Final = frozenset(
    (_SYNTAX, _KIND, _SERIES, _TILING, _ROWS, _COLUMNS, _WIDTH, _HEIGHT, _SAMPLES, _PLANES, _FRAMES_BEFORE)
)


class _OtherFormError(Exception):
    """The file does not have the form that is followed here."""


def dicom_tiles(path: Path) -> list[EncodedTiles]:
    """The JPEG levels of the series of a file, whose files OpenSlide joins where they are in one folder.

    Labels and overviews are left out, and files of a form that is not followed: without a list of frames, or of frames in
    several parts.
    """
    own = _level(path)
    if own is None:
        return []
    series, levels = own[0], [own[1]]
    for other in sorted(path.parent.iterdir()):
        if other != path and other.is_file() and _may_belong(other, series):
            found = _level(other)
            if found is not None and found[0] == series:
                levels.append(found[1])
    return levels


def _may_belong(path: Path, series: bytes) -> bool:
    """Whether the beginning of a file names the series: a folder may hold those of many slides."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
    except OSError:
        return False
    return start[_PREFIX_BYTES : _PREFIX_BYTES + len(_WORD)] == _WORD and series in start


def _level(path: Path) -> tuple[bytes, EncodedTiles] | None:
    """The series and the frames of a file; None where it is no level of JPEG frames."""
    try:
        with path.open("rb") as file:
            values, offsets, lengths = _read(file)
    except (OSError, struct.error, _OtherFormError):
        return None

    def text(tag: _Tag) -> bytes:
        return values.get(tag, b"").rstrip(b"\0 ")

    def number(tag: _Tag) -> int:
        return int.from_bytes(values.get(tag, b""), "little")

    size, tile = (number(_WIDTH), number(_HEIGHT)), (number(_COLUMNS), number(_ROWS))
    is_level = text(_SYNTAX) in _JPEG_SYNTAXES and b"VOLUME" in text(_KIND) and number(_SAMPLES) in (1, 3)
    if not (is_level and text(_SERIES) and min(*size, *tile) > 0 and offsets):
        return None
    columns, rows = -(-size[0] // tile[0]), -(-size[1] // tile[1])
    in_order = text(_TILING) == b"TILED_FULL" and number(_PLANES) <= 1 and number(_FRAMES_BEFORE) == 0
    return text(_SERIES), EncodedTiles(
        paths=(path,),
        size_px=size,
        tile_size_px=tile,
        columns=columns,
        offsets=np.array(offsets, np.int64),
        lengths=np.array(lengths, np.int64),
        in_place=in_order and len(offsets) == columns * rows,
    )


def _read(file: BinaryIO) -> tuple[dict[_Tag, bytes], list[int], list[int]]:
    """Values of the outer data set (explicit VR, little endian), and offset and length of each item of pixels."""
    file.seek(_PREFIX_BYTES)
    if file.read(len(_WORD)) != _WORD:
        raise _OtherFormError
    values: dict[_Tag, bytes] = {}
    while True:
        tag, kind, length = _element(file)
        if tag == _PIXEL_DATA:
            if length != _UNDEFINED:  # not compressed
                raise _OtherFormError
            return values, *_items(file)
        if length == _UNDEFINED:
            _skip(file, 0)
        elif tag in _WANTED and length <= _LONGEST_VALUE and kind != b"SQ":
            values[tag] = file.read(length)
        else:
            file.seek(length, 1)


def _element(file: BinaryIO) -> tuple[_Tag, bytes, int]:
    """Tag, kind of value and length of the next element, whose value follows."""
    group, element, kind, short = struct.unpack("<HH2sH", file.read(8))
    if group == _ITEM[0]:  # items have no kind, and a long length
        return (group, element), b"", int.from_bytes(kind, "little") | short << 16
    if kind in _LONG_FORM:
        return (group, element), kind, int.from_bytes(_exactly(file, 4), "little")
    return (group, element), kind, short


def _skip(file: BinaryIO, depth: int) -> None:
    """Go to the end of a sequence or item whose length is not stated."""
    if depth > _DEEPEST:
        raise _OtherFormError
    while True:
        tag, _, length = _element(file)
        if tag in _ENDS:
            return
        if length == _UNDEFINED:
            _skip(file, depth + 1)
        else:
            file.seek(length, 1)


def _items(file: BinaryIO) -> tuple[list[int], list[int]]:
    """The frames, one item each, after the item that lists where they begin."""
    offsets: list[int] = []
    lengths: list[int] = []
    while True:
        tag, _, length = _element(file)
        if tag in _ENDS:
            break
        if tag != _ITEM or length == _UNDEFINED:
            raise _OtherFormError
        offsets.append(file.tell())
        lengths.append(length)
        file.seek(length, 1)
    return offsets[1:], lengths[1:]


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise _OtherFormError
    return data
