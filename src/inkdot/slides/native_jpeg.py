"""JPEG streams as TIFFs hold them, decoded by libjpeg-turbo at full size or smaller.

A TIFF keeps the tables of all tiles once (tag JPEGTables) and says in its own tag whether the three
components are RGB or YCbCr; a tile alone is no complete JPEG. Here the parts are joined, and an Adobe marker
states the colours, since without it the decoder would guess YCbCr: wrong for many Aperio slides.
"""

from typing import Final, cast

import simplejpeg  # pyright: ignore[reportMissingTypeStubs]

from inkdot.records import RgbArray

FACTORS: Final = (8, 4, 2)
"""By how much the decoder can shrink in the DCT, largest first: it then leaves out the finest frequencies."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_HARMLESS = "extraneous bytes"  # stuffing that some encoders leave before a marker; no pixel is lost


def stream_head(tables: bytes, *, is_rgb: bool) -> bytes:
    """What goes before the body of every tile of a level.

    Args:
        tables: The tag JPEGTables: a JPEG stream of tables without a image; may be empty.
        is_rgb: The components are red, green, blue as they stand; else Y, Cb, Cr.
    """
    body = _body(tables) if tables else b""
    if body.endswith(_END):
        body = body[:-2]
    transform = b"\x00" if is_rgb else b"\x01"
    return _START + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + transform + body


def decode(head: bytes, tile: bytes, into: RgbArray, factor: int = 1) -> None:
    """Fill an array with the pixels of one tile.

    Args:
        head: From :func:`stream_head`.
        tile: The tile's bytes in the file.
        into: uint8 RGB, C-contiguous, of the tile's height and width divided by ``factor``.
        factor: 1, or one of :data:`FACTORS`.

    Raises:
        ValueError: The stream is damaged or cut short, or holds a image of another size.
    """
    stream = head + _body(tile)
    try:
        pixels = _decoded(stream, into, strict=True)
    except ValueError as error:
        if _HARMLESS not in str(error):
            raise
        pixels = _decoded(stream, into, strict=False)
    if pixels.shape != into.shape:
        raise ValueError(f"a image of {pixels.shape[1] * factor} x {pixels.shape[0] * factor} px")


def _decoded(stream: bytes, into: RgbArray, *, strict: bool) -> RgbArray:
    # The decoder shrinks as far as leaves this size; it cannot grow.
    height, width = into.shape[:2]
    return cast(
        RgbArray,
        simplejpeg.decode_jpeg(stream, "RGB", min_width=width, min_height=height, buffer=into, strict=strict),
    )


def _body(stream: bytes) -> bytes:
    """A stream without its start marker and the application markers after it.

    A JFIF marker would overrule the colours that the TIFF states.
    """
    if stream[:2] != _START:
        raise ValueError("no JPEG start marker")
    at = 2
    while stream[at : at + 1] == b"\xff" and 0xE0 <= stream[at + 1] <= 0xEF:
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return stream[at:]
