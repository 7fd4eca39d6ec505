"""Decodes JPEG streams so that every warning of libjpeg counts as damage.

libjpeg goes on after damage, with wrong pixels, and only warns; Pillow drops these warnings. One kind is harmless: encoders
that pad the data before a marker. After damage the same warning means that the decoder has lost its place.
"""

import re
from typing import Final, cast

import simplejpeg  # pyright: ignore[reportMissingTypeStubs]

from inkdot.records import RgbArray

_LEFT_OVER: Final = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_PADDING: Final = (b"\x00", b"\xff")


def decode_strictly(stream: bytes, into: RgbArray | None = None, colorspace: str = "RGB") -> RgbArray:
    """Decode a JPEG, uint8 [height, width, channels].

    Args:
        stream: A complete JPEG.
        into: An array to decode into: the decoder picks the largest reduction that leaves at least its size.
        colorspace: ``RGB``, or ``CMYK`` for a stream of four components.

    Raises:
        ValueError: The stream is damaged or truncated, by an error or a warning of libjpeg.
    """
    try:
        return _decoded(stream, into, colorspace, strict=True)
    except ValueError as error:
        if not _is_padding(stream, str(error)):
            raise
    return _decoded(stream, into, colorspace, strict=False)


def check_stream(stream: bytes) -> None:
    """Decode a JPEG at an eighth of its size, in grey: all of its code is read, and most of the computing is left out.

    Args:
        stream: A complete JPEG of one or three components.

    Raises:
        ValueError: As of :func:`decode_strictly`.
    """
    try:
        _decode_small(stream, strict=True)
    except ValueError as error:
        if not _is_padding(stream, str(error)):
            raise
        _decode_small(stream, strict=False)


def _decode_small(stream: bytes, *, strict: bool) -> None:
    simplejpeg.decode_jpeg(stream, "GRAY", min_width=1, min_height=1, strict=strict)


def _decoded(stream: bytes, into: RgbArray | None, colorspace: str, *, strict: bool) -> RgbArray:
    height, width = (0, 0) if into is None else into.shape[:2]
    return cast(
        RgbArray,
        simplejpeg.decode_jpeg(
            stream, colorspace, min_width=width, min_height=height, buffer=into, strict=strict
        ),
    )


def _is_padding(stream: bytes, message: str) -> bool:
    """Whether the bytes that the decoder had left over before a marker are nothing but zeros or ones."""
    found = _LEFT_OVER.search(message)
    if found is None:
        return False
    count, marker = int(found[1]), bytes((0xFF, int(found[2], 16)))
    return any(byte * count + marker in stream for byte in _PADDING)
