"""Reads tables of labelled images (``images.csv``); the config names their columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.csv_table import CsvRow, read_csv
from inkdot.manifest.file_names import existing_spelling
from inkdot.manifest.read_slides import check_label, mpp_from_text
from inkdot.records import Mpp


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """Column names of the table, from the section ``images`` of the config.

    Attributes:
        path: Column with the file, relative to the table.
        group: Column that groups images for splits.
        heads: Column with the labels of each head; the name of the head where missing.
        mpp: Column with micrometres per pixel; optional.
        mpp_of_all: µm/px of images without a value; None where that is an error.
        mpp_unknown: The µm/px of images without a value are unknown, which is no error.
        site: Column with the site that made the image; optional.
        split: Column with the part of the data; optional.
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
        name: The file as written in the table; unique.
        path: The image file.
        group: Unit of splits: patient or original image.
        labels: Label by head; heads without a label are absent.
        mpp: Micrometres per pixel; None where unknown.
        site: Site that made the image; empty where unknown.
        split: Part of the data, as written; empty where not given.
    """

    name: str
    path: Path
    group: str
    labels: Mapping[str, str]
    mpp: Mpp | None
    site: str
    split: str = ""


def read_images(
    path: Path,
    heads: Sequence[Head],
    columns: ImageColumns,
    *,
    optional: Collection[str] = (),
    as_named: bool = False,
) -> list[ImageEntry]:
    """Read and validate a table of labelled images, sorted by name.

    Args:
        path: The table.
        heads: The heads.
        columns: Column names of the table.
        optional: Heads whose column may be missing or empty.
        as_named: A column that ``columns.heads`` names must exist even so.

    Raises:
        ManifestError: The table, a column or a row is wrong; the message names it and, for a missing column, the config key
            that sets its name.
    """
    table = read_csv(path, [], missing_hint="correct --images")
    head_columns = {
        head.name: column
        for head in heads
        if (column := columns.heads.get(head.name, head.name)) in table.columns
        or head.name not in optional
        or (as_named and head.name in columns.heads)
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
                f"{path}: column {head_columns[head.name]}: expected labels of head {head.name!r}, found none; "
                "fill them in, or remove the head from the config"
            )
    return sorted(entries, key=lambda entry: entry.name)


def _entry(
    folder: Path, row: CsvRow, heads: Sequence[Head], head_columns: Mapping[str, str], columns: ImageColumns
) -> ImageEntry:
    name, group = row.cells[columns.path], row.cells[columns.group]
    if not name:
        raise ManifestError(
            f"{row.where}: column {columns.path}: expected an image file, found nothing; fill it in"
        )
    if not group:
        raise ManifestError(
            f"{row.where}: column {columns.group}: expected the patient or original image, found nothing; "
            "without it the same cells could be in both training and validation data"
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
    return ImageEntry(name, existing_spelling(folder / name), group, labels, mpp, site, split)


def _check_split(column: str, rows: Sequence[tuple[CsvRow, ImageEntry]]) -> None:
    """Check that all images of a group have the same split."""
    split_of: dict[str, tuple[str, CsvRow]] = {}
    for row, entry in rows:
        first, first_row = split_of.setdefault(entry.group, (entry.split, row))
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
