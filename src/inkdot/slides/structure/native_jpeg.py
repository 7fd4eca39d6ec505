"""Decodes JPEG tiles of TIFF files by libjpeg-turbo at full or reduced size.

A TIFF stores the tables of all tiles once (tag JPEGTables) and states in a tag whether the components are RGB or YCbCr; a
tile alone is not a complete JPEG. The parts are joined here, and an Adobe marker states the colour space: without it the
decoder assumes YCbCr, which is wrong for many Aperio slides.
"""

from typing import Final

from inkdot.records import RgbArray
from inkdot.slides.structure.jpeg_stream import decode_strictly

FACTORS: Final = (8, 4, 2)
"""Factors by which the decoder can downscale in the DCT domain, largest first."""

_START, _END = b"\xff\xd8", b"\xff\xd9"


def stream_head(tables: bytes, *, is_rgb: bool) -> bytes:
    """Make the bytes before the body of every tile of a level.

    Args:
        tables: The tag JPEGTables: a JPEG stream of tables without an image; may be empty.
        is_rgb: The components are red, green and blue; else Y, Cb and Cr.
    """
    body = without_markers(tables) if tables else b""
    if body.endswith(_END):
        body = body[:-2]
    transform = b"\x00" if is_rgb else b"\x01"
    return _START + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + transform + body


def decode(head: bytes, tile: bytes, into: RgbArray, factor: int = 1) -> None:
    """Decode one tile into an array.

    Args:
        head: From :func:`stream_head`.
        tile: Bytes of the tile in the file.
        into: uint8 RGB, C-contiguous, of the height and width of the tile divided by ``factor``.
        factor: 1, or one of :data:`FACTORS`.

    Raises:
        ValueError: The stream is damaged or truncated, or holds an image of another size.
    """
    pixels = decode_strictly(head + without_markers(tile), into)
    if pixels.shape != into.shape:
        raise ValueError(f"an image of {pixels.shape[1] * factor} x {pixels.shape[0] * factor} px")


def without_markers(stream: bytes) -> bytes:
    """A stream without its start marker and application markers: a JFIF marker would override the colour space."""
    if stream[:2] != _START:
        raise ValueError("no JPEG start marker")
    at = 2
    while stream[at : at + 1] == b"\xff" and 0xE0 <= stream[at + 1] <= 0xEF:
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return stream[at:]
