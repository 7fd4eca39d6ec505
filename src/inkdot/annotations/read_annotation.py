"""Reads annotation files of all formats, recognised by content, not by name."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from inkdot.annotations import asap, imagescope
from inkdot.annotations.box_table import COLUMNS as BOX_COLUMNS
from inkdot.annotations.box_table import header_of, is_box_table, read_boxes
from inkdot.annotations.class_rules import rule_for
from inkdot.annotations.drawing import Drawing, Notes
from inkdot.annotations.geojson import read_geojson
from inkdot.annotations.rings import Point
from inkdot.config import AnnotationConfig
from inkdot.errors import AnnotationError
from inkdot.geometry import scanned_bounds
from inkdot.labels import Head
from inkdot.records import SlideInfo
from inkdot.storage.tables.labels_table import COLUMNS as LABEL_COLUMNS
from inkdot.storage.tables.labels_table import RENAMED_COLUMNS, RegionLabel, read_labels

MAX_BYTES = 1 << 30
"""Larger files are refused: they contain detections, not manual annotations."""

SOURCE = "annotation"
"""Value of ``source`` of the labels."""

_HEAD_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Annotation:
    """Annotations of one slide.

    Attributes:
        labels: One per region and head, in the order of the file.
        warnings: Repaired, skipped and suspicious objects; one line per kind.
        dialect: Format of the file: geojson, asap, imagescope, boxes or labels.
    """

    labels: tuple[RegionLabel, ...]
    warnings: tuple[str, ...]
    dialect: str


def read_annotation(
    path: Path, info: SlideInfo, config: AnnotationConfig, heads: Sequence[Head]
) -> Annotation:
    """Read an annotation file: QuPath GeoJSON, ASAP XML, ImageScope XML, a table of boxes, or a labels table.

    Args:
        path: The file.
        info: Metadata of its slide: id, size, bounds and mpp.
        config: Mapping of classes to labels.
        heads: The heads. Rows of other heads in a labels table are skipped: the cohort may have more than the model.

    Raises:
        AnnotationError: The file is missing, damaged or of an unknown format, has a class that is not in the config, or a
            region entirely outside the slide.
        ManifestError: A row of a labels table is wrong.
    """
    kind = dialect_of(path)
    if kind == "labels":
        return _from_labels_table(path, info, heads)
    drawing = _read_drawing(kind, path, info, config)
    labels = _labels(drawing, info, config, heads, str(path))
    return Annotation(tuple(labels), drawing.notes.sentences(str(path)), drawing.dialect)


def dialect_of(path: Path) -> str:
    """Recognise the format of an annotation file: geojson, asap, imagescope, boxes or labels.

    Raises:
        AnnotationError: The file is missing or of an unknown format.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_HEAD_BYTES)
        size = path.stat().st_size
    except FileNotFoundError:
        raise AnnotationError(
            f"{path}: expected an annotation file, found nothing there; correct the column annotation"
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: expected a readable annotation file: {error}") from None
    if size > MAX_BYTES:
        raise AnnotationError(
            f"{path}: expected at most {MAX_BYTES >> 20} MiB of annotations, found {size >> 20} MiB; "
            "export annotations only, without detections"
        )
    text = _decoded_start(start).lstrip()
    if text.startswith(("{", "[")):
        return "geojson"
    if text.startswith("<"):
        root = re.search(
            r"<\s*([A-Za-z_][\w.-]*)", re.sub(r"<\?.*?\?>|<!--.*?-->|<!.*?>", "", text, flags=re.DOTALL)
        )
        if root and root.group(1) in (asap.ROOT, imagescope.ROOT):
            return "asap" if root.group(1) == asap.ROOT else "imagescope"
        raise AnnotationError(
            f"{path}: expected XML of ASAP ({asap.ROOT}) or ImageScope ({imagescope.ROOT}), "
            f"found {root.group(1) if root else 'no element'!r}; export the annotations as GeoJSON, or as one of these"
        )
    header, _ = header_of(text)
    if {"geometry", "head", "label"} <= {RENAMED_COLUMNS.get(name, name) for name in header}:
        return "labels"
    if is_box_table(header):
        return "boxes"
    raise AnnotationError(
        f"{path}: expected GeoJSON, ASAP or ImageScope XML, a table of boxes ({', '.join(BOX_COLUMNS)}) or a labels "
        f"table ({', '.join(LABEL_COLUMNS)}), found {_shown(start)}"
    )


def _decoded_start(start: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return start.decode(encoding, errors="replace")
    return start.decode("utf-8", errors="replace")


def _shown(start: bytes) -> str:
    if not start:
        return "an empty file"
    if start.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        return "a compressed file: unpack it first"
    return repr(_decoded_start(start)[:60])


def _text(path: Path) -> str:
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: expected text in UTF-8: {error}; save it with that encoding"
        ) from None


def _read_drawing(kind: str, path: Path, info: SlideInfo, config: AnnotationConfig) -> Drawing:
    if kind == "asap":
        return asap.read_asap(path)
    if kind == "imagescope":
        return imagescope.read_imagescope(path, info)
    if kind == "boxes":
        return read_boxes(path, _text(path), info.slide_id)
    return read_geojson(path, _text(path), _qupath_offset(info, config), config.object_types)


def read_qupath_objects(
    path: Path, corner_l0_px: Point, object_types: Sequence[str] = ("annotation",)
) -> Drawing:
    """Read the areas of a file that QuPath saved, whatever their classes mean.

    Args:
        path: The file.
        corner_l0_px: Origin of its coordinates (x, y) in level-0 pixels.
        object_types: Types of objects to read; others are skipped with a note.

    Raises:
        AnnotationError: The file is missing, damaged or not GeoJSON.
    """
    if (kind := dialect_of(path)) != "geojson":
        raise AnnotationError(f"{path}: expected GeoJSON saved by QuPath, found the format {kind}")
    return read_geojson(path, _text(path), corner_l0_px, object_types)


def _qupath_offset(info: SlideInfo, config: AnnotationConfig) -> Point:
    if config.qupath_origin == "slide":
        return (0.0, 0.0)
    bounds = scanned_bounds(info)
    return (float(bounds.x_l0_px), float(bounds.y_l0_px))


def _from_labels_table(path: Path, info: SlideInfo, heads: Sequence[Head]) -> Annotation:
    # Heads that nobody has are refused by `check_label_tables`, once for the cohort and not per slide.
    rows = read_labels(path, heads, other_heads="skip")
    labels = tuple(label for label in rows if label.slide_id == info.slide_id)
    warnings: tuple[str, ...] = ()
    if rows and not labels:
        warnings = (f"{path}: no row is of slide {info.slide_id!r}, {len(rows)} are of other slides",)
    return Annotation(labels, warnings, "labels")


def _labels(
    drawing: Drawing, info: SlideInfo, config: AnnotationConfig, heads: Sequence[Head], source: str
) -> list[RegionLabel]:
    kept: list[tuple[str, BaseGeometry, dict[str, str]]] = []
    cuts: list[BaseGeometry] = []
    for area in drawing.areas:
        rule = rule_for(area, config, heads, drawing.notes, source)
        if rule.kind == "ignore":
            continue
        _check_on_slide(area.geometry, info, drawing.notes, f"{source}: {area.where}")
        if rule.kind == "cut":
            cuts.append(area.geometry)
        else:
            kept.append((area.where, area.geometry, dict(rule.labels)))
    cut = unary_union(cuts) if cuts else None
    labels: list[RegionLabel] = []
    for where, whole, class_labels in kept:
        region = whole if cut is None else _without(whole, cut, drawing.notes, f"{source}: {where}")
        if region is None:
            continue
        for head in heads:
            if head.name in class_labels:
                labels.append(
                    RegionLabel(
                        info.slide_id, region, head.name, class_labels[head.name], config.reader, SOURCE
                    )
                )
    return labels


def _without(region: BaseGeometry, cut: BaseGeometry, notes: Notes, where: str) -> BaseGeometry | None:
    if not region.intersects(cut):
        return region
    rest = region.difference(cut)
    if rest.is_empty:
        notes.add("regions lie entirely in areas that are cut out", where)
        return None
    polygons = [part for part in shapely.get_parts(rest).tolist() if part.area > 0]
    return polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)


def _check_on_slide(region: BaseGeometry, info: SlideInfo, notes: Notes, where: str) -> None:
    width, height = info.size_l0_px
    slide = box(0, 0, width, height)
    if not region.intersects(slide):
        left, top, right, bottom = region.bounds
        raise AnnotationError(
            f"{where}: expected a region on the slide (0 to {width} × 0 to {height} level-0 pixels), found "
            f"x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f}; is the file of another slide, of another "
            "level, or (QuPath) counted from another corner (annotations.qupath_origin)?"
        )
    if not slide.covers(region):
        notes.add("regions reach beyond the slide", where)
