"""Reading and validating manifests. Every error names the file, the row, the column and what to change."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.columns import KNOWN, PATIENT_PREFIX, PREPARATIONS, REQUIRED
from inkdot.records import Mpp, Preparation, SlideEntry

SLIDE_SUFFIXES = frozenset(
    ".svs .tif .tiff .ndpi .mrxs .scn .bif .vms .vmu .svslide .czi .dcm .btf .ome.tif .png .jpg .jpeg".split()
)
"""Suffixes (lower case) taken for slides when a folder is given."""

_FORBIDDEN_IN_ID = frozenset('/\\:*?"<>|\0')


def read_slides(source: Path, heads: Sequence[Head]) -> list[SlideEntry]:
    """Slides named by a ``slides.csv``, a slide file, or a folder, sorted by slide_id.

    Args:
        source: A manifest (.csv), one slide, or a folder, whose slides are named by their file's stem.
        heads: The questions whose answers may stand in columns ``<head>`` and ``patient_<head>``.

    Raises:
        ManifestError: Nothing there, no slides in it, or a row or column is wrong.
    """
    if not source.exists():
        raise ManifestError(f"{source}: expected a slides.csv, a slide or a folder of slides, found nothing there")
    if source.is_dir():
        paths = sorted(path for path in source.iterdir() if path.is_file() and path.suffix.lower() in SLIDE_SUFFIXES)
        if not paths:
            raise ManifestError(f"{source}: expected slide files, found none; known suffixes are {' '.join(sorted(SLIDE_SUFFIXES))}")
        return _unique([SlideEntry(slide_id=path.stem, path=path) for path in paths], str(source))
    if source.suffix.lower() == ".csv":
        return _unique(_read_table(source, heads), str(source))
    return [SlideEntry(slide_id=source.stem, path=source)]


def read_all_slides(sources: Sequence[Path], heads: Sequence[Head]) -> list[SlideEntry]:
    """Slides named by several manifests, slides or folders, sorted by slide_id.

    Raises:
        ManifestError: As :func:`read_slides`; also two sources that name a slide alike.
    """
    entries = [entry for source in sources for entry in read_slides(source, heads)]
    return _unique(entries, ", ".join(str(source) for source in sources))


def _unique(entries: list[SlideEntry], source: str) -> list[SlideEntry]:
    seen: dict[str, SlideEntry] = {}
    for entry in entries:
        # Case-folded: on Windows and macOS two such names would be one file.
        other = seen.setdefault(entry.slide_id.casefold(), entry)
        if other is not entry:
            raise ManifestError(
                f"{source}: expected unique slide_id, found {entry.slide_id!r} for {other.path.name} and {entry.path.name}; "
                "rename one, or list the slides in a slides.csv with explicit slide_id"
            )
    return sorted(entries, key=lambda entry: entry.slide_id)


def _read_table(path: Path, heads: Sequence[Head]) -> list[SlideEntry]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x} at {error.start}; save it as 'CSV UTF-8'") from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = list(reader.fieldnames or [])
    for name in REQUIRED:
        if name not in columns:
            hint = "; the table uses semicolons, save it with commas" if ";" in (columns[0] if columns else "") else ""
            raise ManifestError(f"{path}: expected a column {name!r}, found {', '.join(columns) or 'no columns'}{hint}")
    if len(set(columns)) != len(columns):
        raise ManifestError(f"{path}: expected each column once, found {', '.join(columns)}")
    try:
        rows = [(reader.line_num, cast(dict[str | None, str | None], row)) for row in reader]
    except csv.Error as error:
        raise ManifestError(f"{path}: line {reader.line_num}: not a CSV table: {error}") from None
    if not rows:
        raise ManifestError(f"{path}: expected at least one slide, found only the header")
    return [_entry(path, line, row, heads) for line, row in rows]


def _entry(path: Path, line: int, row: dict[str | None, str | None], heads: Sequence[Head]) -> SlideEntry:
    where = f"{path}: line {line}"
    if None in row or None in row.values():
        raise ManifestError(f"{where}: expected as many fields as the header has, found more or fewer; check commas and quotes")
    cells = {str(name): (value or "").strip() for name, value in row.items()}
    slide_id = cells["slide_id"]
    if not slide_id or slide_id in {".", ".."} or slide_id != slide_id.strip(". ") or _FORBIDDEN_IN_ID & set(slide_id) or not slide_id.isprintable():
        raise ManifestError(f"{where}: column slide_id: expected a name usable as a file name, found {slide_id!r}")
    if not cells["path"]:
        raise ManifestError(f"{where}: column path: expected the slide's file, found nothing")
    preparation = cells.get("preparation", "")
    if preparation and preparation not in PREPARATIONS:
        raise ManifestError(f"{where}: column preparation: expected {', '.join(PREPARATIONS)} or blank, found {preparation!r}")
    head_columns = {head.name for head in heads} | {PATIENT_PREFIX + head.name for head in heads}
    annotation = cells.get("annotation", "")
    return SlideEntry(
        slide_id=slide_id,
        path=(path.parent / cells["path"]),
        patient_id=cells.get("patient_id", ""),
        specimen_id=cells.get("specimen_id", ""),
        site=cells.get("site", ""),
        scanner=cells.get("scanner", ""),
        preparation=cast(Preparation, preparation) if preparation else None,
        stain=cells.get("stain", ""),
        mpp=_mpp(where, cells.get("mpp", "")),
        annotation=(path.parent / annotation) if annotation else None,
        on_slide=_answers(where, cells, heads, ""),
        of_patient=_answers(where, cells, heads, PATIENT_PREFIX),
        extra={name: value for name, value in cells.items() if name not in KNOWN and name not in head_columns},
    )


def _answers(where: str, cells: dict[str, str], heads: Sequence[Head], prefix: str) -> dict[str, str]:
    answers: dict[str, str] = {}
    for head in heads:
        answer = cells.get(prefix + head.name, "")
        if not answer:
            continue
        if answer not in head.answers:
            raise ManifestError(f"{where}: column {prefix}{head.name}: expected {', '.join(head.answers)} or blank, found {answer!r}")
        answers[head.name] = answer
    return answers


def _mpp(where: str, text: str) -> Mpp | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ManifestError(f"{where}: column mpp: expected micrometres per pixel such as 0.25, or blank, found {text!r}")
    return Mpp.square(value)
