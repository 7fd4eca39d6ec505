"""Finds the slides of a folder, where one slide may consist of several files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

SLIDE_SUFFIXES: Final = frozenset(
    {".svs", ".tif", ".tiff", ".btf", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi"}
    | {".dcm", ".png", ".jpg", ".jpeg"}
)
"""Suffixes (lower case) of slides in a folder."""

_INDEXES = frozenset({".vms", ".vmu"})
_PARTS_OF_INDEXED = frozenset({".jpg", ".jpeg", ".opt"})
_DICOM_WORD_AT = 128
_SERIES_TAG = b"\x20\x00\x0e\x00UI"  # (0020,000E) Series Instance UID, explicit VR, little-endian
_HEADER_BYTES = 1 << 18


def slide_files(folder: Path) -> list[Path]:
    """List the slides of a folder, one file each, sorted by path.

    Hidden files are skipped: macOS writes files such as ``._a.svs`` on other file systems. A broken link counts as a slide,
    which then fails by its name. Beside a ``.vms`` or ``.vmu`` index, JPEG files are parts of its slide, label included. Of
    the files of one DICOM series, the largest one is listed.
    """
    paths = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_file() or _leads_nowhere(path))
    ]
    suffixes = SLIDE_SUFFIXES
    if any(path.suffix.lower() in _INDEXES for path in paths):
        suffixes = SLIDE_SUFFIXES - _PARTS_OF_INDEXED
    return sorted(_one_per_series(path for path in paths if path.suffix.lower() in suffixes))


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _one_per_series(paths: Iterable[Path]) -> list[Path]:
    kept: list[Path] = []
    series: dict[bytes, Path] = {}
    for path in sorted(
        paths, key=lambda path: (-path.stat(follow_symlinks=path.exists()).st_size, path.name)
    ):
        uid = dicom_series(path) if path.suffix.lower() == ".dcm" else b""
        if not uid or series.setdefault(uid, path) is path:
            kept.append(path)
    return kept


def dicom_series(path: Path) -> bytes:
    """Read the Series Instance UID of a DICOM file; empty where it is not found."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return b""
    at = header.find(_SERIES_TAG)
    if header[_DICOM_WORD_AT : _DICOM_WORD_AT + 4] != b"DICM" or at < 0:
        return b""
    start = at + len(_SERIES_TAG) + 2
    length = int.from_bytes(header[start - 2 : start], "little")
    return header[start : start + length].rstrip(b"\0 ")
