"""Cutting one slide into tiles, on a grid or centred on clusters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from inkdot.config import TilingConfig
from inkdot.geometry import check_resolution
from inkdot.labels import Head
from inkdot.records import Preparation, Slide
from inkdot.tiling.adequacy import (
    Assessment,
    Rule,
    assess,
    count_nuclei,
    needs_nuclei,
    rule_for,
    without_tiles,
)
from inkdot.tiling.clusters.cluster_table import ObjectCounts, cluster_table, count_objects
from inkdot.tiling.clusters.detect import detect_nuclei
from inkdot.tiling.clusters.group_objects import find_clusters
from inkdot.tiling.clusters.not_tiled import not_looked_at
from inkdot.tiling.clusters.place_tiles import place_tiles
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.scale_check import measure_red_cells, scale_warnings
from inkdot.tiling.tile_table import cut_tiles, empty_slide_message, tiles_at

_WARN_UNASSESSABLE = 0.2


@dataclass(frozen=True, slots=True)
class SlideTiles:
    """The tiles of a slide, and how they were found.

    Attributes:
        tiles: As ``schemas.tiles_schema``, with null targets.
        foreground: Foreground and artefacts.
        clusters: As ``schemas.clusters_schema``; None in mode ``grid``.
        counts: Numbers of nuclei and clusters; None in mode ``grid``.
        notices: Warnings about the scale, and about how nuclei were found.
        left_out: How many clusters have no tile, and why; empty where every one has.
        assessment: What is assessable, and whether it is adequate.
    """

    tiles: pa.Table
    foreground: Foreground
    assessment: Assessment
    clusters: pa.Table | None = None
    counts: ObjectCounts | None = None
    notices: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def warnings(self) -> list[str]:
        """Warnings for every result of this slide."""
        warnings = [*self.notices, *([self.left_out] if self.left_out else [])]
        unassessable = self.assessment.unassessable_fraction
        if unassessable >= _WARN_UNASSESSABLE:
            warnings.append(f"{unassessable:.0%} of the slide cannot be assessed (out of focus, artefacts)")
        return warnings

    @property
    def notes(self) -> list[str]:
        """Lines with numbers for the legend of the mask image."""
        assessment = self.assessment
        notes = [
            f"{assessment.assessable_mm2:.4g} mm2 assessable, {assessment.unassessable_fraction:.1%} not assessable"
        ]
        if assessment.why:
            notes.append(f"INADEQUATE: {assessment.why}")
        counts = self.counts
        if counts is None:
            if assessment.nuclei is not None:
                notes.append(f"{assessment.nuclei} nuclei ({assessment.nuclei_in_focus} in focus)")
            return notes
        return [
            *notes,
            f"{counts.nuclei} nuclei ({counts.nuclei_in_focus} in focus) in {counts.clusters} clusters and lone cells",
            *([self.left_out] if self.left_out else []),
            f"not counted: {counts.too_small} things too small, {counts.ink_mm2:.3g} mm2 of ink and edges",
        ]


def cut_slide(
    slide: Slide,
    tiling: TilingConfig,
    heads: Sequence[Head],
    preparation: Preparation = "thinprep",
    stain: str = "",
    *,
    with_spot: bool = True,
) -> SlideTiles:
    """Cut a slide into tiles, and assess whether its material is adequate. An empty slide has no tile, and is inadequate.

    Args:
        slide: An open slide.
        tiling: The tiles, and the limits of adequacy.
        heads: The heads; each gets its target columns.
        preparation: Decides which limits apply.
        stain: As in the manifest; decides what finds the nuclei.
        with_spot: Search for a cell spot.

    Raises:
        ResolutionError: The slide is too coarse.
        NotBrightFieldError: Not a bright-field slide.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, tiling.spec.mpp)
    foreground = find_foreground(slide, tiling, with_spot=with_spot)
    rule = rule_for(slide.info, foreground, preparation, tiling.adequacy)
    doubts = scale_warnings(slide, measure_red_cells(slide, preparation))
    if tiling.mode == "clusters":
        found = _around_clusters(slide, tiling, heads, foreground, rule, stain)
        return replace(found, notices=(*doubts, *found.notices))
    tiles = cut_tiles(
        slide.info, tiling.spec, foreground, heads, tiling.min_foreground_fraction, tiling.artefacts
    )
    count = None
    if needs_nuclei(rule, tiling.adequacy):
        # Only counted: a slide with three cells is inadequate, not negative.
        detected = detect_nuclei(slide, foreground, tiling, stain)
        count = count_nuclei(find_clusters(detected.objects, tiling), foreground)
    assessment = assess(foreground, rule, count, tiling.adequacy)
    if tiles.num_rows:
        return SlideTiles(tiles, foreground, assessment, notices=doubts)
    shown = empty_slide_message(foreground, tiling.min_foreground_fraction)
    return SlideTiles(tiles, foreground, without_tiles(assessment), notices=(*doubts, shown))


def _around_clusters(
    slide: Slide, tiling: TilingConfig, heads: Sequence[Head], foreground: Foreground, rule: Rule, stain: str
) -> SlideTiles:
    info, spec = slide.info, tiling.spec
    detected = detect_nuclei(slide, foreground, tiling, stain)
    clusters = find_clusters(detected.objects, tiling)
    placement = place_tiles(info, tiling, clusters)
    counts = count_objects(foreground, detected, clusters, placement)
    assessment = assess(foreground, rule, count_nuclei(clusters, foreground), tiling.adequacy)
    return SlideTiles(
        tiles=tiles_at(
            info,
            spec,
            foreground,
            heads,
            x_l0_px=placement.x_l0_px,
            y_l0_px=placement.y_l0_px,
            cluster_id=placement.cluster,
            edge_um=np.array([cluster.blur_um for cluster in clusters], np.float64)[placement.cluster],
        ),
        foreground=foreground,
        assessment=assessment if len(placement.x_l0_px) else without_tiles(assessment),
        clusters=cluster_table(info, spec, clusters, placement),
        counts=counts,
        notices=tuple(detected.warnings),
        left_out=not_looked_at(counts.not_tiled, counts.clusters, tiling),
    )
