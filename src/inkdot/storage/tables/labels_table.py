"""``labels.csv``: labels of regions, from annotations and verdicts alike."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.errors import ManifestError
from inkdot.labels import Head
from inkdot.manifest.csv_table import read_csv
from inkdot.storage.atomic import write_text

COLUMNS = ("slide_id", "geometry", "head", "label", "reader", "source")
RENAMED_COLUMNS = {"place": "geometry", "answer": "label"}
"""Columns of earlier versions and their current names."""


@dataclass(frozen=True, slots=True)
class RegionLabel:
    """One label of one region.

    Attributes:
        slide_id: The slide.
        geometry: Polygon in level-0 pixels.
        head: The head.
        label: One of the labels of the head.
        reader: Pseudonym of the reader.
        source: Origin of the label, e.g. ``annotation`` or ``review``.
    """

    slide_id: str
    geometry: BaseGeometry
    head: str
    label: str
    reader: str
    source: str


def write_labels(path: Path, labels: Iterable[RegionLabel]) -> None:
    """Write a labels table atomically, in the order given."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        writer.writerow(
            [label.slide_id, region_text(label.geometry), label.head, label.label, label.reader, label.source]
        )
    write_text(path, buffer.getvalue())


def read_labels(
    path: Path, heads: Sequence[Head], *, other_heads: Literal["refuse", "skip"] = "refuse"
) -> list[RegionLabel]:
    """Read and validate a labels table.

    Args:
        path: The table.
        heads: The heads.
        other_heads: What happens to rows of heads that are not among them, as of a model with fewer heads than the table.

    Raises:
        ManifestError: The table is missing, or a row's region, head or label is wrong.
    """
    table = read_csv(path, COLUMNS, renamed=RENAMED_COLUMNS, missing_hint="correct the column annotation")
    by_name = {head.name: head for head in heads}
    labels: list[RegionLabel] = []
    for row in table.rows:
        slide_id, geometry, head, label, reader, source = (row.cells[name] for name in COLUMNS)
        if not slide_id:
            raise ManifestError(f"{row.where}: column slide_id: expected a slide, found nothing; fill it in")
        if head not in by_name and other_heads == "skip":
            continue
        if head not in by_name:
            raise ManifestError(
                f"{row.where}: column head: expected {', '.join(by_name)}, found {head!r}; "
                "correct it, or add the head to the config"
            )
        if label not in by_name[head].labels:
            raise ManifestError(
                f"{row.where}: column label: expected {', '.join(by_name[head].labels)}, found {label!r}; "
                f"correct it, or add the label to head {head!r} in the config"
            )
        labels.append(RegionLabel(slide_id, read_region(row.where, geometry), head, label, reader, source))
    return labels


def region_text(region: BaseGeometry) -> str:
    """A region as WKT, to a tenth of a level-0 pixel."""
    return shapely.to_wkt(region, rounding_precision=1, trim=True)


def read_region(where: str, text: str) -> BaseGeometry:
    """A region from a cell of the column ``geometry``: a valid polygon in level-0 pixels as WKT.

    Args:
        where: Name of the row in messages.
        text: The cell.

    Raises:
        ManifestError: It is none.
    """
    try:
        with np.errstate(all="ignore"):  # "nan" and 1e309 are refused below
            region = shapely.from_wkt(text)
    except shapely.errors.GEOSException:
        region = None
    if (
        region is None
        or region.geom_type not in {"Polygon", "MultiPolygon"}
        or region.is_empty
        or not region.is_valid
        or not np.isfinite(shapely.get_coordinates(region)).all()
    ):
        raise ManifestError(
            f"{where}: column geometry: expected a POLYGON in level-0 pixels (WKT) whose outline does not cross itself, "
            f"found {text[:60]!r}; redraw it"
        )
    return region
