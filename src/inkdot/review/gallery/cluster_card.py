"""What a card says of the nuclei of its cluster, and their outlines: numbers only."""

from typing import Final, cast

from inkdot.review.gallery.fields import context_field
from inkdot.review.results.cluster_facts import ClusterFacts
from inkdot.review.results.ranking import Region
from inkdot.review.results.scored_slide import ScoreFacts
from inkdot.storage.tables.nuclei import Ring

MOST_OUTLINES: Final = 500
"""Nuclei that are outlined for one region."""


def cluster_card(region: Region, slide: ScoreFacts) -> dict[str, object]:
    """Facts about the cluster of a region.

    Args:
        region: A region that is a cluster.
        slide: Facts about its slide.
    """
    cluster = cast(ClusterFacts, region.cluster)
    return {
        "nuclei": cluster.nuclei,
        "measured_nuclei": cluster.measured_nuclei,
        "measures": {name: round(value, 3) for name, value in cluster.measures.items()},
        "others": cluster.others,
        "flagged_others": len(cluster.flagged_others),
        "group_nuclei": cluster.group_nuclei,
        "reservations": cluster.reservations,
        "outlines": _outline_facts(region, slide),
    }


def _outline_facts(region: Region, slide: ScoreFacts) -> dict[str, object] | None:
    """The nuclei as outlined: x, y, x, y … in whole level-0 pixels from the corner of the region's surroundings."""
    outlines = cast(ClusterFacts, region.cluster).outlines
    if outlines is None:
        return None
    field = context_field(region, slide.spec, slide.frame.mpp)
    corner = (field.x_l0_px, field.y_l0_px)

    def flat(ring: Ring) -> list[int]:
        return [round(point[axis] - corner[axis]) for point in ring for axis in (0, 1)]

    whole = outlines.measured[:MOST_OUTLINES]
    cut = outlines.cut[: MOST_OUTLINES - len(whole)]
    return {
        "corner_l0_px": corner,
        "measured": [flat(ring) for ring in whole],
        "cut": [flat(ring) for ring in cut],
    }
