"""Cutting one slide into tiles, on a grid or centred on clusters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from inkdot.config import TilingConfig
from inkdot.errors import NoForegroundError
from inkdot.geometry import check_resolution
from inkdot.labels import Head
from inkdot.records import Preparation, Slide
from inkdot.tiling.adequacy import Assessment, Rule, assess, count_nuclei, needs_nuclei, rule_for
from inkdot.tiling.clusters.cluster_table import ObjectCounts, cluster_table, count_objects
from inkdot.tiling.clusters.detect import detect_nuclei
from inkdot.tiling.clusters.group_objects import find_clusters
from inkdot.tiling.clusters.place_tiles import NotTiled, place_tiles
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.tile_table import cut_tiles, tiles_at

_WARN_UNASSESSABLE = 0.2


@dataclass(frozen=True, slots=True)
class SlideTiles:
    """The tiles of a slide, and how they were found.

    Attributes:
        tiles: As ``schemas.tiles_schema``, with null targets.
        foreground: Foreground and artefacts.
        clusters: As ``schemas.clusters_schema``; None in mode ``grid``.
        counts: Numbers of nuclei and clusters; None in mode ``grid``.
        notices: Warnings about how nuclei were found.
        assessment: What is assessable, and whether it is adequate.
    """

    tiles: pa.Table
    foreground: Foreground
    assessment: Assessment
    clusters: pa.Table | None = None
    counts: ObjectCounts | None = None
    notices: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """Warnings for every result of this slide."""
        warnings = [*self.notices]
        left_out = self.counts.not_tiled[NotTiled.BUDGET.value] if self.counts else 0
        if left_out:
            warnings.append(f"{left_out} clusters or cells have no tile: tiling.max_tiles was used up")
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
            *(
                f"{count} of these in no tile: {reason}"
                for reason, count in counts.not_tiled.items()
                if count
            ),
            f"not counted: {counts.too_small} things too small, {counts.ink_mm2:.3g} mm2 of ink and edges",
        ]


def cut_slide(
    slide: Slide,
    tiling: TilingConfig,
    heads: Sequence[Head],
    preparation: Preparation = "thinprep",
    stain: str = "",
) -> SlideTiles:
    """Cut a slide into tiles, and assess whether its material is adequate.

    Args:
        slide: An open slide.
        tiling: The tiles, and the limits of adequacy.
        heads: The heads; each gets its target columns.
        preparation: Decides which limits apply.
        stain: As in the manifest; decides what finds the nuclei.

    Raises:
        ResolutionError: The slide is too coarse.
        NoForegroundError: There is nothing to cut tiles around.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, tiling.spec.mpp)
    foreground = find_foreground(slide, tiling)
    rule = rule_for(slide.info, foreground, preparation, tiling.adequacy)
    if tiling.mode == "clusters":
        return _around_clusters(slide, tiling, heads, foreground, rule, stain)
    tiles = cut_tiles(
        slide.info, tiling.spec, foreground, heads, tiling.min_foreground_fraction, tiling.artefacts
    )
    count = None
    if needs_nuclei(rule, tiling.adequacy):
        # Only counted: a slide with three cells is inadequate, not negative.
        detected = detect_nuclei(slide, foreground, tiling, stain)
        count = count_nuclei(find_clusters(detected.objects, tiling), foreground)
    return SlideTiles(tiles, foreground, assess(foreground, rule, count, tiling.adequacy))


def _around_clusters(
    slide: Slide, tiling: TilingConfig, heads: Sequence[Head], foreground: Foreground, rule: Rule, stain: str
) -> SlideTiles:
    info, spec = slide.info, tiling.spec
    detected = detect_nuclei(slide, foreground, tiling, stain)
    clusters = find_clusters(detected.objects, tiling)
    placement = place_tiles(info, tiling, clusters)
    counts = count_objects(foreground, detected, clusters, placement)
    if not len(placement.x_l0_px):
        raise NoForegroundError(
            f"expected clusters or nuclei of {tiling.lone_nucleus_um:g} µm or more, found none "
            f"among {counts.nuclei} nuclei and {counts.too_small} smaller things; look at the slide, or lower "
            "tiling.lone_nucleus_um or tiling.nucleus_od"
        )
    return SlideTiles(
        tiles=tiles_at(
            info,
            spec,
            foreground,
            heads,
            x_l0_px=placement.x_l0_px,
            y_l0_px=placement.y_l0_px,
            cluster_id=placement.cluster,
            edge_um=np.array([cluster.blur_um for cluster in clusters])[placement.cluster],
        ),
        foreground=foreground,
        assessment=assess(foreground, rule, count_nuclei(clusters, foreground), tiling.adequacy),
        clusters=cluster_table(info, spec, clusters, placement),
        counts=counts,
        notices=tuple(detected.warnings),
    )
