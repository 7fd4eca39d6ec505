"""Layers over a slide: scores of all tiles, clusters, annotations; in level-0 pixels, as JSON values."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from inkdot.annotations import read_annotation
from inkdot.config import AnnotationConfig
from inkdot.labels import Head
from inkdot.records import Slide
from inkdot.review.results.scored_slide import scored_slide
from inkdot.serve.served_slides import ServedSlide
from inkdot.storage.layout import RunLayout
from inkdot.storage.schemas import CLUSTERS_VERSION, SCORES_VERSION
from inkdot.storage.tables.parquet_tables import read_footer, read_table
from inkdot.storage.tables.scores import read_scores

SIMPLIFIED_L0_PX = 1.0
"""Tolerance of the simplified outlines: hand-drawn ones have thousands of points."""


def scores_layer(layout: RunLayout, slide: ServedSlide) -> dict[str, object]:
    """Every tile's corner and score, the highest last so that they are drawn on top.

    Raises:
        StorageError: The scores cannot be read.
    """
    path = layout.scores(slide.entry.slide_id)
    scored = scored_slide(read_scores(path), read_footer(path, SCORES_VERSION), str(path))
    order = np.argsort(scored.flag_scores, kind="stable")
    width, height = scored.facts.side_l0_px
    return {
        "x_l0_px": scored.x_l0_px[order].tolist(),
        "y_l0_px": scored.y_l0_px[order].tolist(),
        "score": np.round(scored.flag_scores[order], 4).tolist(),
        "width_l0_px": width,
        "height_l0_px": height,
        "threshold": scored.facts.threshold,
    }


def clusters_layer(layout: RunLayout, slide: ServedSlide) -> dict[str, object]:
    """Outlines of the clusters, and whether each is in focus.

    Raises:
        StorageError: The clusters cannot be read.
    """
    table, _ = read_table(layout.clusters(slide.entry.slide_id), CLUSTERS_VERSION)
    regions = shapely.from_wkt(table.column("geometry").to_pylist())
    sharp = cast("list[bool | None]", table.column("in_focus").to_pylist())
    return {
        "rings": [_rings(region) for region in regions],
        "kind": ["in focus" if one else "out of focus" for one in sharp],
    }


def annotations_layer(slide: ServedSlide, opened: Slide, heads: Sequence[Head]) -> dict[str, object]:
    """Outlines of annotated regions with their labels.

    The names of classes and annotations in the file are free text, may identify people, and are not passed on.

    Raises:
        AnnotationError: The file cannot be read, or names a class that has no known meaning.
        ManifestError: A row of a labels table is wrong.
    """
    assert slide.entry.annotation is not None
    found = read_annotation(slide.entry.annotation, opened.info, AnnotationConfig(), heads)
    return {
        "rings": [_rings(label.geometry) for label in found.labels],
        "kind": [label.label for label in found.labels],
    }


def _rings(region: BaseGeometry) -> list[list[list[float]]]:
    """Outer and inner outlines, rounded to tenths of a pixel."""
    plain = shapely.simplify(region, SIMPLIFIED_L0_PX)
    rings = cast("list[BaseGeometry]", shapely.get_rings(plain).tolist())
    return [np.round(shapely.get_coordinates(ring), 1).tolist() for ring in rings]
