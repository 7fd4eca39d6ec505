"""One slide to tiles, by the grid or by its clusters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from inkdot.config import TilingConfig
from inkdot.errors import NoForegroundError
from inkdot.geometry import check_resolution
from inkdot.labels import Head
from inkdot.records import Slide
from inkdot.tiling.cluster_table import Adequacy, adequacy, cluster_table
from inkdot.tiling.clusters import group_objects
from inkdot.tiling.foreground import Foreground, find_foreground
from inkdot.tiling.objects import find_objects
from inkdot.tiling.placement import Unseen, place_tiles
from inkdot.tiling.table import cut_tiles, tiles_at


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a slide.

    Attributes:
        tiles: As ``schemas.tiles_schema``, with null targets.
        foreground: What is not empty glass.
        clusters: As ``schemas.clusters_schema``; None where the grid was cut.
        adequacy: How much there was to judge; None where the grid was cut.
    """

    tiles: pa.Table
    foreground: Foreground
    clusters: pa.Table | None = None
    adequacy: Adequacy | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person must be told with every result of this slide."""
        left_out = self.adequacy.unseen[Unseen.BUDGET.value] if self.adequacy else 0
        if not left_out:
            return []
        return [f"{left_out} clusters or cells were not looked at: tiling.max_tiles was used up"]

    @property
    def notes(self) -> list[str]:
        """Counts for the mask picture."""
        if self.adequacy is None:
            return []
        seen = self.adequacy
        return [
            f"{seen.nuclei} nuclei ({seen.nuclei_in_focus} in focus) in {seen.clusters} clusters and lone cells",
            *(f"{count} of these in no tile: {reason}" for reason, count in seen.unseen.items() if count),
            f"not counted: {seen.too_small} things too small, {seen.ink_mm2:.3g} mm2 of ink and edges",
        ]


def cut_slide(slide: Slide, tiling: TilingConfig, heads: Sequence[Head]) -> Cut:
    """Cut a slide as the config says.

    Raises:
        ResolutionError: The slide is too coarse.
        NoForegroundError: There is nothing to cut tiles around.
        UnreadableSlideError: The slide's pixels cannot be decoded.
    """
    check_resolution(slide.info, tiling.spec.mpp)
    foreground = find_foreground(slide, tiling)
    if tiling.mode == "grid":
        fraction = tiling.min_foreground_fraction
        return Cut(cut_tiles(slide.info, tiling.spec, foreground, heads, fraction), foreground)
    return _around_clusters(slide, tiling, heads, foreground)


def _around_clusters(
    slide: Slide, tiling: TilingConfig, heads: Sequence[Head], foreground: Foreground
) -> Cut:
    info, spec = slide.info, tiling.spec
    found = find_objects(slide, foreground, tiling)
    clusters = group_objects(found.objects, tiling.cluster_distance_um)
    placement = place_tiles(info, spec, clusters, tiling.lone_nucleus_um, tiling.max_tiles)
    counts = adequacy(foreground, found, clusters, placement)
    if not len(placement.x_l0_px):
        raise NoForegroundError(
            f"expected clusters or nuclei of {tiling.lone_nucleus_um:g} µm or more, found {counts.nuclei} nuclei, none of "
            f"them such, and {counts.too_small} smaller things; look at the slide, or lower tiling.lone_nucleus_um or "
            "tiling.nucleus_od"
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
        clusters=cluster_table(info, spec, clusters, placement),
        adequacy=counts,
    )
