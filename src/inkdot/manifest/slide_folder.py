"""Finds the slides of a folder, where one slide may consist of several files."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from inkdot.errors import ManifestError
from inkdot.manifest.file_names import composed, is_writable_name

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

TABLE_NAME: Final = "slides.csv"
"""The table that is read in place of a folder's files where it lies in the folder."""

MOST_FOLDERS: Final = 10_000
"""Subfolders that are searched: a whole disk, named by mistake, ends in one line."""

_OUTPUT_MARKERS: Final = (
    {"ledger.jsonl"},  # tile, embed, predict
    {"model.json"},
    {"evaluation.json"},
    {"index.html", "tiles"},  # review export
    {"index.html", "worklist.csv"},
)
"""Names of which all are in a folder that a command wrote."""

_NAMED = 5
_INDEX_BYTES = 1 << 20
_DICOM_WORD_AT = 128
_SERIES_TAG = b"\x20\x00\x0e\x00UI"  # (0020,000E) Series Instance UID, explicit VR, little-endian
_HEADER_BYTES = 1 << 18


class FolderScan(NamedTuple):
    """What a folder and its subfolders hold; each list is sorted.

    Attributes:
        slides: One file per slide.
        others: Files that may be slides or hold some.
        beside: Tables, annotations and texts, which lie beside slides by rights.
        tables: Each ``slides.csv`` in a subfolder.
        outputs: Subfolders that a command of Inkdot or QuPath wrote; not searched.
        unreadable: Subfolders that could not be listed.
        repeated: Slides that lead to a file that is listed already: links.
    """

    slides: list[Path]
    others: list[Path]
    beside: list[Path]
    tables: list[Path]
    outputs: list[Path]
    unreadable: list[Path]
    repeated: list[Path]


def scan_folder(folder: Path) -> FolderScan:
    """Search a folder and its subfolders for slides.

    Hidden files and folders are skipped: macOS writes files such as ``._a.svs`` on other file systems. So are the data folders
    of MIRAX slides, and folders that a command wrote (:data:`_OUTPUT_MARKERS`): their images are no slides. A folder that
    is reached twice, by links, is searched once. A broken link counts as a slide, which then fails by its name. Beside a
    ``.vms`` or ``.vmu`` index, JPEG files are parts of its slide, label included. Of the files of one DICOM series, the
    largest one is listed; a subfolder of one series is a slide, too.

    Raises:
        ManifestError: The folder itself cannot be listed, or has more than :data:`MOST_FOLDERS` subfolders.
    """
    scan = FolderScan([], [], [], [], [], [], [])
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            paths = [path for path in sorted(current.iterdir()) if not path.name.startswith(".")]
        except OSError as error:
            if current == folder:
                raise ManifestError(
                    f"{folder}: expected a folder that can be listed, found: {error.strerror}; change its rights or the path"
                ) from None
            scan.unreadable.append(current)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        if len(seen) > MOST_FOLDERS:
            raise ManifestError(
                f"{folder}: expected at most {MOST_FOLDERS:,} subfolders to search, found more; name the folder of the slides, "
                "or list them in a slides.csv"
            )
        if current != folder and (
            is_output_folder(paths) or (current.name == "data" and _beside_project(current))
        ):
            scan.outputs.append(current)
            continue
        waiting += _scan_one(folder, current, paths, scan)
    _drop_repeated(scan)
    for found in scan:
        found.sort()
    return scan


def _scan_one(root: Path, folder: Path, paths: Sequence[Path], scan: FolderScan) -> list[Path]:
    """Add what one folder holds to the scan; returns its subfolders that may hold slides."""
    listed, others = _listed([path for path in paths if path.is_file() or _leads_nowhere(path)])
    scan.slides.extend(_one_per_series(listed))
    for path in others:
        if folder != root and path.name.lower() == TABLE_NAME:
            scan.tables.append(path)
        else:
            (scan.beside if path.suffix.lower() in _BESIDE else scan.others).append(path)
    stems = {path.stem for path in paths if path.suffix.lower() == ".mrxs"}
    further: list[Path] = []
    for path in paths:
        if not path.is_dir() or path.name in stems:
            continue
        if (largest := dicom_slide(path)) is not None:
            scan.slides.append(largest)
        else:
            further.append(path)
    return further


def is_output_folder(paths: Iterable[Path]) -> bool:
    """Whether a folder with these files was written by a command of Inkdot."""
    names = {path.name for path in paths}
    return any(marker <= names for marker in _OUTPUT_MARKERS)


def _beside_project(folder: Path) -> bool:
    """Whether this is the folder ``data`` of a QuPath project, with its thumbnails."""
    return any(path.suffix.lower() == ".qpproj" for path in folder.parent.iterdir())


def _drop_repeated(scan: FolderScan) -> None:
    """Keep one path to each slide: the file itself before links to it."""
    by_file: dict[str, Path] = {}
    for path in sorted(scan.slides, key=lambda path: (path.is_symlink(), len(path.parts), path)):
        if by_file.setdefault(os.path.realpath(path), path) is not path:
            scan.repeated.append(path)
    scan.slides[:] = by_file.values()


def slide_files(folder: Path) -> list[Path]:
    """List the slides of a folder and its subfolders, one file each, sorted by path: see :func:`scan_folder`."""
    return scan_folder(folder).slides


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


def _listed(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Of the files of one folder, those that are slides or parts of a DICOM series, and those that belong to no slide."""
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


def slide_names(paths: Sequence[Path], root: Path | None = None) -> dict[Path, str]:
    """What slides are called: the file without its suffix; a DICOM slide of several files by its folder.

    Args:
        paths: The slides.
        root: The folder that was searched: slides of one name in several of its subfolders have the names of these before
            their own, such as ``case1_slide``.
    """
    dicom = {path: path.absolute().parent for path in paths if path.suffix.lower() == ".dcm"}
    whole = {folder for folder in set(dicom.values()) if dicom_slide(folder) is not None}
    units = {path: path.parent if dicom.get(path) in whole else path for path in paths}
    names = {path: path.absolute().parent.name if unit != path else path.stem for path, unit in units.items()}
    if root is None:
        return names
    folders: defaultdict[str, set[Path]] = defaultdict(set)
    for path, name in names.items():
        folders[composed(name).casefold()].add(units[path].parent)
    for path, name in names.items():
        parent = units[path].parent
        if len(folders[composed(name).casefold()]) > 1 and parent.is_relative_to(root):
            names[path] = "_".join([*parent.relative_to(root).parts, name])
    return names


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
