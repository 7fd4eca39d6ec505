"""Why clusters get no tile, and the sentence about them that every output of the slide carries."""

from collections.abc import Mapping
from enum import StrEnum

from inkdot.config import TilingConfig


class NotTiled(StrEnum):
    """Why a cluster has no tile; empty where it has one, or lies whole in that of another."""

    TILED = ""
    SMALL = "one or two small nuclei"
    BUDGET = "beyond max_tiles"


def not_looked_at(not_tiled: Mapping[str, int], clusters: int, tiling: TilingConfig) -> str:
    """How many clusters of a slide no model sees, and why; empty where every one is in a tile.

    Args:
        not_tiled: Number of clusters by the value of :class:`NotTiled`.
        clusters: Number of all clusters and lone cells of the slide.
        tiling: The limits that left them out.
    """
    reasons = {
        NotTiled.BUDGET: f"beyond tiling.max_tiles ({tiling.max_tiles})",
        NotTiled.SMALL: f"one or two small nuclei (below tiling.lone_nucleus_um, {tiling.lone_nucleus_um:g} µm)",
    }
    counted = [(not_tiled.get(reason.value, 0), words) for reason, words in reasons.items()]
    total = sum(count for count, _ in counted)
    if not total:
        return ""
    named = ", ".join(f"{count} {words}" for count, words in counted if count)
    return f"{total} of {clusters} clusters and lone cells were not looked at: {named}"
