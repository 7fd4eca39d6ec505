"""Checksums of a PNG, which Pillow does not compare for the chunks of pixels."""

import struct
import zlib
from pathlib import Path
from typing import Final

from inkdot.errors import UnreadableSlideError

_SIGNATURE_BYTES: Final = 8
_CRITICAL: Final = 0x20
"""Bit of the first letter of a chunk's name that is 0 where the pixels depend on it (PNG specification, 5.4)."""


def check_png_chunks(path: Path) -> None:
    """Compare the checksum (CRC-32) of every chunk that the pixels depend on.

    Raises:
        UnreadableSlideError: A chunk is damaged, or the file ends before its last one.
    """
    data = memoryview(path.read_bytes())
    at = _SIGNATURE_BYTES
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if (
            not name[0] & _CRITICAL
            and zlib.crc32(data[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]
        ):
            raise _damaged(path, f"the checksum of a chunk {name.decode('latin-1')!r} is wrong")
        if name == b"IEND":
            return
        at = end + 4
    raise _damaged(path, "it ends too early")


def _damaged(path: Path, found: str) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{path}: expected a complete image, found a damaged one ({found}); copy or export it again"
    )
