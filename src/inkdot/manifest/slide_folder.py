"""Finds the slides of a folder, where one slide may consist of several files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from inkdot.manifest.file_names import is_writable_name

SLIDE_SUFFIXES: Final = frozenset(
    {".svs", ".tif", ".tiff", ".btf", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi"}
    | {".dcm", ".png", ".jpg", ".jpeg"}
)
"""Suffixes (lower case) of slides in a folder."""

_INDEXES = frozenset({".vms", ".vmu"})
_PARTS_OF_INDEXED = frozenset({".jpg", ".jpeg", ".opt"})
_BESIDE = frozenset(
    {".csv", ".tsv", ".xlsx", ".xls", ".ods", ".json", ".geojson", ".jsonl", ".xml", ".yaml", ".yml", ".toml"}
    | {".txt", ".md", ".html", ".pdf", ".log", ".ini", ".sqlite", ".parquet", ".qpdata", ".qpproj", ".py"}
)
"""Suffixes of files that lie beside slides by rights."""

_NAMED = 5
_INDEX_BYTES = 1 << 20
_DICOM_WORD_AT = 128
_SERIES_TAG = b"\x20\x00\x0e\x00UI"  # (0020,000E) Series Instance UID, explicit VR, little-endian
_HEADER_BYTES = 1 << 18


def slide_files(folder: Path) -> list[Path]:
    """List the slides of a folder, one file each, sorted by path.

    Hidden files are skipped: macOS writes files such as ``._a.svs`` on other file systems. A broken link counts as a slide,
    which then fails by its name. Beside a ``.vms`` or ``.vmu`` index, JPEG files are parts of its slide, label included. Of
    the files of one DICOM series, the largest one is listed; a subfolder of one series is a slide, too.
    """
    listed, _ = _listed(folder)
    nested = [largest for path in folder.iterdir() if (largest := dicom_slide(path)) is not None]
    return sorted([*_one_per_series(listed), *nested])


class PassedOver(NamedTuple):
    """What of a folder is no part of any slide that is listed; each sorted.

    Attributes:
        files: Files that may be slides or hold some.
        beside: Tables, annotations and texts, which lie beside slides by rights.
        folders: Subfolders.
    """

    files: list[Path]
    beside: list[Path]
    folders: list[Path]


def passed_over(folder: Path) -> PassedOver:
    """What of a folder is passed over, but for hidden files and the data folders of MIRAX and VMS slides."""
    _, others = _listed(folder)
    stems = {path.stem for path in folder.iterdir() if path.suffix.lower() == ".mrxs"}
    folders = [
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not path.name.startswith(".")
        and path.name not in stems
        and dicom_slide(path) is None
    ]
    beside = [path for path in others if path.suffix.lower() in _BESIDE]
    return PassedOver(sorted(set(others) - set(beside)), sorted(beside), sorted(folders))


def counted_kinds(paths: Iterable[Path]) -> str:
    """Numbers of files by suffix, such as ``2 .csv, 1 .txt``; the commonest first."""
    kinds = Counter(path.suffix.lower() for path in paths)
    return ", ".join(
        f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda own: (-own[1], own[0]))
    )


def counted(paths: Sequence[Path], what: str) -> str:
    """A number of things with the names of the first of them."""
    named = ", ".join(path.name for path in paths[:_NAMED]) + (", …" if len(paths) > _NAMED else "")
    shown = "".join(sign if sign.isprintable() else "?" for sign in named)
    return f"{len(paths)} {what}{'s' if len(paths) > 1 else ''} ({shown})"


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files that are slides or parts of a DICOM series, and those that belong to no slide."""
    paths = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_file() or _leads_nowhere(path))
    ]
    slides = [path for path in paths if path.suffix.lower() in SLIDE_SUFFIXES and is_writable_name(path)]
    others = [path for path in paths if path not in set(slides)]
    indexes = [path for path in slides if path.suffix.lower() in _INDEXES]
    if not indexes:
        return slides, others
    named = b"".join(index.read_bytes()[:_INDEX_BYTES] for index in indexes if index.exists())
    images = {path for path in paths if path.suffix.lower() in _PARTS_OF_INDEXED}
    strangers = [path for path in images if path.name.encode("utf-8", "surrogateescape") not in named]
    return [path for path in slides if path not in images], [
        *(path for path in others if path not in images),
        *strangers,
    ]


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _largest_first(path: Path) -> tuple[int, str]:
    return -path.stat(follow_symlinks=path.exists()).st_size, path.name


def _one_per_series(paths: Iterable[Path]) -> list[Path]:
    kept: list[Path] = []
    series: dict[bytes, Path] = {}
    for path in sorted(paths, key=_largest_first):
        uid = dicom_series(path) if path.suffix.lower() == ".dcm" else b""
        if not uid or series.setdefault(uid, path) is path:
            kept.append(path)
    return kept


def dicom_slide(folder: Path) -> Path | None:
    """The largest file of a folder that is one DICOM slide: several ``.dcm`` files of one series, and no other slide."""
    try:
        if not folder.is_dir() or folder.name.startswith("."):
            return None
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError:  # a name that no file can have, too
        return None
    slides = [path for path in files if path.suffix.lower() in SLIDE_SUFFIXES]
    if len(slides) < 2 or any(path.suffix.lower() != ".dcm" for path in slides):
        return None
    series = dicom_series(slides[0])
    if not series or any(dicom_series(path) != series for path in slides[1:]):
        return None
    return min(slides, key=_largest_first)


def slide_names(paths: Sequence[Path]) -> dict[Path, str]:
    """What slides are called: the file without its suffix; a DICOM slide of several files by its folder."""
    dicom = {path: path.absolute().parent for path in paths if path.suffix.lower() == ".dcm"}
    whole = {folder for folder in set(dicom.values()) if dicom_slide(folder) is not None}
    return {path: dicom[path].name if dicom.get(path) in whole else path.stem for path in paths}


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
