"""Labelled images: ``images.csv``, whose columns are called as whoever made the data called them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.csv_table import CsvRow, read_csv
from inkdot.manifest.read_slides import check_label, mpp_from_text
from inkdot.records import Mpp


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """How the columns are called; the config's part ``images`` in plain words.

    Attributes:
        path: Column with the file, relative to the table.
        group: Column whose equal values never stand on both sides of a split.
        heads: Column of each head's labels; the head's own name where not given.
        mpp: Column with micrometres per pixel; may be missing.
        mpp_of_all: What a blank or missing µm/px stands for; None where that is an error.
        mpp_unknown: A blank or missing µm/px is unknown, and that is said.
        site: Column with where a image was made; may be missing.
        split: Column with the part of the data it belongs to; may be missing.
    """

    path: str = "path"
    group: str = "patient_id"
    heads: Mapping[str, str] = field(default_factory=dict[str, str])
    mpp: str = "mpp"
    mpp_of_all: Mpp | None = None
    mpp_unknown: bool = False
    site: str = "site"
    split: str = "split"


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One row of ``images.csv``, validated.

    Attributes:
        name: The file as the table writes it; unique.
        path: The image.
        group: The unit of every split: patient or original image.
        labels: Label per head; heads without one are absent.
        mpp: Micrometres per pixel, None where unknown.
        site: Where it was made; blank where unknown.
        split: Which part of the data it belongs to, as written; blank where that is open.
    """

    name: str
    path: Path
    group: str
    labels: Mapping[str, str]
    mpp: Mpp | None
    site: str
    split: str = ""


def read_images(
    path: Path, heads: Sequence[Head], columns: ImageColumns, *, optional: Collection[str] = ()
) -> list[ImageEntry]:
    """Read and validate a table of labelled images, sorted by name.

    Args:
        path: The table.
        heads: The heads.
        columns: How its columns are called.
        optional: Heads whose column may be missing or blank throughout.

    Raises:
        ManifestError: The table, a column or a row is wrong; the message names it and, where a column is
            called otherwise, the key of the config to change.
    """
    table = read_csv(path, [], missing_hint="correct --images")
    head_columns = {
        head.name: column
        for head in heads
        if (column := columns.heads.get(head.name, head.name)) in table.columns or head.name not in optional
    }
    heads = [head for head in heads if head.name in head_columns]
    listed = ", ".join(table.columns) or "none"
    needed = {"images.path": columns.path, "images.group": columns.group}
    needed |= {f"images.heads.{name}": column for name, column in head_columns.items()}
    for key, column in needed.items():
        if column not in table.columns:
            change = f"name it in the config as {key}"
            if key.startswith("images.heads."):
                change += ", or remove the head from the config"
            raise ManifestError(f"{path}: expected a column {column!r}, found {listed}; {change}")
    if not table.rows:
        raise ManifestError(
            f"{path}: expected at least one image, found only the header; add a row per image"
        )
    entries = [_entry(path.parent, row, heads, head_columns, columns) for row in table.rows]
    _check_unique(path, entries)
    _check_split(columns.split, list(zip(table.rows, entries, strict=True)))
    for head in heads:
        if head.name not in optional and not any(head.name in entry.labels for entry in entries):
            raise ManifestError(
                f"{path}: column {head_columns[head.name]}: expected labels to head {head.name!r}, found none; "
                "fill them in, or remove the head from the config"
            )
    return sorted(entries, key=lambda entry: entry.name)


def _entry(
    folder: Path, row: CsvRow, heads: Sequence[Head], head_columns: Mapping[str, str], columns: ImageColumns
) -> ImageEntry:
    name, group = row.cells[columns.path], row.cells[columns.group]
    if not name:
        raise ManifestError(
            f"{row.where}: column {columns.path}: expected a image's file, found nothing; fill it in"
        )
    if not group:
        raise ManifestError(
            f"{row.where}: column {columns.group}: expected the patient or original image, found nothing; "
            "without it the same cells could stand on both sides of a split"
        )
    labels: dict[str, str] = {}
    for head in heads:
        column = head_columns[head.name]
        label = row.cells[column]
        if label:
            check_label(row.where, column, label, head)
            labels[head.name] = label
    mpp = mpp_from_text(row.where, columns.mpp, row.cells.get(columns.mpp, "")) or columns.mpp_of_all
    if mpp is None and not columns.mpp_unknown:
        raise ManifestError(
            f"{row.where}: column {columns.mpp}: expected micrometres per pixel, found none; fill it in, or state "
            "images.mpp_of_all in the config (a number, or 'unknown')"
        )
    site, split = (row.cells.get(column, "") for column in (columns.site, columns.split))
    return ImageEntry(name, folder / name, group, labels, mpp, site, split)


def _check_split(column: str, rows: Sequence[tuple[CsvRow, ImageEntry]]) -> None:
    """A group, be it a patient or an original image, is of one part."""
    said: dict[str, tuple[str, CsvRow]] = {}
    for row, entry in rows:
        first, first_row = said.setdefault(entry.group, (entry.split, row))
        if entry.split != first:
            raise ManifestError(
                f"{row.where}: column {column}: expected one value for group {entry.group!r}, found {entry.split!r} here "
                f"and {first!r} in line {first_row.line}; correct one"
            )


def _check_unique(path: Path, entries: Sequence[ImageEntry]) -> None:
    seen: dict[Path, ImageEntry] = {}
    for entry in entries:
        if seen.setdefault(entry.path.resolve(), entry) is not entry:
            raise ManifestError(
                f"{path}: expected each image once, found {entry.name!r} twice; remove one row"
            )
