"""Reads tables of boxes: slide_id, x, y, w, h, class; x and y of the top left corner, all in level-0 pixels."""

import csv
import io
from pathlib import Path

from inkdot.annotations.drawing import Drawing, DrawnArea, Notes
from inkdot.annotations.rings import area_of
from inkdot.errors import AnnotationError

COLUMNS = ("slide_id", "x", "y", "w", "h", "class")
_ALIASES = {
    "x_l0_px": "x",
    "y_l0_px": "y",
    "width": "w",
    "height": "h",
    "width_l0_px": "w",
    "height_l0_px": "h",
}


def header_of(text: str) -> tuple[list[str], str]:
    """Read the column names (in lower case) of a table and its delimiter: a comma, a semicolon or a tab."""
    line = text.split("\n", 1)[0].strip("\r")
    delimiter = max(",;\t", key=line.count)
    return [name.strip().strip('"').lower() for name in line.split(delimiter)], delimiter


def is_box_table(header: list[str]) -> bool:
    """Whether a header has all columns of a table of boxes."""
    return set(COLUMNS) <= {_ALIASES.get(name, name) for name in header}


def read_boxes(path: Path, text: str, slide_id: str) -> Drawing:
    """Read the boxes of one slide, in level-0 pixels.

    Raises:
        AnnotationError: A row has too few fields, or a coordinate is not a number.
    """
    notes, areas, others = Notes(), list[DrawnArea](), 0
    header, delimiter = header_of(text)
    names = [_ALIASES.get(name, name) for name in header]
    reader = csv.DictReader(io.StringIO(text), fieldnames=names, delimiter=delimiter)
    next(reader)
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        if (row["slide_id"] or "").strip() != slide_id:
            others += 1
            continue
        x, y, width, height = (_number(row[name], name, where) for name in ("x", "y", "w", "h"))
        if width <= 0 or height <= 0:
            raise AnnotationError(f"{where}: expected w and h above 0, found {width:g} and {height:g}")
        ring = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        if (region := area_of(ring, [], notes, where)) is not None:
            name = (row["class"] or "").strip()
            areas.append(DrawnArea(f"line {reader.line_num}", (name,) if name else (), region))
    if others and not areas:
        notes.add(f"no box is of slide {slide_id!r}; those of other slides", f"{others} rows")
    return Drawing("boxes", areas, notes)


def _number(text: str | None, name: str, where: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise AnnotationError(
            f"{where}: column {name}: expected a number of pixels, found {text!r}"
        ) from None
