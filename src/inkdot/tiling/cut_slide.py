"""One slide to tiles, by the grid or by its clusters."""

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
from inkdot.tiling.clusters.cluster_table import Adequacy, adequacy, cluster_table
from inkdot.tiling.clusters.find_objects import find_objects
from inkdot.tiling.clusters.group_objects import group_objects
from inkdot.tiling.clusters.place_tiles import NotTiled, place_tiles
from inkdot.tiling.foreground.find_foreground import Foreground, find_foreground
from inkdot.tiling.tile_table import cut_tiles, tiles_at

_NOTEWORTHY = 0.2


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a slide.

    Attributes:
        tiles: As ``schemas.tiles_schema``, with null targets.
        foreground: What is not empty glass.
        clusters: As ``schemas.clusters_schema``; None where the grid was cut.
        adequacy: What was found on the way to clusters; None where the grid was cut.
        assessment: What can be judged, and whether it is enough.
    """

    tiles: pa.Table
    foreground: Foreground
    assessment: Assessment
    clusters: pa.Table | None = None
    adequacy: Adequacy | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person must be told with every result of this slide."""
        said: list[str] = []
        left_out = self.adequacy.unseen[NotTiled.BUDGET.value] if self.adequacy else 0
        if left_out:
            said.append(f"{left_out} clusters or cells were not looked at: tiling.max_tiles was used up")
        unassessable = self.assessment.unassessable_fraction
        if unassessable >= _NOTEWORTHY:
            said.append(f"{unassessable:.0%} of the slide cannot be assessed (out of focus, artefacts)")
        return said

    @property
    def notes(self) -> list[str]:
        """Counts for the mask image."""
        judged = self.assessment
        said = [
            f"{judged.assessable_mm2:.4g} mm2 assessable, {judged.unassessable_fraction:.1%} not assessable"
        ]
        if judged.why:
            said.append(f"INADEQUATE: {judged.why}")
        if self.adequacy is None:
            if judged.nuclei is not None:
                said.append(f"{judged.nuclei} nuclei ({judged.nuclei_in_focus} in focus)")
            return said
        seen = self.adequacy
        return [
            *said,
            f"{seen.nuclei} nuclei ({seen.nuclei_in_focus} in focus) in {seen.clusters} clusters and lone cells",
            *(f"{count} of these in no tile: {reason}" for reason, count in seen.unseen.items() if count),
            f"not counted: {seen.too_small} things too small, {seen.ink_mm2:.3g} mm2 of ink and edges",
        ]


def cut_slide(
    slide: Slide, tiling: TilingConfig, heads: Sequence[Head], preparation: Preparation = "thinprep"
) -> Cut:
    """Cut a slide as the config says, and judge whether there is enough on it.

    Args:
        slide: An open slide.
        tiling: How to cut it, and the floors of adequacy.
        heads: The heads; each gets its target columns.
        preparation: Says which floors apply.

    Raises:
        ResolutionError: The slide is too coarse.
        NoForegroundError: There is nothing to cut tiles around.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, tiling.spec.mpp)
    foreground = find_foreground(slide, tiling)
    rule = rule_for(slide.info, foreground, preparation, tiling.adequacy)
    if tiling.mode == "clusters":
        return _around_clusters(slide, tiling, heads, foreground, rule)
    tiles = cut_tiles(
        slide.info, tiling.spec, foreground, heads, tiling.min_foreground_fraction, tiling.artefacts
    )
    count = None
    if needs_nuclei(rule, tiling.adequacy):
        # Only to be counted: a slide with three cells is no negative one, however its tiles are cut.
        found = find_objects(slide, foreground, tiling)
        count = count_nuclei(group_objects(found.objects, tiling.cluster_distance_um), foreground)
    return Cut(tiles, foreground, assess(foreground, rule, count, tiling.adequacy))


def _around_clusters(
    slide: Slide, tiling: TilingConfig, heads: Sequence[Head], foreground: Foreground, rule: Rule
) -> Cut:
    info, spec = slide.info, tiling.spec
    found = find_objects(slide, foreground, tiling)
    clusters = group_objects(found.objects, tiling.cluster_distance_um)
    placement = place_tiles(info, spec, clusters, tiling.lone_nucleus_um, tiling.max_tiles)
    counts = adequacy(foreground, found, clusters, placement)
    if not len(placement.x_l0_px):
        raise NoForegroundError(
            f"expected clusters or nuclei of {tiling.lone_nucleus_um:g} µm or more, found none "
            f"among {counts.nuclei} nuclei and {counts.too_small} smaller things; look at the slide, or lower "
            "tiling.lone_nucleus_um or tiling.nucleus_od"
        )
    return Cut(
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
        adequacy=counts,
    )
